"""Strict YAML: no duplicate keys, `1e-3` is a number, only `true` and `false` are booleans, nothing is executed."""

from __future__ import annotations

import copy
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from device_models.errors import ProfileError


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader with the scalar rules of YAML 1.2's core schema and without silent duplicates."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == "tag:yaml.org,2002:merge":
                raise ProfileError(f"line {line}: merge keys (<<) are not supported; write the settings out")
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str | int | float | bool):
                raise ProfileError(f"line {line}: a key must be a plain word (got {key!r})")
            if key in seen:
                raise ProfileError(f"line {line}: {key}: this key stands twice in one mapping; keep one of the two")
            seen.add(key)
        return super().construct_mapping(node, deep)


_StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in rules if not tag.endswith((":float", ":bool", ":timestamp", ":int"))]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_StrictLoader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
_StrictLoader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789"))
_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^(?:[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan)$"),
    list("-+.0123456789"),
)


def _construct_int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    return int(loader.construct_scalar(node))  # base 10 always: `010` is ten, as in YAML 1.2


_StrictLoader.add_constructor("tag:yaml.org,2002:int", _construct_int)


@lru_cache(maxsize=128)
def _parsed(text: str) -> Any:
    return yaml.load(text, Loader=_StrictLoader)


def load_yaml(text: str, where: str) -> Any:
    """Parse one YAML document. A text that was parsed before costs a copy: a study reads its presets at each point.

    Args:
        text: the document.
        where: what the text is called in error messages, usually its file name.

    Raises:
        ProfileError: not YAML, a duplicate key, or a tag that asks for a Python object.
    """
    try:
        return copy.deepcopy(_parsed(text))
    except ProfileError as error:
        raise ProfileError(f"{where}: {error}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or str(error) or type(error).__name__
        raise ProfileError(f"{where}: {line}not readable as YAML: {problem}") from None


def read_yaml(path: Path) -> Any:
    """Read and parse one YAML file; see `load_yaml`."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "the file is not UTF-8 text"
        raise ProfileError(f"{path}: cannot be read: {reason}") from None
    return load_yaml(text, str(path))


def dump_yaml(value: Any) -> str:
    """Write plain data as YAML that `load_yaml` reads back to the same values (floats in their shortest exact form)."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, default_flow_style=False, allow_unicode=True, width=120)


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers = _StrictLoader.yaml_implicit_resolvers  # quote what the loader would take for a number

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_float(dumper: yaml.SafeDumper, value: float) -> yaml.ScalarNode:
    text = {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}.get(repr(value), repr(value))
    return dumper.represent_scalar("tag:yaml.org,2002:float", text)


_Dumper.add_representer(float, _represent_float)
