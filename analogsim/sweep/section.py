"""The section `sweep` of a study: the scenario's, with what the command line lays over it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from analogsim.errors import ScenarioError
from analogsim.study.sweep_section import Sweep
from device_models.errors import bulleted, faults

_TAGS = ("list[any]", "dict[str,dict[str,any]]", "constrained-list", "constrained-dict")


def written_section(data: Mapping[str, Any], where: str, more: Mapping[str, Any]) -> dict[str, Any]:
    """The section as plain data.

    Args:
        data: of the scenario.
        where: what to call it in messages.
        more: keys that are laid over the scenario's; axes beside its axes, or in the place of one of the same path.

    Raises:
        ScenarioError: the scenario's section is no mapping.
    """
    own = data.get("sweep") or {}
    if not isinstance(own, dict):
        raise ScenarioError(f"{where}: sweep: must be a mapping such as {{axes: {{chip.profile: [pcm, reram]}}}}")
    given = own.get("axes") or {}
    axes = {**given, **more.get("axes", {})} if isinstance(given, dict) else given
    return {**own, **more, **({"axes": axes} if axes else {})}


def read_section(written: Mapping[str, Any], where: str) -> Sweep:
    """The section that plain data are.

    Raises:
        ScenarioError: listing every fault with its path.
    """
    try:
        return Sweep.model_validate(written)
    except ValidationError as error:
        told = faults(error, lambda loc: tuple(part for part in loc if part not in _TAGS), Sweep)
        found = [f"sweep: {fault}" if fault.startswith("has ") else f"sweep.{fault}" for fault in told]
        raise ScenarioError(bulleted(f"{where} cannot be used:", found)) from None
