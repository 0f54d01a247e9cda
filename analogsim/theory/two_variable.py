"""The two-variable dynamics of node perturbation (Hiratani et al., eq. 12), with teacher noise (eq. 14)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from analogsim.theory.student_teacher import OrderParameters, StudentTeacher

_CRASH = 1e3  # errors beyond that many times the first one are not followed


def two_variable_error(
    problem: StudentTeacher,
    rate: float,
    steps: Sequence[int] | NDArray[np.int64],
    teacher_noise: float = 0.0,
    start: OrderParameters | None = None,
) -> NDArray[np.float64]:
    """eps at given steps, by the ordinary differential equation

        a' = c (eps + sigma_t^2/Lx),      eps' = -2 a eps + c a^2 (eps + sigma_t^2/Lx),

    in units of 1/(eta Lh^(1/3)) steps, a = ||W1||^2 / (Lx Lh^(1/3)).

    It leaves out beta beside alpha in the rate of descent, which is right for a' of order one only: at the start of
    100-10000-10 alpha and beta are both 2, so the error of a simulation falls twice as fast as this one.

    Args:
        problem: sizes.
        rate: eta.
        steps: not negative, rising.
        teacher_noise: sigma_t.
        start: at step 0; the means over initial weights unless given.

    Returns:
        As many errors; inf from where they exceed 1000 times the first.
    """
    from scipy.integrate import solve_ivp

    start = problem.start if start is None else start
    c, noise = problem.c(rate), teacher_noise**2 / problem.inputs
    times = np.asarray(steps, dtype=np.float64) * rate * problem.hidden ** (1 / 3)

    def slope(_: float, state: NDArray[np.float64]) -> list[float]:
        a, eps = state
        return [c * (eps + noise), -2 * a * eps + c * a * a * (eps + noise)]

    def crashed(_: float, state: NDArray[np.float64]) -> float:
        return state[1] - _CRASH * start.eps

    crashed.terminal = True  # type: ignore[attr-defined]
    begin = [start.alpha / problem.hidden ** (1 / 3), start.eps]
    end = max(float(times[-1]), 1e-300)
    solved = solve_ivp(slope, (0.0, end), begin, "LSODA", t_eval=times, events=crashed, rtol=1e-9, atol=1e-300)
    errors = np.full(len(times), np.inf)
    errors[: solved.y.shape[1]] = solved.y[1]
    return errors


def nullcline(problem: StudentTeacher, rate: float, a: float, teacher_noise: float) -> float:
    """The error above which it falls, c a sigma_t^2 / (Lx (2 - c a)) (eq. 14); inf where a >= 2/c.

    Args:
        problem: sizes.
        rate: eta.
        a: ||W1||^2 / (Lx Lh^(1/3)).
        teacher_noise: sigma_t.
    """
    c = problem.c(rate)
    return np.inf if c * a >= 2 else c * a * teacher_noise**2 / (problem.inputs * (2 - c * a))
