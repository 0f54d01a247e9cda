"""The mean field's terms, one by one, against steps of node perturbation at weights for which its assumption holds."""

import math

import numpy as np
import pytest

from analogsim.theory import MeanField, OrderParameters, StudentTeacher, two_variable_error

PROBLEM = StudentTeacher(6, 30, 4)
ALPHA, BETA, DRAWS = 1.7, 2.3, 200_000


def isotropic():
    """W1 with W1^T W1 = alpha I, W2 with W2 W2^T = beta I, and a teacher: arbitrary but for that."""
    rng = np.random.default_rng(5)
    turned, _ = np.linalg.qr(rng.standard_normal((PROBLEM.hidden, PROBLEM.hidden)))
    first = math.sqrt(ALPHA) * turned[:, : PROBLEM.inputs]
    mixed = turned[:, : PROBLEM.outputs] * 0.6 + turned[:, 8 : 8 + PROBLEM.outputs] * 0.8
    second = math.sqrt(BETA) * mixed.T
    a = rng.standard_normal((PROBLEM.outputs, PROBLEM.inputs))
    return first, second, a * math.sqrt(PROBLEM.teacher * a.size) / np.linalg.norm(a)


def state(first, second, a):
    m = second @ first
    count = a.size
    return OrderParameters(
        np.square(first).sum() / PROBLEM.inputs,
        np.square(second).sum() / PROBLEM.outputs,
        np.square(m - a).sum() / count,
        -((m - a) * m).sum() / count,
    )


def coefficients(noise, finite_size=True):
    """Of eta and of eta^2 in a step from these weights: the step is a quadratic polynomial."""
    now = np.array(state(*isotropic()))
    one, two = (
        np.array(MeanField(PROBLEM, rate, noise, finite_size).step(OrderParameters(*now))) - now for rate in (1.0, 2.0)
    )
    return 2 * one - two / 2, two / 2 - one


def draws(noise):
    """Of each draw: the changes of W1 and W2 at eta = 1, and both orders of the change of W2 W1."""
    first, second, a = isotropic()
    rng = np.random.default_rng(7)
    x = rng.standard_normal((DRAWS, PROBLEM.inputs))
    error = x @ (second @ first - a).T - noise * rng.standard_normal((DRAWS, PROBLEM.outputs))
    xi1, xi2 = (rng.standard_normal((DRAWS, n)) for n in (PROBLEM.hidden, PROBLEM.outputs))
    change = ((xi1 @ second.T + xi2) * error).sum(1)
    d1 = -np.einsum("n,ni,nj->nij", change, xi1, x)
    d2 = -np.einsum("n,ni,nj->nij", change, xi2, x @ first.T)
    return d1, d2, d2 @ first + second @ d1, d2 @ d1


def test_the_first_order_is_the_gradient():
    """An identity: 2 <W, dW> with dW1 = -W2^T E and dW2 = -E W1^T, whatever the noise."""
    first, second, a = isotropic()
    m = second @ first
    e = m - a
    d1, d2 = -second.T @ e, -e @ first.T
    dm = d2 @ first + second @ d1
    expected = [
        2 * (first * d1).sum() / PROBLEM.inputs,
        2 * (second * d2).sum() / PROBLEM.outputs,
        2 * (e * dm).sum() / a.size,
        -((e + m) * dm).sum() / a.size,
    ]
    for finite_size in (False, True):
        np.testing.assert_allclose(coefficients(0.4, finite_size)[0], expected, rtol=1e-12)


def kept(noise):
    """tr(E^T M) E + sigma_t^2 M: half of the mean of Q, but for the dropped term."""
    first, second, a = isotropic()
    m = second @ first
    return ((m - a) * m).sum() * (m - a) + noise**2 * m


@pytest.mark.parametrize("noise", [0.0, 1.5])
def test_what_the_squares_of_noise_leave_is_the_second_order_of_the_mean(noise):
    """An identity: 2 <E, Q> + n and -<E + M, Q> - n, with n as derived; <Q> and n are held against draws below."""
    first, second, a = isotropic()
    m = second @ first
    e, now = m - a, state(first, second, a)
    power = PROBLEM.inputs * now.eps + noise**2 + 2 * now.eps
    n = power * (PROBLEM.outputs * (1 + BETA) * (ALPHA**2 + BETA) + 2 * (ALPHA + BETA) ** 2)
    expected = [4 * (e * kept(noise)).sum() / a.size + n, -2 * ((e + m) * kept(noise)).sum() / a.size - n]
    np.testing.assert_allclose(coefficients(noise)[1][2:], expected, rtol=1e-10)


