"""The simulation in few units: the rule on chips, number by number, and unrotated networks, in distribution."""

import copy
import tracemalloc

import numpy as np
import pytest
import torch

from analogsim.theory import (
    Draws,
    RotatedSimulation,
    StudentTeacher,
    gradient_step,
    memory_bytes,
    perturbation_step,
    rotated,
)

SIGMA = 1e-6


class Listener:
    """Hardware that passes everything on, and keeps the batches and perturbations of each step."""

    def __init__(self, rig):
        self._rig, self.chip, self.heard = rig, rig.chip, []
        self.network, self.chips, self.grants, self.limits = rig.network, rig.chips, rig.grants, rig.limits
        self.write, self.set_periphery, self.backward = rig.write, rig.set_periphery, rig.backward
        self._batch = None
        serve = rig.task.next_batch

        def next_batch():
            self._batch = serve()
            return self._batch

        rig.task.next_batch = next_batch

    def next_batch(self):
        self._rig.next_batch()

    def run(self, passes, samples=1):
        seen = self._rig.run(passes, samples)
        self.heard.append((*self._batch, *seen[-1].injected))
        return seen


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_a_step_is_that_of_the_rule_on_a_chip(hiratani, noise):
    """Twelve steps of 3 chips, 6-9-4, with the chips' own perturbations: equal to the rounding of dL ~ 1e-6 L."""
    student = hiratani.Student(StudentTeacher(6, 9, 4), 3, noise)
    first, second = (w.numpy().copy() for w in student.weights)
    rates, teacher = np.array([0.004, 0.002, 0.006]), student.task.teachers.numpy()
    listener = Listener(student.rig)
    student.rig = listener
    controller = student.controller(rates.tolist())
    for _ in range(12):
        controller.step()
        x, targets, hidden, output = (t.numpy().reshape(3, -1) for t in listener.heard[-1])
        zeta = targets - (teacher @ x[:, :, None])[:, :, 0]
        assert (np.abs(zeta).max() > 1e-9) == (noise > 0)
        drawn = Draws(x, zeta, hidden / SIGMA, output / SIGMA)
        coefficient, h = perturbation_step(first, second, teacher, drawn, rates, SIGMA)
        first = first + (coefficient * drawn.hidden)[:, :, None] * x[:, None]
        second = second + (coefficient * drawn.output)[:, :, None] * h[:, None]
    held = listener.chip.oracle.weights
    for w, own, begin, device in zip(controller.copy.weights, (first, second), student.weights, held, strict=True):
        moved = np.abs(own - begin.numpy()).max()
        assert moved > 0.005, "they have hardly learnt"
        np.testing.assert_allclose(w.numpy(), own, rtol=0, atol=1e-7 * moved)
        np.testing.assert_allclose(w.numpy(), device.numpy(), rtol=1e-12, atol=1e-12)


def test_a_finite_sigma_is_exact():
    """Against the loss itself at sigma 0.5: an identity."""
    rng = np.random.default_rng(1)
    first, second, a = rng.standard_normal((2, 5, 3)), rng.standard_normal((2, 4, 5)), rng.standard_normal((2, 4, 3))
    drawn = Draws(*(rng.standard_normal((2, n)) for n in (3, 4, 5, 4)))
    sigma, rates = 0.5, np.array([1.0, 2.0])

    def loss(run, scale):
        hidden = first[run] @ drawn.x[run] + scale * drawn.hidden[run]
        output = second[run] @ hidden + scale * drawn.output[run]
        return np.square(output - a[run] @ drawn.x[run] - drawn.zeta[run]).sum() / 2

    expected = [-rates[run] * (loss(run, sigma) - loss(run, 0)) / sigma for run in range(2)]
    found, _ = perturbation_step(first, second, a, drawn, rates, sigma)
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-12)


