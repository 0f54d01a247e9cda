"""Composition: profiles as plain data that are laid over others.

`extends: NAME` or `extends: path.yaml` takes the settings of another profile; what stands beside it is laid over them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from device_models._yaml import load_yaml, read_yaml
from device_models.errors import ProfileError
from device_models.reference import settings

Check = Callable[[Any, str], Any]
"""(a profile's data, what to call it) -> raises ProfileError where it cannot be used."""

_ABOUT = ("extends", "name", "description", "references")
_SUFFIXES = (".yaml", ".yml")
_SHARED = {"read_noise": "scale"}
"""What every effect of a list has, and so may be set for all of them at once."""


def merge(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `overrides` laid over it, mapping by mapping.

    A mapping whose `kind` changes, and one that becomes a single value or `{each: ...}`, is replaced as a whole.

    A mapping that says no more than the `scale` of read noise holds for each effect of a list.

    Raises:
        ProfileError: another mapping is laid over a list of several effects: which one it means would be a guess.
    """
    result = dict(base)
    for key, value in overrides.items():
        old = result.get(key)
        if isinstance(old, list) and isinstance(value, Mapping):
            if len(old) > 1:
                result[key] = _over_each(key, old, value)
                continue
            old = old[0] if old else None
        if isinstance(old, Mapping) and isinstance(value, Mapping) and _same_form(old, value):
            result[key] = merge(old, value)
        else:
            result[key] = value
    return result


def _over_each(key: str, effects: list[Any], value: Mapping[str, Any]) -> list[Any]:
    """A mapping laid over each effect of a list of several."""
    shared = _SHARED.get(key)
    if shared is None or set(value) != {shared} or not all(isinstance(effect, Mapping) for effect in effects):
        alone = "" if shared is None else f", or {shared} alone, which then holds for each of them"
        raise ProfileError(f"{key}: is a list of {len(effects)} effects; an override must give the whole list{alone}")
    return [merge(effect, value) for effect in effects]


def _same_form(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    kinds = {mapping["kind"] for mapping in (old, new) if "kind" in mapping}
    return "each" not in old and "each" not in new and len(kinds) < 2


def preset_names() -> list[str]:
    """Names of the packaged profiles."""
    folder = resources.files("device_models") / "presets"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def preset_data(name: str) -> dict[str, Any]:
    """A packaged profile's file as plain data.

    Raises:
        ProfileError: no such profile; the message lists those that there are.
    """
    if name not in preset_names():
        raise ProfileError(f"no profile is called {name!r}; there are {', '.join(preset_names())}")
    text = (resources.files("device_models") / "presets" / f"{name}.yaml").read_text(encoding="utf-8")
    return load_yaml(text, f"profile {name}")


class _Source(NamedTuple):
    """A packaged profile or a file.

    Attributes:
        identity: by which it is recognised, however it is written.
        shown: what messages call it.
        folder: that relative paths in it start from.
    """

    identity: str | Path
    shown: str
    folder: Path | None

    def read(self) -> Any:
        if isinstance(self.identity, str):
            return preset_data(self.identity)
        if not self.identity.is_file() and self.identity.parent.is_dir():
            beside = sorted(path.name for path in self.identity.parent.iterdir() if path.suffix in _SUFFIXES)
            there = f"there are {', '.join(beside)}" if beside else "there are no .yaml files"
            raise ProfileError(f"{self.shown}: cannot be read: No such file or directory; beside it {there}")
        return read_yaml(self.identity)


def _source(name: str, folder: Path | None, shown: str | None = None) -> _Source:
    if not name.endswith(_SUFFIXES):
        return _Source(name, f"profile {name}", None)
    path = (folder or Path()) / name
    return _Source(path.resolve(), shown or str(path), path.parent)


def named(name_or_path: str, check: Check) -> tuple[Any, str]:
    """(plain data, what to call it) of a packaged profile or of a file, with what it extends in place.

    Raises:
        ProfileError: there is none, or one that it extends cannot be used.
    """
    source = _source(name_or_path, None, name_or_path)
    data = source.read()
    return composed(data, source.shown, source.folder, check, (source,)), source.shown


def composed(
    data: Any, where: str, folder: Path | None, check: Check, chain: tuple[_Source, ...] = ()
) -> dict[str, Any]:
    """A profile's data with what it extends in place; data without `extends` as they are.

    Args:
        data: of a file, or written out in a scenario.
        where: what to call it in messages.
        folder: that relative paths start from; None: the working directory.
        check: judges each profile that is extended, so that a fault is told of the file that has it.
        chain: sources that are being read.

    Raises:
        ProfileError: the base does not exist, cannot be used, or extends what extends it.
    """
    if not isinstance(data, Mapping) or "extends" not in data:
        return data  # type: ignore[return-value]  # whatever it is, validation judges it
    wanted = data["extends"]
    if not isinstance(wanted, str) or not wanted:
        raise ProfileError(
            f"{where}: extends: must be the name of a profile or the path of a .yaml file (got {wanted!r})"
        )
    source = _source(wanted, folder)
    if source.identity in [each.identity for each in chain]:
        start = [each.identity for each in chain].index(source.identity)
        circle = " -> ".join(_short(each) for each in (*chain[start:], source))
        raise ProfileError(f"{where}: extends: goes in a circle: {circle}; one of them must stand on its own")
    try:
        base = source.read()
    except ProfileError as error:
        raise ProfileError(f"{where}: extends: {error}") from None
    base = composed(base, source.shown, source.folder, check, (*chain, source))
    check(base, source.shown)
    try:
        return _laid_over(base, data)
    except ProfileError as error:
        raise ProfileError(f"{where}: {error}") from None


def _short(source: _Source) -> str:
    return source.identity if isinstance(source.identity, str) else source.identity.name


def _laid_over(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """A profile over the one that it extends."""
    changed = [key for key in own if key not in _ABOUT]
    result = merge({key: value for key, value in base.items() if key not in _ABOUT}, {key: own[key] for key in changed})
    told = f"{base['name']}, but for: {', '.join(changed)}." if changed else base.get("description", "")
    about = {
        "name": own.get("name", f"{base['name'].removesuffix(', changed')}, changed"),
        "description": own.get("description", told),
    }
    references = own.get("references") or []
    if isinstance(references, list):
        references = _added_up(base, references, [key for key in changed if own[key] is not None], changed)
    return {**about, **result, "references": references}


def _added_up(base: Mapping[str, Any], own: list[Any], given: list[str], changed: list[str]) -> list[Any]:
    """References of the base, but for what the new ones are about and for settings that are gone; then the new ones.

    What is set without a reference is said to be.
    """
    about = [path for entry in own if isinstance(entry, Mapping) for path in settings(str(entry.get("what", "")))]
    dropped = [*about, *(key for key in changed if key not in given)]
    result = []
    for entry in base.get("references") or ():
        if isinstance(entry, Mapping) and (paths := settings(str(entry.get("what", "")))):
            left = [path for path in paths if not any(path == gone or path.startswith(f"{gone}.") for gone in dropped)]
            if not left:
                continue
            entry = {**entry, "what": ", ".join(left)}
        result.append(entry)
    result += [entry for entry in own if entry not in result]
    silent = [key for key in given if key not in {path.split(".")[0] for path in about}]
    if silent and not any(isinstance(entry, str) for entry in own):
        result.append({"what": ", ".join(silent), "note": f"set over {base['name']} without a reference"})
    return result
