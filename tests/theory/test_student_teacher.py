"""Initial values and the critical learning rate: published anchors, and what defines them."""

import math

import numpy as np
import pytest

from analogsim.theory import MeanField, StudentTeacher, nullcline, two_variable_error

PAPER = StudentTeacher(100, 10000, 10)


def test_the_papers_network_has_the_published_anchors():
    assert PAPER.start.beta == pytest.approx(1.998, rel=1e-4)
    assert PAPER.start.eps == pytest.approx(0.018577, rel=1e-4)
    assert PAPER.a_o == pytest.approx(0.09191, rel=1e-4)
    assert PAPER.critical_c == pytest.approx(4.02704, rel=1e-5)
    assert PAPER.critical_rate == pytest.approx(6.2348e-5, rel=1e-4)


@pytest.mark.parametrize("sizes", [(100, 10000, 10), (20, 200, 4), (3, 8, 2), (500, 1000, 1), (1, 1, 1), (90, 40, 70)])
def test_at_the_critical_c_the_lowest_error_is_zero(sizes):
    """The defining property, on networks where a_o^3/3 lies below eps_o and above it."""
    problem = StudentTeacher(*sizes)
    c, a, eps = problem.critical_c, problem.a_o, problem.start.eps
    assert 0 < c < 2 / a
    assert (eps - a**3 / 3) * c**3 + a**2 * c**2 - 4 / 3 == pytest.approx(0, abs=1e-12)
    lowest = 2 / c
    assert eps + a**2 / c - a**3 / 3 - lowest**2 / c + lowest**3 / 3 == pytest.approx(0, abs=1e-12 * (1 + lowest**3))


def test_where_the_error_exceeds_the_cubic_it_is_the_largest_real_root():
    for problem in (PAPER, StudentTeacher(20, 200, 4), StudentTeacher(100, 500, 10)):
        a, eps = problem.a_o, problem.start.eps
        assert eps > a**3 / 3
        roots = np.roots([eps - a**3 / 3, a**2, 0, -4 / 3])
        largest = max(root.real for root in roots if abs(root.imag) < 1e-9)
        assert problem.critical_c == pytest.approx(largest, rel=1e-9)


@pytest.mark.parametrize("factor", [0.5, 0.9, 0.999])
def test_below_the_critical_rate_the_error_vanishes_and_above_it_turns_round(factor):
    steps = np.linspace(0, 4e5, 4001).astype(int)
    below = two_variable_error(PAPER, factor * PAPER.critical_rate, steps)
    assert (np.diff(below[: np.argmin(below) + 1]) < 0).all()
    assert below[-1] < 1e-6 * below[0]
    above = two_variable_error(PAPER, PAPER.critical_rate / factor, steps)
    assert above.min() > 0
    assert above[-1] == math.inf


def test_the_conserved_sum_of_the_two_variables():
    """eps + a^2/c - a^3/3, with a from the integral of c eps: trapezes over 4001 points."""
    rate = 0.9 * PAPER.critical_rate
    steps = np.linspace(0, 40000, 4001).astype(int)
    eps, c = two_variable_error(PAPER, rate, steps), PAPER.c(rate)
    unit = rate * PAPER.hidden ** (1 / 3)
    a = PAPER.a_o + c * unit * np.concatenate([[0], np.cumsum((eps[1:] + eps[:-1]) / 2 * np.diff(steps))])
    total = eps + a**2 / c - a**3 / 3
    np.testing.assert_allclose(total, total[0], rtol=1e-5)


@pytest.mark.parametrize("share", [0.5, 0.1, 1e-3])
def test_training_steps_are_those_of_the_trajectory(share):
    """Eq. 13 beside the solved equation (eq. 12), an independent way to the same number."""
    rate = 0.8 * PAPER.critical_rate
    steps = PAPER.training_steps(rate, share * PAPER.start.eps)
    around = two_variable_error(PAPER, rate, [math.floor(steps), math.ceil(steps)])
    assert around[0] >= share * PAPER.start.eps * (1 - 1e-6)
    assert around[1] <= share * PAPER.start.eps * (1 + 1e-6)


def test_an_error_that_is_never_reached_takes_for_ever():
    assert PAPER.training_steps(1.2 * PAPER.critical_rate, 1e-3 * PAPER.start.eps) == math.inf
    assert PAPER.training_steps(PAPER.critical_rate, PAPER.start.eps) == 0


def test_on_the_nullcline_the_error_stands_still():
    """The first step of the equation whose noise puts the nullcline at its start, beside the step without noise."""
    rate = 1e-9  # so that a step is a derivative
    noise = math.sqrt(PAPER.start.eps * PAPER.inputs * (2 / PAPER.c(rate) / PAPER.a_o - 1))
    assert nullcline(PAPER, rate, PAPER.a_o, noise) == pytest.approx(PAPER.start.eps, rel=1e-12)
    changes = [np.diff(two_variable_error(PAPER, rate, [0, 1], sigma))[0] for sigma in (noise, 0.0, 2 * noise)]
    assert abs(changes[0]) < 1e-5 * abs(changes[1])
    assert changes[1] < 0 < changes[2]
    assert nullcline(PAPER, rate, 2 / PAPER.c(rate), noise) == math.inf


def test_wrong_arguments_are_told():
    with pytest.raises(ValueError, match=r"sizes of layers are at least 1 \(got inputs 0"):
        StudentTeacher(0, 1, 1)
    with pytest.raises(ValueError, match=r"a learning rate is positive and finite \(got 0"):
        MeanField(PAPER, 0.0)
    with pytest.raises(ValueError, match=r"teacher noise is a finite standard deviation, not negative \(got -1"):
        MeanField(PAPER, 1e-5, -1.0)
    with pytest.raises(ValueError, match="the target is above 0 and at most eps_o"):
        PAPER.training_steps(1e-5, 1.0)
    with pytest.raises(ValueError, match="whole numbers from 0 on that rise"):
        MeanField(PAPER, 1e-5).trajectory([3, 2])


def test_the_example_of_the_docstring():
    import doctest

    import analogsim.theory.student_teacher as module

    assert doctest.testmod(module).failed == 0
