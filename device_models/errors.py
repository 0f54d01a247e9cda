"""Errors of device descriptions, and how pydantic's findings are put into words.

ProfileError (ValueError)
    a device profile, or a YAML text, that cannot be used; its message is meant for the person who wrote it
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError


class ProfileError(ValueError):
    """A device profile that cannot be used. The message says where, what is wrong and what would be right."""


def faults(error: ValidationError, drop: Sequence[str] = ()) -> list[str]:
    """Every fault of a validation error as `path: what is wrong (got x); what would be right`, in the file's order.

    Args:
        error: what pydantic found.
        drop: path parts that the reader did not write (the tags of discriminated unions).
    """
    return [_fault(item, drop) for item in error.errors()]


def bulleted(title: str, lines: Sequence[str]) -> str:
    """One message from a title and its faults."""
    return "\n".join([title, *(f"  - {line}" for line in lines)])


def _fault(item: Any, drop: Sequence[str]) -> str:
    path = ".".join(str(part) for part in item["loc"] if not (isinstance(part, str) and _is_tag(part, drop)))
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
        case _:
            text = f"{item['msg'][0].lower()}{item['msg'][1:]} (got {_short(got)})"
    return f"{path}: {text}" if path else text


def _is_tag(part: str, drop: Sequence[str]) -> bool:
    return part in drop or part.startswith(("function-", "tagged-union", "union["))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
