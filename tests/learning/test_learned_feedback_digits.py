"""Lansdell et al., Fig. 4, on digits: with W fixed the upper B finds W, and the lower B sends back what W would."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from analogsim.tasks import DATA_SETS

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "learned_feedback.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("learned_feedback_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("noise", [1e-2, *(pytest.param(c, marks=pytest.mark.slow) for c in (1e-3, 1e-1))])
def test_feedback_finds_the_fixed_weights(script, noise):
    """64-50-20-10, two networks, 32 images a step; an error that falls as 1/sqrt(steps) halves from mark to mark."""
    marks = (0, 25, 100, 400)
    rows = script.measure(DATA_SETS["digits"](), "ideal", noise, 2, marks)
    assert [(row["step"], row["layer"]) for row in rows] == [(mark, layer) for mark in marks for layer in (1, 2)]
    (before, first, second, last), lower = rows[1::2], rows[0::2]
    assert before["relative_error"] > 1, "two independent matrices are at least as far apart as one is long"
    assert second["relative_error"] < 0.75 * first["relative_error"]
    assert last["relative_error"] < 0.75 * second["relative_error"]
    assert last["angle"] < 0.75 * second["angle"] < 0.75**2 * first["angle"]
    assert lower[0]["angle"] > 60, "random feedback tells little"
    assert lower[-1]["angle"] < 45
    assert lower[-1]["angle"] < 0.75 * lower[1]["angle"]
    assert last["sign_agreement"] > second["sign_agreement"] > 0.5
