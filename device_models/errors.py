"""Errors of device descriptions, and how pydantic's findings are put into words.

ProfileError (ValueError)
    a device profile, or a YAML text, that cannot be used; its message is meant for the person who wrote it
└── MeasurementError
    a table of measurements from which no profile can be fitted
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from device_models.spelling import keys_at, meant


class ProfileError(ValueError):
    """A device profile that cannot be used. The message says where, what is wrong and what would be right."""


class MeasurementError(ProfileError):
    """A table of measurements that cannot be used. The message names its file, line and column."""


Path = tuple[str | int, ...]

# what pydantic calls members of unions that have no name: literal['all','none'], tuple[str, ...], constrained-list
_NAMELESS = re.compile(r"(\w+\[.*\]|constrained-\w+|function-[\w-]+\(.*\))")
_PLAIN = ("bool", "int", "float", "str")
_NO_AXIS = "cannot differ from chip to chip (got {}); give one value, or make it an axis of a study"


def faults(
    error: ValidationError,
    as_written: Callable[[Path], Path],
    model: type[BaseModel] | None = None,
    aliases: Mapping[str, Iterable[str]] | None = None,
) -> list[str]:
    """Every fault of a validation error as `path: what is wrong (got x); what would be right`, in the file's order.

    Args:
        error: what pydantic found.
        as_written: turns pydantic's path into the reader's: without the tags of unions.
        model: what the whole was read as; unknown keys are then told with the key that they resemble.
        aliases: by the key that chooses between kinds, such as `rule`, what it may be beside their names.
    """
    told: dict[Path, list[str]] = {}
    for item in error.errors():
        if item["type"] == "missing" and _is_axis(item["input"]):  # told of the axis itself
            continue
        unknown = item["type"] == "extra_forbidden"
        keys = keys_at(item["loc"][:-1], model) if unknown and model else set()
        told.setdefault(_path(item, as_written), []).append(_fault(item, aliases or {}, keys))
    return [_line(".".join(map(str, path)), texts) for path, texts in told.items()]


def _is_axis(value: object) -> bool:
    return isinstance(value, Mapping) and set(value) == {"each"}


def _line(path: str, texts: Sequence[str]) -> str:
    """A fault, or what all members of a union say to it."""
    text = "; or ".join(dict.fromkeys(texts))
    return f"{path}: {text}" if path else text


def _key_of(item: Any) -> str | None:
    """The key that says of which kind something is; None where it is known otherwise."""
    name = item["ctx"]["discriminator"]
    return name.strip("'") if name.startswith("'") else None


def _path(item: Any, as_written: Callable[[Path], Path]) -> Path:
    """The reader's path to a fault: to an axis as a whole, to the key that chooses between kinds, without unions."""
    loc, kind = item["loc"], item["type"]
    known = loc[:-1] if kind == "extra_forbidden" else loc  # the last part is the reader's own word, whatever it is
    path = tuple(part for part in as_written(known) if not (isinstance(part, str) and _NAMELESS.fullmatch(part)))
    if kind == "extra_forbidden":
        return path if loc[-1] == "each" else (*path, loc[-1])
    if path and path[-1] in _PLAIN and kind.startswith(str(path[-1])):
        path = path[:-1]
    key = _key_of(item) if kind == "union_tag_invalid" else None
    return path if key is None else (*path, key)


def bulleted(title: str, lines: Sequence[str]) -> str:
    """One message from a title and its faults."""
    return "\n".join([title, *(f"  - {line}" for line in lines)])


def _fault(item: Any, aliases: Mapping[str, Iterable[str]], keys: set[str]) -> str:
    kind, context, got = item["type"], item.get("ctx", {}), item["input"]
    match kind:
        case "value_error" | "assertion_error":
            return str(context.get("error", item["msg"]))
        case "extra_forbidden" if item["loc"][-1] == "each":
            return _NO_AXIS.format(_short({"each": got}))
        case _ if _is_axis(got):
            return _NO_AXIS.format(_short(got))
        case "extra_forbidden":
            near = meant(item["loc"][-1], keys)
            return f"unknown key; is {near} meant?" if near else "unknown key; remove it or correct its spelling"
        case "missing":
            return "is missing; add it"
        case "literal_error" | "enum":
            return f"not a known choice (got {_short(got)}); choose {context['expected']}"
        case "union_tag_invalid":
            known = [name.strip("'") for name in context["expected_tags"].split(", ")]
            known += aliases.get(_key_of(item) or "", ())
            near = meant(context["tag"], known)
            hint = f"is {near} meant? There are " if near else "choose one of "
            return f"not a known choice (got {context['tag']!r}); {hint}{', '.join(known)}"
        case "union_tag_not_found":
            return f"must say which {context['discriminator'].strip(chr(39))} it is"
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"must be a mapping of settings (got {_short(got)})"
        case "list_type" | "tuple_type":
            return f"must be a list (got {_short(got)}); write its items in brackets or each behind a dash"
        case "too_short" if context["min_length"] == 1:
            return f"must not be empty (got {_short(got)}); give one item at least"
        case "string_pattern_mismatch":
            return f"must be a name without spaces, of the form {context['pattern']} (got {_short(got)})"
        case "string_type":
            return f"must be text (got {_short(got)})"
        case "int_type" | "int_parsing" | "int_from_float":
            return f"must be an integer (got {_short(got)})"
        case "float_type" | "float_parsing":
            return f"must be a number (got {_short(got)})"
        case "bool_type" | "bool_parsing":
            return f"must be true or false (got {_short(got)})"
        case _:
            message = item["msg"].replace("Input should be", "must be")
            return f"{message[0].lower()}{message[1:]} (got {_short(got)})"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
