"""docs/settings.md: every setting of profiles and scenarios, from the models that read them.

python scripts/settings_page.py          write the page
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from analogsim.study.schema import ArmBase, Scenario, StageBase
from analogsim.study.student_teacher import StudentTeacherScenario
from device_models.profile import DeviceProfile

PAGE = Path(__file__).resolve().parents[1] / "docs" / "settings.md"

HEAD = """# Settings

<!-- Written by `python scripts/settings_page.py` from the models. -->

Every setting of [profiles](profiles.md) and [scenarios](scenarios.md), with what it may be and what it is unless given.
Limits are those that are checked; a message tells why they are there. "per chip" also takes `{each: [...]}`, an axis of
the population. Quantities are written with their unit, such as `25 uS`; what they are unless given stands here in SI
units.
"""

PARTS: tuple[tuple[str, type[BaseModel]], ...] = (
    ("Profiles", DeviceProfile),
    ("Scenarios", Scenario),
    ("Scenarios of a student and its teacher", StudentTeacherScenario),
)
_DISCRIMINATORS = ("kind", "rule", "do")
_CALLED = {
    "ArmBase": "`arms.NAME`, every rule",
    "StageBase": "`arms.NAME.stages`, every stage",
    "StagedArm": "`arms.NAME`, stages",
    "StudentArm": "`arms.NAME`, a student",
    "OptimizerSettings": "`train.optimizer`, settings",
}
_OF_EVERY_ARM = frozenset(ArmBase.model_fields) - {"rule"}


def page() -> str:
    """The page."""
    told: dict[str, str] = {}
    parts = [HEAD]
    for title, model in PARTS:
        parts += [f"## {title}\n", *_part(model, told)]
    return "\n".join(parts).rstrip() + "\n"


def _part(root: type[BaseModel], told: dict[str, str]) -> Iterator[str]:
    """A model and those that its settings take, breadth first; each once, under the first setting that takes it."""
    models = _definitions(root)
    queue = [(root.__name__, "")]
    while queue:
        name, path = queue.pop(0)
        node = models[name]
        for key, value in node.get("properties", {}).items():
            inner = f"{path}.{key}".lstrip(".") + ".NAME" * ("patternProperties" in value)
            for ref in _refs(value):
                if ref in models and ref not in told:
                    told[ref] = _CALLED.get(ref) or _heading(inner, models[ref])
                    queue.append((ref, inner))
        if name in told:
            yield f"### {told[name]}\n"
        yield f"{_first(node.get('description', ''))}\n"
        yield from _table(node, told)


def _definitions(root: type[BaseModel]) -> dict[str, Any]:
    """Schemas by name. Arms of rules keep what is theirs alone; what all arms take has a name of its own."""
    schema = root.model_json_schema()
    models: dict[str, Any] = schema.pop("$defs", {})
    models[root.__name__] = schema
    if root is Scenario:
        bases = {
            base.__name__: _of_all(base, keys, next(_of_rules(models, kind)))
            for base, kind, keys in ((ArmBase, "Arm", ArmBase.model_fields), (StageBase, "Stage", ("epochs", "chip")))
        }
        models = {name: node for name, node in models.items() if not name.endswith("Stage")}
        for node in _of_rules(models):
            node["properties"] = {k: v for k, v in node["properties"].items() if k not in _OF_EVERY_ARM}
        models |= bases
        arms = schema["properties"]["arms"]
        every = {"anyOf": [{"$ref": f"#/$defs/{name}"} for name in bases]}
        arms["patternProperties"] = {"every rule": every, **arms["patternProperties"]}
    return models


def _of_rules(models: dict[str, Any], kind: str = "") -> Iterator[dict[str, Any]]:
    """Definitions of arms or stages, one for each rule."""
    for name, node in models.items():
        if name.endswith(kind) and node.get("properties", {}).keys() >= _OF_EVERY_ARM:
            yield node


def _of_all(base: type[BaseModel], keys: Iterable[str], of_one: dict[str, Any]) -> dict[str, Any]:
    """A definition of what those of all rules have in common, from that of one of them."""
    settings = {**of_one["properties"], "rule": base.model_json_schema()["properties"]["rule"]}
    common = {key: settings[key] for key in keys}
    return {"description": inspect.getdoc(base), "properties": common, "required": ["rule"]}


def _table(node: dict[str, Any], told: dict[str, str]) -> Iterator[str]:
    rows = {k: v for k, v in node.get("properties", {}).items() if not (k in _DISCRIMINATORS and "const" in v)}
    if rows:
        yield "| setting | may be | unless given | meaning |\n|---|---|---|---|"
    for key, value in rows.items():
        default = "**needed**" if key in node.get("required", ()) else _default(value.get("default"))
        yield f"| `{key}` | {_may_be(value, told)} | {default} | {_cell(value.get('description', ''))} |"
    yield ""


def _refs(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"].rpartition("/")[2]
        for key, value in node.items():
            if key not in ("default", "discriminator"):
                yield from _refs(value)
    elif isinstance(node, list):
        for value in node:
            yield from _refs(value)


def _heading(path: str, node: dict[str, Any]) -> str:
    kinds = [
        f"`{key}: {node['properties'][key]['const']}`"
        for key in _DISCRIMINATORS
        if "const" in node.get("properties", {}).get(key, {})
    ]
    return f"`{path}`" + (f", {kinds[0]}" if kinds else "")


def _may_be(node: dict[str, Any], places: dict[str, str]) -> str:
    found = list(dict.fromkeys(_kinds(node, places)))
    if "per chip" in found:
        found = [*(each for each in found if each != "per chip"), "per chip"]
    return ", ".join(found) or "a value"


def _kinds(node: dict[str, Any], places: dict[str, str]) -> Iterator[str]:
    if "$ref" in node:
        ref = node["$ref"].rpartition("/")[2]
        if ref in places:
            yield f"[{places[ref].rpartition(', ')[2] if ', ' in places[ref] else 'these'}](#{_anchor(places[ref])})"
        elif ref.endswith("Stage"):
            yield f"[a stage](#{_anchor(places['StageBase'])})"
        else:
            yield "a mapping"
        return
    for key in ("anyOf", "oneOf", "allOf"):
        for each in node.get(key, ()):
            yield from _kinds(each, places)
    if "const" in node:
        yield f"`{node['const']}`"
    elif "enum" in node:
        yield from (f"`{each}`" for each in node["enum"])
    elif "each" in node.get("properties", {}):
        yield "per chip"
    else:
        match node.get("type"):
            case "boolean":
                yield "`true`, `false`"
            case "integer" | "number" as kind:
                yield ("whole number" if kind == "integer" else "number") + _bounds(node)
            case "string":
                yield f"such as `{node['examples'][0]}`" if "examples" in node else "text"
            case "array":
                inner = ", ".join(dict.fromkeys(_kinds(node.get("items", {}), places)))
                yield f"list of {inner}" if inner else "list"
            case "object":
                values = node.get("additionalProperties")
                inner = ", ".join(dict.fromkeys(_kinds(values, places))) if isinstance(values, dict) else ""
                yield f"names, each {inner}" if inner else "a mapping"


def _bounds(node: dict[str, Any]) -> str:
    low, above = node.get("minimum"), node.get("exclusiveMinimum")
    high, below = node.get("maximum"), node.get("exclusiveMaximum")
    words = []
    if above is not None and (low is None or above >= low):
        words.append(f"above {above:g}")
    elif low is not None:
        words.append(f"from {low:g}")
    if below is not None and (high is None or below <= high):
        words.append(f"below {below:g}")
    elif high is not None:
        words.append(f"to {high:g}")
    return f" {' '.join(words)}" if words else ""


def _default(value: Any) -> str:
    if value is None or value in ([], (), ""):
        return ""
    if isinstance(value, dict):
        return "its own"
    return f"`{value}`" if not isinstance(value, bool) else f"`{str(value).lower()}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _first(text: str) -> str:
    return text.strip().split("\n\n")[0]


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
