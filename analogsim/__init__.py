"""analogsim: will this learning rule train a network on this analog chip, and how much noise does it survive?

>>> from analogsim import Chip, Network
>>> from device_models import load_profile
>>> chip = Chip(Network.mlp([64, 128, 10]), load_profile("noisy"), population=8)
>>> chip.chips
8
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analogsim.chip import Chip, Mapping
    from analogsim.errors import AccessError, AnalogsimError, DataError, RunError, ScenarioError
    from analogsim.learning import Controller, Decorrelation, Rule
    from analogsim.network import Network
    from analogsim.port import Access
    from analogsim.results import Result, read_result
    from analogsim.study.resume import resume
    from analogsim.study.run import run
    from analogsim.study.scenario import load_scenario

_HOMES = {
    "Access": "port",
    "AccessError": "errors",
    "AnalogsimError": "errors",
    "Chip": "chip",
    "Controller": "learning",
    "DataError": "errors",
    "Decorrelation": "learning",
    "Mapping": "chip",
    "Network": "network",
    "Result": "results",
    "Rule": "learning",
    "RunError": "errors",
    "ScenarioError": "errors",
    "load_scenario": "study.scenario",
    "read_result": "results",
    "resume": "study.resume",
    "run": "study.run",
}

__all__ = [
    "Access",
    "AccessError",
    "AnalogsimError",
    "Chip",
    "Controller",
    "DataError",
    "Decorrelation",
    "Mapping",
    "Network",
    "Result",
    "Rule",
    "RunError",
    "ScenarioError",
    "load_scenario",
    "read_result",
    "resume",
    "run",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is asked for: importing analogsim alone does not load torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'analogsim' has no attribute {name!r}")
    return getattr(import_module(f"analogsim.{_HOMES[name]}"), name)