def test_a_rotation_changes_nothing_that_can_be_seen():
    """W1 -> O W1, W2 -> W2 O^T, xi1 -> O xi1: an identity."""
    rng = np.random.default_rng(2)
    first, second, a = rng.standard_normal((1, 6, 3)), rng.standard_normal((1, 2, 6)), rng.standard_normal((1, 2, 3))
    drawn = Draws(*(rng.standard_normal((1, n)) for n in (3, 2, 6, 2)))
    turn, _ = np.linalg.qr(rng.standard_normal((6, 6)))
    one, h = perturbation_step(first, second, a, drawn, np.ones(1), SIGMA)
    turned = drawn._replace(hidden=drawn.hidden @ turn.T)
    two, k = perturbation_step(turn @ first, second @ turn.T, a, turned, np.ones(1), SIGMA)
    np.testing.assert_allclose(two, one, rtol=1e-12)
    np.testing.assert_allclose(k, h @ turn.T, rtol=1e-12, atol=1e-12)


def test_runs_go_on_where_rows_are_nearly_dependent():
    """Gradient descent at 2.5 times its best rate: the least singular value falls below 1e-8 of the largest one."""
    problem = StudentTeacher(20, 400, 4)
    simulation = RotatedSimulation(problem, 2.5 * problem.gradient_rate, range(10), rule="sgd")
    simulation.run(600)
    assert (simulation.crashed < 0).all()
    assert (simulation.order_parameters()[:, 2] < 1e-4).all()


@pytest.mark.parametrize("hidden", [120, 3000])
def test_few_rows_are_the_cholesky_factor_of_many(hidden):
    """Also of more rows than are turned at once: R^T R is the Gram matrix, R triangular with a positive diagonal."""
    rows = np.random.default_rng(5).standard_normal((hidden, 12))
    np.testing.assert_allclose(rotated._few(rows), np.linalg.cholesky(rows.T @ rows).T, rtol=1e-12, atol=1e-12)


def test_few_rows_keep_what_is_small():
    """Singular values of 90 rows from 1 to 1e-12, of which squares would have lost all below 1e-8."""
    rng = np.random.default_rng(6)
    values = 10.0 ** -np.arange(13)
    left, right = (np.linalg.qr(rng.standard_normal((n, 13)))[0] for n in (90, 13))
    few = rotated._few(left * values @ right.T)
    np.testing.assert_allclose(np.linalg.svd(few, compute_uv=False), values, rtol=0, atol=5e-15)


def plain(problem, rate, runs, steps, noise, seed):
    """Order parameters of unrotated networks before and after some steps: plain code of its own, (runs, 4) each."""
    rng = np.random.default_rng(seed)
    x, h, y = problem.inputs, problem.hidden, problem.outputs
    a = rng.standard_normal((runs, y, x)) * np.sqrt(2 / (x + y))
    first = rng.standard_normal((runs, h, x)) * np.sqrt(2 / (x + h))
    second = rng.standard_normal((runs, y, h)) * np.sqrt(2 / (h + y))

    def parameters():
        m = second @ first
        norms = [np.square(first).sum((1, 2)) / x, np.square(second).sum((1, 2)) / y]
        return np.stack([*norms, np.square(m - a).mean((1, 2)), ((a - m) * m).mean((1, 2))], axis=1)

    before = parameters()
    for _ in range(steps):
        given = rng.standard_normal((runs, x, 1))
        hidden = first @ given
        error = second @ hidden - a @ given - noise * rng.standard_normal((runs, y, 1))
        xi1, xi2 = rng.standard_normal((runs, h, 1)), rng.standard_normal((runs, y, 1))
        back = second.transpose(0, 2, 1) @ error
        size = rate * ((back * xi1).sum(1) + (error * xi2).sum(1))[:, :, None]
        first = first - size * xi1 * given.transpose(0, 2, 1)
        second = second - size * xi2 * hidden.transpose(0, 2, 1)
    return before, parameters()


