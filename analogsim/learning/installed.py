"""Rules of other packages: each is declared as an entry point of the group `analogsim.rules`.

    [project.entry-points."analogsim.rules"]
    my_rule = "my_package:MyRule"

From then on it is a rule like any other: scenarios, studies and the command line know it by its name.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection
from functools import cache
from importlib import metadata
from typing import Any, NamedTuple

from analogsim.errors import RuleError
from analogsim.learning.rule import Rule
from analogsim.port import Access

GROUP = "analogsim.rules"
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_RESERVED = ("none",)


class Installed(NamedTuple):
    """A rule of another package.

    Attributes:
        kind: the rule.
        package: the distribution that it is from.
        version: of that.
    """

    kind: type[Rule]
    package: str
    version: str


def installed(own: Collection[str]) -> dict[str, Installed]:
    """Rules of other packages by name, in alphabetical order.

    Args:
        own: names of the rules of this package.

    Raises:
        RuleError: one cannot be loaded, or cannot be used as a rule.
    """
    found: dict[str, Installed] = {}
    entries = sorted(_entries(), key=lambda each: each.name)
    names = {*own, *(entry.name for entry in entries)}
    for entry in entries:
        package = "unknown" if entry.dist is None else entry.dist.name
        where = f"rule {entry.name!r} of the package {package} ({entry.value})"
        try:
            kind = entry.load()
        except Exception as error:
            raise RuleError(
                f"{where} cannot be loaded: {type(error).__name__}: {error}; mend the package, or uninstall it"
            ) from error
        fault = _fault(entry.name, kind, {*own, *found}, names)
        if fault:
            raise RuleError(f"{where} cannot be used: {fault}")
        found[entry.name] = Installed(kind, package, "" if entry.dist is None else entry.dist.version)
    return found


@cache
def _entries() -> tuple[metadata.EntryPoint, ...]:
    return tuple(metadata.entry_points(group=GROUP))


def _fault(name: str, kind: Any, taken: Collection[str], all_names: Collection[str]) -> str | None:
    """What keeps it from being a rule, or None; `taken` are the names of rules before it."""
    if not (isinstance(kind, type) and issubclass(kind, Rule)):
        return f"it must be a subclass of analogsim.Rule (got {kind!r})"
    if inspect.isabstract(kind):
        return f"{kind.__name__} lacks {', '.join(sorted(kind.__abstractmethods__))}"
    silent = [word for word in ("name", "title", "paper", "memory") if not isinstance(getattr(kind, word, None), str)]
    if silent:
        return f"{kind.__name__} must say its {', '.join(silent)}, each as a text of the class"
    if kind.name != name:
        return f"{kind.__name__} calls itself {kind.name!r}; entry point and class must agree"
    if not _NAME.fullmatch(name) or name in _RESERVED:
        return "a name has small letters, digits and _, begins with a letter, and is not none"
    if name in taken:
        return f"there is a rule {name!r} already; choose another name"
    if name[0] == "d" and name[1:] in all_names:
        return f"{name!r} stands for {name[1:]!r} with decorrelation; choose another name"
    try:
        rule = kind()
    except ValueError as error:
        return f"every setting must have a default: {' '.join(str(error).split())}"
    except Exception as error:
        return f"{kind.__name__}() raises {type(error).__name__}: {' '.join(str(error).split())}"
    try:
        needs = rule.requires
    except Exception as error:
        return f"its `requires` raises {type(error).__name__}: {error}"
    return None if isinstance(needs, Access) else f"its `requires` must be an Access (got {needs!r})"
