"""Node perturbation in linear networks learns as the mean field says, and crashes where it should."""

import math

import numpy as np
import pytest

from analogsim.theory import MeanField, RotatedSimulation, StudentTeacher

PAPER = StudentTeacher(100, 10000, 10)
SEEDS = 8


def test_the_error_after_2000_steps_is_within_10_percent_of_the_mean_field():
    """100-10000-10 at 0.8 and 1 eta*, n = 8 seeds: means of ln(eps/eps_0); with finite size within sampling error.

    A standard error is 1.5 to 2.5 % of the mean, so 10 % are at least 4 of them from the full field.
    """
    rates = [0.8 * PAPER.critical_rate, PAPER.critical_rate]
    simulation = RotatedSimulation(PAPER, np.repeat(rates, SEEDS).tolist(), [*range(SEEDS)] * 2)
    first = simulation.order_parameters()
    simulation.run(2000)
    last = simulation.order_parameters()
    logs = np.log(last[:, 2] / first[:, 2]).reshape(2, SEEDS)
    for found, rate in zip(logs, rates, strict=True):
        for finite_size in (False, True):
            field = MeanField(PAPER, rate, finite_size=finite_size).trajectory([2000])[0]
            assert found.mean() == pytest.approx(math.log(field[2] / PAPER.start.eps), rel=0.1)
    norms = last[:, :2].reshape(2, SEEDS, 2).mean(1)
    for found, rate in zip(norms, rates, strict=True):
        field = MeanField(PAPER, rate, finite_size=True).trajectory([2000])[0]
        np.testing.assert_allclose(found, field[:2], rtol=0.05)


def test_teacher_noise_lets_weights_diverge_and_normalisation_cures_it(hiratani):
    """20-200-4 on 5 ideal chips at 1.5 eta*, teacher noise of variance 0.1: rule, controller and writes.

    After 300 steps all 5 chips are far beyond their first error; with normalised weights all are below half of it.
    """
    problem, rate = hiratani.SMALL, 1.5 * hiratani.SMALL.critical_rate
    wild = hiratani.Student(problem, 5, hiratani.NOISE).learn(rate, [0, 300])
    tame = hiratani.Student(problem, 5, hiratani.NOISE).learn(rate, [0, 300], normalised=True)
    np.testing.assert_array_equal(wild[0], tame[0])
    assert (wild[1] > 10 * wild[0]).all()
    assert (tame[1] < 0.5 * tame[0]).all()


def test_teacher_noise_follows_the_mean_field_while_it_falls():
    """100-10000-10 with variance 4 at half the critical rate, 1000 steps, n = 8: ln(eps/eps_0) within 10 %.

    Without the noise the field falls 30 % further.
    """
    rate, noise = 0.5 * PAPER.critical_rate, 2.0
    simulation = RotatedSimulation(PAPER, rate, range(SEEDS), teacher_noise=noise)
    first = simulation.order_parameters()[:, 2]
    simulation.run(1000)
    found = np.log(simulation.order_parameters()[:, 2] / first).mean()
    expected = MeanField(PAPER, rate, noise, True).trajectory([1000])[0, 2] / PAPER.start.eps
    assert found == pytest.approx(math.log(expected), rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("factor", [0.8, 1.0, 1.2, 1.4])
def test_100000_steps_crash_above_the_critical_rate_only(factor):
    """100-10000-10, n = 5 seeds: below it the error ends under 1e-6 of the first, above it every run is over."""
    simulation = RotatedSimulation(PAPER, factor * PAPER.critical_rate, range(5))
    first = simulation.order_parameters()[:, 2]
    simulation.run(100_000)
    if factor > 1:
        assert (simulation.crashed > 0).all()
    else:
        assert (simulation.crashed < 0).all()
        assert (simulation.order_parameters()[:, 2] < 1e-6 * first).all()


@pytest.mark.slow
def test_a_wide_student_learns_on_chips_as_the_mean_field_says(hiratani):
    """100-1000-10 through rule, controller and writes, n = 8 chips, 400 steps at eta*: ln(eps/eps_0) within 10 %."""
    problem = StudentTeacher(100, 1000, 10)
    errors = hiratani.Student(problem, 8).learn(problem.critical_rate, [0, 400])
    expected = MeanField(problem, problem.critical_rate, finite_size=True).trajectory([400])[0, 2] / problem.start.eps
    assert np.log(errors[1] / errors[0]).mean() == pytest.approx(math.log(expected), rel=0.1)
