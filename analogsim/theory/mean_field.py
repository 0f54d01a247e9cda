"""The four-variable mean field of node perturbation in the linear student-teacher problem, step by step.

Derivation. Let M = W2 W1, E = M - A, e = E x - sigma_t zeta, g2 = e, g1 = W2^T e, h = W1 x. As sigma -> 0 a step is

    dW1 = -eta s xi1 x^T,      dW2 = -eta s xi2 h^T,      s = xi1.g1 + xi2.g2        (eq. 4).

Then dE = dM = D + Q with D = dW2 W1 + W2 dW1 and Q = dW2 dW1. All means below are Gaussian moments of xi, x and zeta at
given weights. Two of them are first and second order of the mean:

    <D> = -eta (E W1^T W1 + W2 W2^T E),
    <Q> = 2 eta^2 <(h.g1) g2 x^T> = 2 eta^2 [tr(E^T M) E + E (E^T M + M^T E) + sigma_t^2 M],

where s^2 (h.xi1) xi2 leaves the cross term only. The others are squares of the noise:

    <|dW1|^2> = eta^2 <(Lh |g|^2 + 2 |g1|^2) |x|^2>,      <|dW2|^2> = eta^2 <(Ly |g|^2 + 2 |g2|^2) |h|^2>,
    <|D|^2> = eta^2 <(Ly |g|^2 + 2 |g2|^2) |W1^T h|^2 + 4 (g2.W2 g1)(x.W1^T h) + (|W2|^2 |g|^2 + 2 |W2 g1|^2) |x|^2>,

with |g|^2 = |g1|^2 + |g2|^2. The mean field is one assumption: W1^T W1 = alpha I and W2 W2^T = beta I (the hidden
layer is wide). So |g1|^2 = beta |e|^2 and |h|^2 = alpha |x|^2. With <|e|^2 |x|^2> = Lx Ly (S + 2 eps), S = Lx eps +
sigma_t^2,

    <|dW1|^2>/Lx = eta^2 Ly [Lh (1+beta) + 2 beta] (S + 2 eps),
    <|dW2|^2>/Ly = eta^2 Lx alpha [Ly (1+beta) + 2] (S + 2 eps),
    n = <|D|^2>/(Lx Ly) = eta^2 [Ly (1+beta)(alpha^2+beta) + 2 (alpha+beta)^2] (S + 2 eps).

Dropped: E (E^T M + M^T E), of order 1/Ly beside tr(E^T M) E; <D.Q> and <|Q|^2>, of third and fourth order in eta. With

    2 phi = -(eps + psi) + |A|^2/(Lx Ly),      psi = |M|^2/(Lx Ly) = 2/(Lx+Ly) - eps - 2 phi,

what remains are the differences in `step`. The short form leaves out 2 eps, 2 beta, 2 and 2 (alpha^2 + beta^2), which
vanish beside the rest as all sizes grow; it keeps 4 alpha beta, which vanishes too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from analogsim.theory.student_teacher import OrderParameters, StudentTeacher


@final
@dataclass(frozen=True)
class MeanField:
    """Mean change of four order parameters in a step of node perturbation (Hiratani et al., section 4).

        d alpha = 2 eta Ly phi + <|dW1|^2>/Lx,          d beta = 2 eta Lx phi + <|dW2|^2>/Ly,
        d eps = -2 eta (alpha+beta) eps - 4 eta^2 phi (Lx Ly eps + sigma_t^2) + n,
        d phi = eta (alpha+beta)(eps - phi) + 2 eta^2 [Lx Ly phi (eps - phi) - sigma_t^2 (psi - phi)] - n.

    The module's docstring derives them and the terms that stand for noise.

    Attributes:
        problem: sizes.
        rate: eta.
        teacher_noise: sigma_t, not negative.
        finite_size: with all moments, or in the short form without those that vanish for large Lx, Ly and Lh.

    Raises:
        ValueError: the rate is not positive and finite, or the noise is negative or not finite.
    """

    problem: StudentTeacher
    rate: float
    teacher_noise: float = 0.0
    finite_size: bool = False

    def __post_init__(self) -> None:
        self.problem.c(self.rate)
        if not 0 <= self.teacher_noise < math.inf:
            raise ValueError(f"teacher noise is a finite standard deviation, not negative (got {self.teacher_noise})")

    def step(self, now: OrderParameters) -> OrderParameters:
        """The order parameters after one step."""
        x, y, eta, noise = self.problem.inputs, self.problem.outputs, self.rate, self.teacher_noise**2
        alpha, beta, eps, phi = now
        psi = self.problem.teacher - eps - 2 * phi
        first, second, error = self._noise(now)
        descent = eta * (alpha + beta)
        return OrderParameters(
            alpha + 2 * eta * y * phi + first,
            beta + 2 * eta * x * phi + second,
            eps - 2 * descent * eps - 4 * eta * eta * phi * (x * y * eps + noise) + error,
            phi + descent * (eps - phi) + 2 * eta * eta * (x * y * phi * (eps - phi) - noise * (psi - phi)) - error,
        )

    def _noise(self, now: OrderParameters) -> tuple[float, float, float]:
        """<|dW1|^2>/Lx, <|dW2|^2>/Ly and n."""
        x, h, y = self.problem.inputs, self.problem.hidden, self.problem.outputs
        alpha, beta, eps, _ = now
        power = self.rate * self.rate * (x * eps + self.teacher_noise**2)
        error = y * (1 + beta) * (alpha * alpha + beta)
        if not self.finite_size:
            return (
                power * h * y * (1 + beta),
                power * x * y * alpha * (1 + beta),
                power * (error + 4 * alpha * beta),
            )
        power += self.rate * self.rate * 2 * eps
        return (
            power * y * (h * (1 + beta) + 2 * beta),
            power * x * alpha * (y * (1 + beta) + 2),
            power * (error + 2 * (alpha + beta) * (alpha + beta)),
        )

    def trajectory(
        self, steps: Sequence[int] | NDArray[np.int64], start: OrderParameters | None = None
    ) -> NDArray[np.float64]:
        """Order parameters at given steps.

        Args:
            steps: whole numbers, not negative, rising.
            start: at step 0; the means over initial weights unless given.

        Returns:
            (len(steps), 4), float64: alpha, beta, eps, phi. After the error has left the range of floating point
            numbers all are inf.

        Raises:
            ValueError: steps do not rise.
        """
        wanted = [int(step) for step in steps]
        if any(later <= sooner for sooner, later in zip([-1, *wanted], wanted, strict=False)):
            raise ValueError(f"steps are whole numbers from 0 on that rise (got {wanted})")
        found = np.full((len(wanted), 4), np.inf)
        state, done = self.problem.start if start is None else start, 0
        for row, step in enumerate(wanted):
            while done < step and math.isfinite(sum(state)):
                state, done = self.step(state), done + 1
            if not math.isfinite(sum(state)):
                break
            found[row] = state
        return found