@pytest.mark.parametrize("noise", [0.0, 1.5])
def test_the_second_order_is_that_of_drawn_steps(judge, noise):
    """n = 200,000 draws; the term that the derivation drops is added, and seen where it is not.

    2 <E, Q> lacks 4 <E, E (E^T M + M^T E)>, and <E + M, Q> lacks 2 <E + M, E (E^T M + M^T E)>.
    """
    first, second, a = isotropic()
    m = second @ first
    e, count = m - a, m.size
    d1, d2, linear, quadratic = draws(noise)
    power = np.square(linear).sum((1, 2))
    found = np.stack(
        [
            np.square(d1).sum((1, 2)) / PROBLEM.inputs,
            np.square(d2).sum((1, 2)) / PROBLEM.outputs,
            (2 * (e * quadratic).sum((1, 2)) + power) / count,
            -(((e + m) * quadratic).sum((1, 2)) + power) / count,
        ],
        axis=1,
    )
    dropped = e @ (e.T @ m + m.T @ e)
    rest = np.array([0, 0, 4 * (e * dropped).sum(), -2 * ((e + m) * dropped).sum()]) / count
    expected = coefficients(noise)[1]
    largest, bound = judge.largest_z(found, expected + rest)
    assert largest < bound
    sides = np.stack([dropped, e, m])
    projected = np.einsum("sij,nij->ns", sides, quadratic)
    largest, bound = judge.largest_z(projected, 2 * np.einsum("sij,ij->s", sides, kept(noise) + dropped))
    assert largest < bound
    largest, bound = judge.largest_z(projected, 2 * np.einsum("sij,ij->s", sides, kept(noise)))
    assert largest > bound, "n is too small to see the dropped term"
    largest, bound = judge.largest_z(found[:, :3], coefficients(noise, finite_size=False)[1][:3])
    assert largest > 3 * bound, "n is too small to see what finite size adds"


def test_the_short_noise_lacks_two_squares():
    """n / eta^2 per S: with 4 alpha beta in place of 2 (alpha + beta)^2, and S in place of S + 2 eps. An identity."""
    now = state(*isotropic())
    power = PROBLEM.inputs * now.eps + 0.16
    short, full = (coefficients(0.4, finite)[1][2] for finite in (False, True))
    error = PROBLEM.outputs * (1 + BETA) * (ALPHA**2 + BETA)
    missing = 2 * (ALPHA**2 + BETA**2) * power + 2 * now.eps * (error + 2 * (ALPHA + BETA) ** 2)
    assert full - short == pytest.approx(missing, rel=1e-10)


def test_finite_size_is_gone_in_large_networks():
    """Differences of the second order fall to a hundredth when all sizes grow a hundredfold."""

    def difference(factor):
        problem = StudentTeacher(20 * factor, 2000 * factor, 10 * factor)
        now = problem.start
        steps = [np.array(MeanField(problem, 1.0, 0.3, finite).step(now)) for finite in (False, True)]
        return (np.abs(steps[1] - steps[0]) / np.abs(steps[0]))[:3].max()

    assert difference(100) < 0.02 * difference(1)


def test_the_two_variables_fall_half_as_fast_at_the_papers_start():
    """ln(eps) at a tiny rate: alpha + beta = 3.978 against alpha = 1.980 in the descent."""
    problem = StudentTeacher(100, 10000, 10)
    rate, steps = 1e-4 * problem.critical_rate, 1000
    field = math.log(MeanField(problem, rate).trajectory([steps])[0, 2] / problem.start.eps)
    ordinary = math.log(two_variable_error(problem, rate, [steps])[0] / problem.start.eps)
    assert field / ordinary == pytest.approx((1.980198 + 1.998002) / 1.980198, rel=1e-3)


def test_finite_size_moves_the_rate_at_which_the_field_crashes():
    """At 1.2 eta* of the paper's network the short form converges, as no simulation does; the complete one crashes."""
    problem = StudentTeacher(100, 10000, 10)
    ends = [MeanField(problem, 1.2 * problem.critical_rate, 0.0, each).trajectory([20_000])[0, 2] for each in (0, 1)]
    assert ends[0] < 0.01 * problem.start.eps
    assert ends[1] == math.inf


def test_a_trajectory_is_the_same_in_pieces_and_ends_where_numbers_end():
    problem = StudentTeacher(100, 10000, 10)
    field = MeanField(problem, 1.4 * problem.critical_rate)
    whole = field.trajectory([0, 10, 25])
    assert tuple(whole[0]) == problem.start
    np.testing.assert_array_equal(field.trajectory([15], OrderParameters(*whole[1]))[0], whole[2])
    beyond = field.trajectory([5000, 20_000])
    assert np.isfinite(beyond[0]).all()
    assert np.isinf(beyond[1]).all()