def test_in_distribution_it_is_the_unrotated_network():
    """4-100-3 with teacher noise, 80 steps: 7 rows become up to 71, then 7 again. n = 1500 runs each; logarithms."""
    problem, runs, steps, noise = StudentTeacher(4, 100, 3), 1500, 80, 1.0
    rate = 0.15 * problem.critical_rate
    simulation = RotatedSimulation(problem, rate, range(runs), teacher_noise=noise)
    before = simulation.order_parameters()
    simulation.run(steps)
    assert (simulation.crashed < 0).all()
    found = changes(before, simulation.order_parameters())
    expected = changes(*plain(problem, rate, runs, steps, noise, 3))
    both = np.sqrt(found.var(0) / runs + expected.var(0) / runs)
    z = np.abs(found.mean(0) - expected.mean(0)) / both
    assert z.max() < 4.2, z  # Bonferroni: seven normal numbers at 1e-4 in all have 4.3
    assert (np.abs(expected.mean(0)) > 20 * both)[:3].all(), "hardly anything has changed"


def changes(before, after):
    """Changes of the norms, ln(eps/eps_0), the change of phi, and squares of the first three: (runs, 7)."""
    moved = after - before
    moved[:, 2] = np.log(after[:, 2] / before[:, 2])
    return np.concatenate([moved, np.square(moved[:, :3])], axis=1)


def test_runs_are_the_same_alone_in_company_and_in_pieces():
    problem = StudentTeacher(4, 100, 3)
    rate = 0.3 * problem.critical_rate
    together = RotatedSimulation(problem, [rate, 40 * rate, rate], [5, 6, 7])
    for steps in (1, 30, 64, 65, 150):
        together.run(steps)
    assert together.crashed[1] > 0
    for index, seed in ((0, 5), (2, 7)):
        alone = RotatedSimulation(problem, rate, [seed])
        alone.run(150)
        np.testing.assert_allclose(alone.order_parameters()[0], together.order_parameters()[index], rtol=1e-10)


def test_a_narrow_layer_is_taken_as_it_is():
    """Fewer hidden units than rows: no rotation, and never more rows than units."""
    problem = StudentTeacher(6, 5, 4)
    simulation = RotatedSimulation(problem, 1e-3, range(3))
    before = simulation.order_parameters()
    simulation.run(200)
    assert (simulation.order_parameters()[:, 2] < before[:, 2]).all()
    assert simulation._first.shape == (3, 5, 6)


def test_rates_and_seeds_must_match():
    with pytest.raises(ValueError, match="one rate, or one for each of the 2 seeds"):
        RotatedSimulation(StudentTeacher(4, 100, 3), [1e-3], [0, 1])


def test_the_benchmarks_student_starts_as_the_problem_says(hiratani, judge):
    """Means of alpha, beta and eps over n = 400 chips of 6-9-4."""
    problem = StudentTeacher(6, 9, 4)
    student = hiratani.Student(problem, 400)
    alpha, beta = (w.square().sum((1, 2)) / n for w, n in zip(student.weights, (6, 4), strict=True))
    found = torch.stack([alpha, beta, student.errors(student.weights)], dim=1).numpy()
    largest, bound = judge.largest_z(found, np.array(problem.start[:3]))
    assert largest < bound


def test_a_gradient_step_is_the_gradient():
    """Against autograd, 3 runs of 4-6-2: an identity."""
    rng = np.random.default_rng(4)
    first, second, a = rng.standard_normal((3, 6, 4)), rng.standard_normal((3, 2, 6)), rng.standard_normal((3, 2, 4))
    drawn = Draws(*(rng.standard_normal((3, n)) for n in (4, 2, 6, 2)))
    hidden, output, h = gradient_step(first, second, a, drawn, np.array([1.0, 2.0, 3.0]))
    for run in range(3):
        w1, w2 = (torch.tensor(w[run], requires_grad=True) for w in (first, second))
        x = torch.tensor(drawn.x[run])
        loss = (w2 @ (w1 @ x) - torch.tensor(a[run]) @ x - torch.tensor(drawn.zeta[run])).square().sum() / 2
        (loss * (run + 1)).backward()
        for own, grad in ((np.outer(hidden[run], drawn.x[run]), w1.grad), (np.outer(output[run], h[run]), w2.grad)):
            np.testing.assert_allclose(own, -grad.numpy(), rtol=1e-12, atol=1e-12)


