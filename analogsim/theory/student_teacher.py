"""The linear student-teacher problem: sizes, order parameters at the start, critical learning rate.

N. Hiratani, Y. Mehta, T. Lillicrap, P. Latham, "On the stability and scalability of node perturbation learning",
NeurIPS 2022, section 4; quantities of its appendix as far as the text fixes them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, final


class OrderParameters(NamedTuple):
    """What the mean field knows of a student y = W2 W1 x that learns y* = A x + noise.

    Attributes:
        alpha: ||W1||^2 / Lx.
        beta: ||W2||^2 / Ly.
        eps: ||W2 W1 - A||^2 / (Lx Ly), the error.
        phi: tr[(A - W2 W1)^T W2 W1] / (Lx Ly).
    """

    alpha: float
    beta: float
    eps: float
    phi: float


@final
@dataclass(frozen=True)
class StudentTeacher:
    """A linear network with one hidden layer that learns a linear map, one new sample at each step.

    A ~ N(0, 2/(Lx+Ly)), W1 ~ N(0, 2/(Lx+Lh)), W2 ~ N(0, 2/(Lh+Ly)), no biases, x ~ N(0, I), loss 1/2 ||y - y*||^2.
    Time is counted in steps; none of the numbers has a unit.

    >>> net = StudentTeacher(inputs=100, hidden=10000, outputs=10)
    >>> print(f"{net.critical_rate:.4e}")
    6.2348e-05

    Attributes:
        inputs: Lx.
        hidden: Lh.
        outputs: Ly.

    Raises:
        ValueError: a size is below 1.
    """

    inputs: int
    hidden: int
    outputs: int

    def __post_init__(self) -> None:
        if min(self.inputs, self.hidden, self.outputs) < 1:
            raise ValueError(
                f"sizes of layers are at least 1 (got inputs {self.inputs}, hidden {self.hidden}, "
                f"outputs {self.outputs})"
            )

    @cached_property
    def start(self) -> OrderParameters:
        """Their means over initial weights and teachers.

        alpha_o = 2 Lh/(Lx+Lh), beta_o = 2 Lh/(Lh+Ly), eps_o = m + 2/(Lx+Ly), phi_o = -m, where
        m = 4 Lh/((Lx+Lh)(Ly+Lh)) is the mean of ||W2 W1||^2 / (Lx Ly).
        """
        x, h, y = self.inputs, self.hidden, self.outputs
        student = 4 * h / ((x + h) * (y + h))
        return OrderParameters(2 * h / (x + h), 2 * h / (h + y), student + self.teacher, -student)

    @property
    def teacher(self) -> float:
        """The mean of ||A||^2 / (Lx Ly)."""
        return 2 / (self.inputs + self.outputs)

    @property
    def a_o(self) -> float:
        """alpha_o / Lh^(1/3): the weight norm of the two-variable dynamics at the start."""
        return self.start.alpha / self.hidden ** (1 / 3)

    @cached_property
    def critical_c(self) -> float:
        """c*: the root of (eps_o - a_o^3/3) c^3 + a_o^2 c^2 - 4/3 = 0 between 0 and 2/a_o.

        With a' = c eps and eps' = -(2 - c a) a eps (eq. 12), eps + a^2/c - a^3/3 is conserved, and eps has its minimum
        where a = 2/c. At c* that minimum is 0: below it the error vanishes first, above it the error turns round. The
        cubic rises from -4/3 to 8 eps_o/a_o^3 on that range, so there is one root; where eps_o > a_o^3/3 it is the
        largest of all.
        """
        from scipy.optimize import root_scalar

        a, eps = self.a_o, self.start.eps
        found = root_scalar(lambda c: (eps - a**3 / 3) * c**3 + a**2 * c**2 - 4 / 3, bracket=(0.0, 2 / a), xtol=1e-15)
        return float(found.root)

    @property
    def critical_rate(self) -> float:
        """eta* = c* / (Lx Ly (1 + beta_o) Lh^(1/3)), at zero teacher noise."""
        return self.critical_c / self._c_per_rate

    @property
    def gradient_rate(self) -> float:
        """1 / ((alpha_o + beta_o) (Lx + 2)): at which stochastic gradient descent learns fastest.

        With W1^T W1 = alpha I and W2 W2^T = beta I that stay, a step is E <- E (I - k x x^T), k = eta (alpha + beta).
        ||E||^2 changes by the factor 1 - 2 k + k^2 (Lx + 2) on average, at best 1 - 1/(Lx + 2): hence the
        Lx ln(eps_o/eps) steps of eq. 13.
        """
        return 1 / ((self.start.alpha + self.start.beta) * (self.inputs + 2))

    def c(self, rate: float) -> float:
        """c_o = eta Lh^(1/3) Lx Ly (1 + beta_o) of a learning rate eta.

        Raises:
            ValueError: the rate is not positive and finite.
        """
        if not 0 < rate < math.inf:
            raise ValueError(f"a learning rate is positive and finite (got {rate})")
        return rate * self._c_per_rate

    @property
    def _c_per_rate(self) -> float:
        return self.hidden ** (1 / 3) * self.inputs * self.outputs * (1 + self.start.beta)

    def training_steps(self, rate: float, target: float) -> float:
        """Steps until the two-variable dynamics without teacher noise reaches an error (eq. 13).

        T = Lx Ly (1 + beta_o)/c_o int_{a_o}^{a_tg} da / (c_o (eps_tot + a^3/3) - a^2),
        with eps_tot = eps_o + a_o^2/c_o - a_o^3/3 and a_tg where eps = target.

        Args:
            rate: eta.
            target: the error to reach, above 0 and at most eps_o.

        Returns:
            Steps, or inf where that error is never reached.

        Raises:
            ValueError: the target is out of range.
        """
        from scipy.integrate import quad
        from scipy.optimize import root_scalar

        c, a, start = self.c(rate), self.a_o, self.start.eps
        if not 0 < target <= start:
            raise ValueError(f"the target is above 0 and at most eps_o = {start:g} (got {target})")
        total = start + a**2 / c - a**3 / 3

        def eps(norm: float) -> float:
            return total - norm**2 / c + norm**3 / 3

        if a >= 2 / c or eps(2 / c) > target:
            return 0.0 if target == start else math.inf
        # eps falls between a_o and 2/c
        last = float(root_scalar(lambda norm: eps(norm) - target, bracket=(a, 2 / c), xtol=1e-15).root)
        integral, _ = quad(lambda norm: 1 / (c * eps(norm)), a, last, limit=200)
        return self.inputs * self.outputs * (1 + self.start.beta) / c * integral
