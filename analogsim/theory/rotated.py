"""The linear student-teacher problem, simulated in few rotated units: exact for any hidden width.

A step (Hiratani et al., eq. 3) is dW1 = -c xi1 x^T, dW2 = -c xi2 h^T with h = W1 x and c = eta dL/sigma. A rotation O
of the hidden layer, W1 -> O W1, W2 -> W2 O^T, xi1 -> O xi1, changes no output, and xi1 has the same law in all
directions. Where no more than r < Lh rows of [W1, W2^T] differ from zero, O may turn what xi1 has outside of them into
one direction: a row r + 1, in which xi1 is the root of a chi-square number with Lh - r degrees of freedom. So each
step adds one row; now and then a rotation turns them into n = Lx + Ly again, the triangular factor of [W1, W2^T] in its
QR decomposition. In place of 1.1 million weights, 100-10000-10 takes fewer than 180 rows of 110.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from analogsim.theory.student_teacher import StudentTeacher

Array = NDArray[np.float64]
_BLOCK = 64  # rows that are added before they are turned into few again
_TURNED = 1024  # rows that are turned at once: no second copy of all is needed


class Draws(NamedTuple):
    """The random numbers of one step, R runs.

    Attributes:
        x: inputs (R, Lx).
        zeta: what the teacher adds, its standard deviation included, (R, Ly).
        hidden: perturbation of the hidden layer in units of sigma (R, rows).
        output: perturbation of the outputs in units of sigma (R, Ly).
    """

    x: Array
    zeta: Array
    hidden: Array
    output: Array


def perturbation_step(
    first: Array, second: Array, teacher: Array, drawn: Draws, rates: Array, sigma: float
) -> tuple[Array, Array]:
    """One step of node perturbation: what is to be added to both layers, as factors. dL is exact in sigma.

    Args:
        first: W1 (R, rows, Lx).
        second: W2 (R, Ly, rows).
        teacher: A (R, Ly, Lx).
        drawn: random numbers.
        rates: eta (R,).
        sigma: of the perturbations.

    Returns:
        The coefficient -eta dL/sigma (R, 1) and h (R, rows): dW1 is the coefficient times `hidden` x^T, dW2 the
        coefficient times `output` h^T.
    """
    h = _times(first, drawn.x)
    error = _times(second, h) - _times(teacher, drawn.x) - drawn.zeta
    change = _times(second, drawn.hidden) + drawn.output
    difference = (error * change).sum(1) + sigma / 2 * np.square(change).sum(1)
    return -(rates * difference)[:, None], h


def gradient_step(
    first: Array, second: Array, teacher: Array, drawn: Draws, rates: Array
) -> tuple[Array, Array, Array]:
    """One step of gradient descent on the same sample; arguments as in `perturbation_step`.

    Returns:
        -eta W2^T e (R, rows), -eta e (R, Ly) and h (R, rows): dW1 is the first times x^T, dW2 the second times h^T.
    """
    h = _times(first, drawn.x)
    error = _times(second, h) - _times(teacher, drawn.x) - drawn.zeta
    output = -rates[:, None] * error
    return _times(second.transpose(0, 2, 1), output), output, h


def _times(matrices: Array, vectors: Array) -> Array:
    return (matrices @ vectors[:, :, None])[:, :, 0]


class RotatedSimulation:
    """R runs of online learning, each with initial weights, teacher and samples of its own seed.

    Runs with the same seed meet the same numbers at every rate and under both rules; a run is the same alone or among
    others, to rounding.

    Args:
        problem: sizes.
        rates: eta of each run, or of all.
        seeds: of each run; one number, or several.
        teacher_noise: sigma_t.
        sigma: standard deviation of the perturbations.
        crash: a run is over when the loss of a sample exceeds that many times what it is on average at the start.
        rule: node perturbation, or stochastic gradient descent.
        first_norm: ||W1||^2 at the start, in units of what Glorot's initial weights have.
        normalised: after each step every unit's incoming weights get the length that Glorot's have on average.

    Attributes:
        steps: steps done.
        crashed: (R,), the step after which each run was over, or -1.

    Raises:
        ValueError: rates do not match seeds.
    """

    def __init__(
        self,
        problem: StudentTeacher,
        rates: float | Sequence[float],
        seeds: Sequence[int | Sequence[int]],
        *,
        teacher_noise: float = 0.0,
        sigma: float = 1e-6,
        crash: float = 1e3,
        rule: Literal["np", "sgd"] = "np",
        first_norm: float = 1.0,
        normalised: bool = False,
    ) -> None:
        each = np.full(len(seeds), rates, np.float64) if isinstance(rates, float) else np.array(rates, np.float64)
        if each.shape != (len(seeds),) or not len(seeds):
            raise ValueError(f"give one rate, or one for each of the {len(seeds)} seeds (got {rates})")
        self._problem, self._rates, self._noise, self._sigma = problem, each, teacher_noise, sigma
        self._rule, self._normalised = rule, normalised
        x, h, y = problem.inputs, problem.hidden, problem.outputs
        self._kept = _kept(problem, normalised)
        streams = [[np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(3)] for seed in seeds]
        self._normal, self._square = [s[1] for s in streams], [s[2] for s in streams]
        weights, teachers = zip(*(_initial(problem, s[0], self._kept < h) for s in streams), strict=True)
        rows = np.pad(np.stack(weights), ((0, 0), (0, min(_BLOCK, h - self._kept)), (0, 0)))
        self._first, self._second = rows[:, :, :x] * np.sqrt(first_norm), rows[:, :, x:].transpose(0, 2, 1).copy()
        self._teacher = np.stack(teachers)
        loss = y * (x * np.square(self._errors()).mean((1, 2)) + teacher_noise**2) / 2
        self._limit = crash * loss
        self._drawn: tuple[Array, Array] = (np.empty((0, 0, 0)), np.empty((0, 0)))
        self.steps = 0
        self.crashed = np.full(len(seeds), -1)

    def _errors(self) -> Array:
        return self._second @ self._first - self._teacher

    def order_parameters(self) -> Array:
        """alpha, beta, eps, phi of each run as it stands, (R, 4); a run that is over stays as it was last."""
        with np.errstate(over="ignore", invalid="ignore"):  # as in `run`
            student = self._second @ self._first
            error = student - self._teacher
            alpha, beta = np.square(self._first).sum((1, 2)), np.square(self._second).sum((1, 2))
            eps, phi = np.square(error).mean((1, 2)), -(error * student).mean((1, 2))
        return np.stack([alpha / self._problem.inputs, beta / self._problem.outputs, eps, phi], axis=1)

    def run(self, steps: int) -> None:
        """Go on until `steps` steps are done."""
        with np.errstate(over="ignore", invalid="ignore"):  # a run that is over has overflowed at worst
            while self.steps < steps and (self.crashed < 0).any():
                self._step()
        self.steps = max(self.steps, steps)

    def _step(self) -> None:
        row = self.steps % _BLOCK
        if row == 0:
            self._rotate()
            self._draw()
        active = np.flatnonzero(self.crashed < 0)
        at = slice(None) if len(active) == len(self.crashed) else active
        used = min(self._kept + row + 1, self._first.shape[1])
        x, y = self._problem.inputs, self._problem.outputs
        inputs, zeta, output, hidden = np.split(self._drawn[0][at, row], [x, x + y, x + 2 * y], axis=1)
        hidden = hidden[:, :used]
        if self._kept < self._problem.hidden:
            hidden[:, used - 1] = self._drawn[1][at, row]
        first, second = self._first[at, :used], self._second[at, :, :used]
        drawn = Draws(inputs, self._noise * zeta, hidden, output)
        teacher, rates = self._teacher[at], self._rates[at]
        if self._rule == "np":
            coefficient, h = perturbation_step(first, second, teacher, drawn, rates, self._sigma)
            hidden, output = coefficient * hidden, coefficient * output
        else:
            hidden, output, h = gradient_step(first, second, teacher, drawn, rates)
        first += hidden[:, :, None] * inputs[:, None]
        second += output[:, :, None] * h[:, None]
        if self._normalised:
            self._normalise(first, second)
        if at is active:  # they were copies
            self._first[at, :used], self._second[at, :, :used] = first, second
        self.steps += 1
        error = _times(second, h) - _times(self._teacher[at], inputs) - drawn.zeta
        loss = np.square(error).sum(1) / 2
        self.crashed[active[~(loss <= self._limit[active])]] = self.steps

    def _normalise(self, first: Array, second: Array) -> None:
        """w_ij <- s_k w_ij / sqrt(mean_j w_ij^2), s_k = sqrt(2 / (fan_in + fan_out)), in place."""
        x, h, y = self._problem.inputs, self._problem.hidden, self._problem.outputs
        for weights, target in ((first, 2 / (x + h)), (second, 2 / (h + y))):
            weights *= np.sqrt(target / np.square(weights).mean(2, keepdims=True))

    def _rotate(self) -> None:
        """Turn the rows that the last steps have added into the first ones."""
        n = self._kept
        if n == self._problem.hidden or self.steps == 0:
            return
        for run in np.flatnonzero(self.crashed < 0):
            rows = np.concatenate([self._first[run], self._second[run].T], axis=1)
            turned = _few(rows)
            self._first[run, :n], self._first[run, n:] = turned[:, : self._problem.inputs], 0
            self._second[run, :, :n], self._second[run, :, n:] = turned[:, self._problem.inputs :].T, 0

    def _draw(self) -> None:
        x, y, h = self._problem.inputs, self._problem.outputs, self._problem.hidden
        shape = (_BLOCK, x + 2 * y + self._first.shape[1])
        self._drawn = np.stack([g.standard_normal(shape) for g in self._normal]), self._drawn[1]
        if self._kept < h:
            free = h - self._kept - np.arange(_BLOCK)
            self._drawn = self._drawn[0], np.sqrt(np.stack([g.chisquare(free) for g in self._square]))

    def state_dict(self) -> dict[str, Any]:
        """Where the runs stand; the arrays are live, the rest is plain data."""
        names = ("_first", "_second", "_teacher", "_limit", "crashed")
        generators = {"normal": self._normal, "square": self._square}
        return {
            "steps": self.steps,
            "arrays": {name.lstrip("_"): getattr(self, name) for name in names},
            "drawn": list(self._drawn),
            "generators": {name: [g.bit_generator.state for g in each] for name, each in generators.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken of runs with the same settings."""
        arrays = {name: np.array(array) for name, array in state["arrays"].items()}
        self._first, self._second, self._teacher = arrays["first"], arrays["second"], arrays["teacher"]
        self._limit, self.crashed, self.steps = arrays["limit"], arrays["crashed"], state["steps"]
        self._drawn = np.array(state["drawn"][0]), np.array(state["drawn"][1])
        for name, generators in (("normal", self._normal), ("square", self._square)):
            for generator, own in zip(generators, state["generators"][name], strict=True):
                generator.bit_generator.state = own


