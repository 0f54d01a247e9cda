"""Node perturbation in the linear student-teacher problem, simulated by its Gram matrix: exact for any hidden width.

Let V = [W2^T, W1] (Lh x n, n = Ly + Lx) and K = V^T V its Gram matrix, with the blocks W2 W2^T, W2 W1 and W1^T W1. A step
of node perturbation (Hiratani et al., eq. 3), dW1 = -c xi1 x^T and dW2 = -c xi2 h^T with h = W1 x, is

    V <- V - c (h p^T + xi1 q^T),      p = [xi2, 0],      q = [0, x],
    K <- K - c (Kq p^T + p (Kq)^T + v q^T + q v^T) + c^2 (q.Kq p p^T + |xi1|^2 q q^T + v.q (p q^T + q p^T)),

and c = eta dL/sigma needs no more than v = V^T xi1 either: the change of the output is sigma (v_2 + xi2) with v_2 the first
Ly numbers of v. Given V, v ~ N(0, K), and |xi1|^2 = v^T K^-1 v + a chi-square number with Lh - n degrees of freedom. So K is
a Markov chain of its own, of n x n numbers: 110 x 110 in place of 1.1 million weights for 100-10000-10.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analogsim.theory.student_teacher import StudentTeacher

Array = NDArray[np.float64]
_BLOCK = 256  # steps whose random numbers are drawn at once; changes nothing else


class Draws(NamedTuple):
    """The random numbers of one step, R runs.

    Attributes:
        x: inputs (R, Lx).
        zeta: teacher noise in units of its standard deviation (R, Ly).
        xi: perturbation of the outputs in units of sigma (R, Ly).
        projection: v = V^T xi1, (R, Ly + Lx), of the perturbation xi1 of the hidden layer.
        power: |xi1|^2, (R,).
    """

    x: Array
    zeta: Array
    xi: Array
    projection: Array
    power: Array


def gram_step(gram: Array, teacher: Array, drawn: Draws, rates: Array, noise: float, sigma: float) -> Array:
    """K after one step.

    Args:
        gram: K (R, n, n), outputs before inputs.
        teacher: A (R, Ly, Lx).
        drawn: random numbers.
        rates: eta (R,).
        noise: sigma_t.
        sigma: of the perturbations; dL is exact in it.
    """
    outputs = teacher.shape[1]
    error = _times(gram[:, :outputs, outputs:] - teacher, drawn.x) - noise * drawn.zeta
    change = drawn.projection[:, :outputs] + drawn.xi
    c = (rates * ((error * change).sum(1) + sigma / 2 * np.square(change).sum(1)))[:, None]
    p = np.pad(drawn.xi, ((0, 0), (0, drawn.x.shape[1])))
    q = np.pad(drawn.x, ((0, 0), (outputs, 0)))
    image = _times(gram, q)
    hidden, overlap = (q * image).sum(1)[:, None], (q * drawn.projection).sum(1)[:, None]
    beside_p = c * image - c * c * (hidden / 2 * p + overlap * q)
    beside_q = c * drawn.projection - c * c * drawn.power[:, None] / 2 * q
    half = np.stack([p, q], axis=2) @ np.stack([beside_p, beside_q], axis=1)
    return gram - half - half.transpose(0, 2, 1)


def _times(matrices: Array, vectors: Array) -> Array:
    return (matrices @ vectors[:, :, None])[:, :, 0]


class ReducedSimulation:
    """R runs of online node perturbation, each with initial weights, teacher and samples of its own seed.

    Runs with the same seed meet the same numbers at every rate; a run is the same alone or among others, to rounding.

    Args:
        problem: sizes; the hidden layer has at least Lx + Ly units.
        rates: eta of each run, or of all.
        seeds: of each run.
        teacher_noise: sigma_t.
        sigma: standard deviation of the perturbations.
        crash: a run whose error exceeds that many times its first one is over.

    Attributes:
        steps: steps done.
        crashed: (R,) the step at which each run was over, or -1.

    Raises:
        ValueError: the hidden layer is too narrow, or rates do not match seeds.
    """

    def __init__(
        self,
        problem: StudentTeacher,
        rates: float | Sequence[float],
        seeds: Sequence[int],
        *,
        teacher_noise: float = 0.0,
        sigma: float = 1e-6,
        crash: float = 1e3,
    ) -> None:
        size = problem.inputs + problem.outputs
        if problem.hidden < size:
            raise ValueError(f"the hidden layer must have at least Lx + Ly = {size} units (got {problem.hidden})")
        each = np.full(len(seeds), rates, dtype=np.float64) if isinstance(rates, float) else np.array(rates, np.float64)
        if each.shape != (len(seeds),) or not len(seeds):
            raise ValueError(f"give one rate, or one for each of the {len(seeds)} seeds (got {rates})")
        self._problem, self._rates, self._noise, self._sigma = problem, each, teacher_noise, sigma
        streams = [[np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(3)] for seed in seeds]
        self._normal, self._square = [s[1] for s in streams], [s[2] for s in streams]
        first = [_initial(problem, s[0]) for s in streams]
        self._gram, self._teacher = (np.stack(part) for part in zip(*first, strict=True))
        self._limit = crash * self.order_parameters()[:, 2]
        self._drawn: tuple[Array, Array] = (np.empty((0, 0, 0)), np.empty((0, 0)))
        self.steps = 0
        self.crashed = np.full(len(seeds), -1)

    def order_parameters(self) -> Array:
        """alpha, beta, eps, phi of each run as it stands, (R, 4); a run that is over stays as it was last."""
        y = self._problem.outputs
        student = self._gram[:, :y, y:]
        error = student - self._teacher
        diagonal = np.diagonal(self._gram, axis1=1, axis2=2)
        eps, phi = np.square(error).mean((1, 2)), -(error * student).mean((1, 2))
        return np.stack([diagonal[:, y:].mean(1), diagonal[:, :y].mean(1), eps, phi], axis=1)

    def run(self, steps: int) -> None:
        """Go on until `steps` steps are done."""
        while self.steps < steps and (self.crashed < 0).any():
            self._step()
        self.steps = max(self.steps, steps)

    def _step(self) -> None:
        row = self.steps % _BLOCK
        if row == 0:
            self._draw()
        active = np.flatnonzero(self.crashed < 0)
        normal, square = self._drawn[0][active, row], self._drawn[1][active, row]
        x, y = self._problem.inputs, self._problem.outputs
        gram, teacher = self._gram[active], self._teacher[active]
        inputs, zeta, xi, z = np.split(normal, [x, x + y, x + 2 * y], axis=1)
        projection = _times(np.linalg.cholesky(gram), z)
        drawn = Draws(inputs, zeta, xi, projection, np.square(z).sum(1) + square)
        self._gram[active] = gram_step(gram, teacher, drawn, self._rates[active], self._noise, self._sigma)
        self.steps += 1
        error = np.square(self._gram[active, :y, y:] - teacher).mean((1, 2))
        self.crashed[active[~(error <= self._limit[active])]] = self.steps

    def _draw(self) -> None:
        x, h, y = self._problem.inputs, self._problem.hidden, self._problem.outputs
        normal = [g.standard_normal((_BLOCK, 2 * x + 3 * y)) for g in self._normal]
        free = h - x - y
        square = [g.chisquare(free, _BLOCK) if free else np.zeros(_BLOCK) for g in self._square]
        self._drawn = np.stack(normal), np.stack(square)


def _initial(problem: StudentTeacher, generator: np.random.Generator) -> tuple[Array, Array]:
    """K and A of one run."""
    x, h, y = problem.inputs, problem.hidden, problem.outputs
    teacher = generator.standard_normal((y, x)) * np.sqrt(2 / (x + y))
    second = generator.standard_normal((h, y)) * np.sqrt(2 / (h + y))
    first = generator.standard_normal((h, x)) * np.sqrt(2 / (x + h))
    v = np.concatenate([second, first], axis=1)
    return v.T @ v, teacher