def test_gradient_descent_falls_as_the_rate_says():
    """ln eps of 10-5000-4 after 60 steps at the best rate: 60 ln(1 - 1/12) on average over E, n = 400 runs."""
    problem, runs, steps = StudentTeacher(10, 5000, 4), 400, 60
    simulation = RotatedSimulation(problem, problem.gradient_rate, range(runs), rule="sgd")
    before = simulation.order_parameters()
    simulation.run(steps)
    after = simulation.order_parameters()
    ratio = after[:, 2] / before[:, 2]
    error = ratio.std(ddof=1) / runs**0.5 / ratio.mean()
    assert abs(np.log(ratio.mean()) - steps * np.log(1 - 1 / 12)) < 4 * error + 0.05  # alpha and beta move by 1/Lh
    assert error < 0.2


def test_normalised_weights_keep_their_length():
    """alpha and beta are what Glorot's have on average, to rounding, and every hidden unit is there."""
    problem = StudentTeacher(5, 120, 3)
    simulation = RotatedSimulation(problem, 0.5 * problem.critical_rate, range(2), normalised=True)
    simulation.run(3)
    alpha, beta = simulation.order_parameters()[:, :2].T
    np.testing.assert_allclose(alpha, problem.start.alpha, rtol=1e-12)
    np.testing.assert_allclose(beta, problem.start.beta, rtol=1e-12)
    assert simulation._first.shape == (2, 120, 5)


def test_the_first_layers_norm_is_scaled_alone():
    problem = StudentTeacher(4, 100, 3)
    one, four = (RotatedSimulation(problem, 1e-3, range(3), first_norm=n).order_parameters() for n in (1.0, 4.0))
    np.testing.assert_allclose(four[:, 0], 4 * one[:, 0], rtol=1e-12)
    np.testing.assert_array_equal(four[:, 1], one[:, 1])


@pytest.mark.parametrize("steps", [0, 64, 70])
def test_a_simulation_goes_on_where_another_stood(steps):
    problem = StudentTeacher(4, 100, 3)
    made = [RotatedSimulation(problem, 0.3 * problem.critical_rate, [1, (2, 3)]) for _ in range(2)]
    made[0].run(steps)
    made[1].load_state_dict(copy.deepcopy(made[0].state_dict()))
    for simulation in made:
        simulation.run(150)
    np.testing.assert_array_equal(made[0].order_parameters(), made[1].order_parameters())


@pytest.mark.parametrize(
    ("sizes", "runs", "normalised"),
    [((40, 3000, 5), 8, False), ((40, 3000, 5), 8, True), ((200, 150, 30), 10, False), ((5, 200_000, 3), 1, False)],
)
def test_memory_is_told_before_it_is_taken(sizes, runs, normalised):
    """More than its arrays take, and between 0.9 and 2 times what is in use at most, over a rotation and new draws."""
    problem = StudentTeacher(*sizes)
    tracemalloc.start()
    try:
        simulation = RotatedSimulation(problem, 1e-9, range(runs), normalised=normalised)
        simulation.run(66)
        simulation.order_parameters()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    state = simulation.state_dict()
    held = sum(array.nbytes for array in (*state["arrays"].values(), *state["drawn"]))
    told = memory_bytes(problem, runs, normalised)
    assert held < told
    assert 0.9 * peak < told < 2 * peak


def test_runs_far_beyond_all_bounds_are_looked_at_without_a_warning():
    simulation = RotatedSimulation(StudentTeacher(4, 100, 3), 1e300, range(3))
    simulation.run(5)
    assert (simulation.crashed == 1).all()
    assert not np.isfinite(simulation.order_parameters()[:, 0]).any()
