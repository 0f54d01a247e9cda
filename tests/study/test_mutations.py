"""Scenarios mutated by the thousand: each is read, or refused in one message; never anything else."""

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analogsim.errors import ScenarioError
from analogsim.study.packaged import scenario_names, scenario_text
from analogsim.study.population import lay_out
from analogsim.study.scenario import AnyScenario, load_scenario, resolve, to_data
from analogsim.study.student_teacher import StudentTeacherScenario
from device_models import ProfileError
from device_models._yaml import dump_yaml, load_yaml

GOOD = [load_yaml(scenario_text(name)[0], name) for name in scenario_names()]
GOOD += [to_data(load_scenario(name)) for name in scenario_names()]

WORDS = st.sampled_from(
    ["", "bp", "danp", "1 %", "-1 %", "1 uS", "1 kg", "3", "1 epoch", "noisy", "each", "rule", "sigma", "lr", "~", "é"]
)
NUMBERS = st.one_of(
    st.integers(-3, 300), st.just(10**30), st.floats(allow_nan=True, allow_infinity=True), st.booleans(), st.none()
)
LEAVES = WORDS | NUMBERS | st.text(max_size=8)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3), max_leaves=5
)


def _places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of everything in plain data."""
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path, *(place for key, value in inner for place in _places(value, (*path, key)))]


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    data = copy.deepcopy(draw(st.sampled_from(GOOD)))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(_places(data)[1:] or [()]))
        if not path:
            break
        here = data
        for key in path[:-1]:
            here = here[key]
        match draw(st.sampled_from(["replace", "remove", "add", "wrap"])):
            case "replace":
                here[path[-1]] = draw(VALUES)
            case "remove":
                del here[path[-1]]
            case "add" if isinstance(here, dict):
                here[draw(WORDS | st.text(max_size=5))] = draw(VALUES)
            case _:
                here[path[-1]] = draw(st.sampled_from([[here[path[-1]]], {"each": [here[path[-1]]] * 2}]))
    return data


def _read(data: dict[str, Any]) -> None:
    """Resolve, lay out every arm and write down again; or one message."""
    try:
        scenario = resolve(data, "mutant")
        assert all(_laid_out(scenario, arm) for arm in scenario.arms.values())
    except ScenarioError as error:
        assert str(error)
        return
    text = dump_yaml(to_data(scenario))
    assert to_data(resolve(load_yaml(text, "again"), "again")) == to_data(scenario)


def _laid_out(scenario: AnyScenario, arm: Any) -> bool:
    """Whether an arm has chips, or runs, of its own; of very many nobody asks."""
    if isinstance(scenario, StudentTeacherScenario):
        return scenario.student_teacher.runs > 1000 or bool(scenario.places(arm))
    return scenario.chip.population > 1000 or bool(lay_out(scenario, arm).ids)


CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


@settings(max_examples=150, deadline=None, derandomize=True, database=None, suppress_health_check=CHECKS)
@given(mutated())
def test_a_mutated_scenario_is_read_or_refused(data: dict[str, Any]) -> None:
    _read(data)


@pytest.mark.slow
@settings(max_examples=20_000, deadline=None, database=None, suppress_health_check=CHECKS)
@given(mutated())
def test_a_mutated_scenario_is_read_or_refused_by_the_thousand(data: dict[str, Any]) -> None:
    _read(data)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.data())
def test_a_mutated_text_is_read_or_refused(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([scenario_text(name)[0] for name in scenario_names()]))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 12)))
        text = text[:start] + data.draw(st.text(alphabet=" \n\t:{}[],-&*!|>%@`'\"#abc019.", max_size=6)) + text[end:]
    try:
        parsed = load_yaml(text, "mutant")
    except ProfileError as error:
        assert str(error).startswith("mutant: ")
        return
    if isinstance(parsed, dict):
        _read(parsed)