def memory_bytes(problem: StudentTeacher, runs: int, normalised: bool = False) -> int:
    """What a simulation takes at most: its arrays, as many again for what a step computes, and one student as drawn.

    Args:
        problem: sizes.
        runs: R.
        normalised: see `RotatedSimulation`.
    """
    x, h, y = problem.inputs, problem.hidden, problem.outputs
    kept = _kept(problem, normalised)
    rows = kept + min(_BLOCK, h - kept)
    held = rows * (x + y) + y * x + _BLOCK * (x + 2 * y + rows + 1)
    return 8 * (2 * runs * held + 2 * h * (x + y))


def _kept(problem: StudentTeacher, normalised: bool) -> int:
    """Rows after a rotation; narrow layers, and those of which every unit counts, are taken as they are."""
    turned = problem.inputs + problem.outputs
    return turned if problem.hidden > turned + _BLOCK and not normalised else problem.hidden


def _initial(problem: StudentTeacher, generator: np.random.Generator, rotate: bool) -> tuple[Array, Array]:
    """Rows [W1, W2^T] and A of one run."""
    x, h, y = problem.inputs, problem.hidden, problem.outputs
    teacher = generator.standard_normal((y, x)) * np.sqrt(2 / (x + y))
    first = generator.standard_normal((h, x)) * np.sqrt(2 / (x + h))
    second = generator.standard_normal((h, y)) * np.sqrt(2 / (h + y))
    rows = np.concatenate([first, second], axis=1)
    return (_few(rows) if rotate else rows), teacher


def _few(rows: Array) -> Array:
    """As many rows as columns, of equal Gram matrix: the hidden layer rotated.

    R of a QR decomposition, with a positive diagonal. It is the Cholesky factor of the Gram matrix, without forming
    that: its condition number is the square of that of the rows, which may be nearly dependent.
    """
    few = rows[:0]
    for begin in range(0, len(rows), _TURNED):
        more = np.concatenate([few, rows[begin : begin + _TURNED]])
        few = np.asarray(np.linalg.qr(more, mode="r"))  # an array already, which its type does not say
    return few * np.where(few.diagonal() < 0, -1.0, 1.0)[:, None]
