"""Errors of device descriptions, and how pydantic's findings are put into words.

ProfileError (ValueError)
    a device profile, or a YAML text, that cannot be used; its message is meant for the person who wrote it
└── MeasurementError
    a table of measurements from which no profile can be fitted
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pydantic import ValidationError


class ProfileError(ValueError):
    """A device profile that cannot be used. The message says where, what is wrong and what would be right."""


class MeasurementError(ProfileError):
    """A table of measurements that cannot be used. The message names its file, line and column."""


Path = tuple[str | int, ...]


def faults(error: ValidationError, as_written: Callable[[Path], Path]) -> list[str]:
    """Every fault of a validation error as `path: what is wrong (got x); what would be right`, in the file's order.

    Args:
        error: what pydantic found.
        as_written: turns pydantic's path into the reader's: without the tags of unions.
    """
    return [_fault(item, _path(item, as_written)) for item in error.errors()]


def _path(item: Any, as_written: Callable[[Path], Path]) -> Path:
    loc = item["loc"]
    if item["type"] == "extra_forbidden":  # the last part is the reader's own word, whatever it is
        return (*as_written(loc[:-1]), loc[-1])
    return as_written(loc)


def bulleted(title: str, lines: Sequence[str]) -> str:
    """One message from a title and its faults."""
    return "\n".join([title, *(f"  - {line}" for line in lines)])


def _fault(item: Any, loc: Path) -> str:
    path = ".".join(str(part) for part in loc)
    kind, context, got = item["type"], item.get("ctx", {}), item["input"]
    match kind:
        case "extra_forbidden":
            text = "unknown key; remove it or correct its spelling"
        case "missing":
            text = "is missing; add it"
        case "value_error" | "assertion_error":
            text = str(context.get("error", item["msg"]))
            return f"{path}: {text}" if path else text
        case "literal_error" | "enum":
            text = f"not a known choice (got {_short(got)}); choose {context['expected']}"
        case "union_tag_invalid":
            text = f"not a known choice (got {context['tag']!r}); choose one of {context['expected_tags']}"
        case "union_tag_not_found":
            text = f"must say which {context['discriminator'].strip(chr(39))} it is"
        case "model_type" | "model_attributes_type" | "dict_type":
            text = f"must be a mapping of settings (got {_short(got)})"
        case "list_type" | "tuple_type":
            text = f"must be a list (got {_short(got)}); write its items in brackets or each behind a dash"
        case "too_short" if context["min_length"] == 1:
            text = f"must not be empty (got {_short(got)}); give one item at least"
        case _:
            message = item["msg"].replace("Input should be", "must be")
            text = f"{message[0].lower()}{message[1:]} (got {_short(got)})"
    return f"{path}: {text}" if path else text


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
