"""What the tests of theory share: the benchmark's students, and judges of statistics."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy import stats

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "hiratani.py"


@pytest.fixture(scope="session")
def hiratani() -> ModuleType:
    """The benchmark: its students learn through the whole path of rule, controller and chips."""
    spec = importlib.util.spec_from_file_location("hiratani", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Judge:
    """Bounds from the number of draws."""

    @staticmethod
    def largest_z(draws: np.ndarray, expected: np.ndarray | float, alpha: float = 1e-4) -> tuple[float, float]:
        """Largest |z| of means over the leading dimension, and Bonferroni's bound if all are as expected.

        The chance that any |z| exceeds the bound is at most alpha. Student's t for the n of the draws.
        """
        n, flat = len(draws), draws.reshape(len(draws), -1)
        z = (flat.mean(0) - np.ravel(expected)) / (flat.std(0, ddof=1) / n**0.5)
        return float(np.abs(z).max()), float(stats.t.isf(alpha / (2 * flat.shape[1]), n - 1))


@pytest.fixture(scope="session")
def judge() -> Judge:
    return Judge()


@pytest.fixture(scope="module", autouse=True)
def _one_thread(one_thread):
    """Tensors here are small."""
