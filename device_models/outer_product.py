"""Outer products by coinciding pulses: a parallel update of a whole crossbar.

The change lr sum_m d_m x_m^T of a batch m = 1..M is made without being computed: in each of BL slots a row carries a
pulse with probability p_x = |x| C_x and a column one with p_d = |d| C_d; devices move where two coincide, up or down by
the product of the signs (Gokmen and Vlasov, Front. Neurosci. 10:333, 2016). Amplification

    C_x = sqrt(lr / (BL dw)) m,      C_d = sqrt(lr / (BL dw)) / m

makes the mean of the pulses dw (ups - downs) = lr sum_m d_m x_m^T as long as all probabilities are below 1. Update
management takes m = sqrt(max|d| / max|x|) for each sample, so that the largest probability of rows equals that of
columns (Gokmen, Onen and Haensch, Front. Neurosci. 11:538, 2017); without it m = 1. Probabilities above 1 are 1: the
largest changes come out too small, which `saturated` reports.

Trains are shared along rows and columns, so the errors of devices of a row, or of a column, are correlated as they are
on a chip. Signs take two phases, one for each direction; counts are exact integers (sums below 2^24 in float32).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from device_models.effect import Description
from device_models.limits import Limit

_SLOTS = 512  # slots that one matrix product counts


class PulseCounts(NamedTuple):
    """What the devices receive over a batch.

    Attributes:
        ups, downs: pulses of each device, (C, out, rows), whole numbers in the factors' dtype.
        rows, columns: pulses on each line, (C, 1, rows) and (C, out, 1): in each of the two phases.
        saturated: share of the driven lines' probabilities (rows and columns, those of zeros aside) above 1, (C,).
    """

    ups: Tensor
    downs: Tensor
    rows: Tensor
    columns: Tensor
    saturated: Tensor


class OuterProduct(Description):
    """How factors become trains of pulses."""

    length: Annotated[int, Field(strict=True), Limit(1, 10000, "it is a number of slots; published trains have 31")] = (
        31
    )
    """BL, slots of a train for each sample; no unit."""
    update_management: bool = True
    """Whether the largest probabilities of rows and columns are balanced for each sample."""
    trains: Literal["stochastic", "deterministic"] = "stochastic"
    """`deterministic`: no random numbers. Rows fill their first k = round(BL p_x) slots, columns spread their pulses
    evenly: k p_d coincidences, rounded down, so small changes are lost."""

    def probabilities(self, post: Tensor, pre: Tensor, lr: float | Tensor, dw: float | Tensor) -> tuple[Tensor, Tensor]:
        """Amplified factors C_d d (C, M, out) and C_x x (C, M, rows): probabilities with signs, not yet limited to 1.

        Args:
            post, pre: d (C, M, out) and x (C, M, rows); the wanted change is lr sum_m d x^T, in units of u.
            lr: not negative; a number, or (C, 1, 1).
            dw: mean step of a pulse, units of u; a number, or (C, 1, 1).
        """
        gain = torch.as_tensor(lr / dw, dtype=pre.dtype, device=pre.device).div(self.length).sqrt()
        if not self.update_management:
            return post * gain, pre * gain
        tiny = torch.finfo(pre.dtype).tiny
        largest_d, largest_x = (v.abs().amax(2, keepdim=True).clamp_min(tiny) for v in (post, pre))
        balance = largest_d.sqrt() / largest_x.sqrt()
        return post * (gain / balance), pre * (gain * balance)

    def expected(self, post: Tensor, pre: Tensor, lr: float | Tensor, dw: float | Tensor) -> Tensor:
        """Mean of ups - downs under stochastic trains, with the limit of probabilities, (C, out, rows)."""
        d, x = (p.clamp(-1, 1) for p in self.probabilities(post, pre, lr, dw))
        return self.length * torch.bmm(d.transpose(1, 2), x)

    def counts(
        self,
        post: Tensor,
        pre: Tensor,
        lr: float | Tensor,
        dw: float | Tensor,
        uniform: Callable[[tuple[int, ...]], Tensor] | None = None,
    ) -> PulseCounts:
        """Pulses of each device over the batch.

        Args:
            post, pre, lr, dw: see `probabilities`.
            uniform: gives numbers in [0, 1) of a shape (C, ...), on the factors' device; asked for each sample in
                turn, columns first. See `per_chip_uniform`. Deterministic trains need none.
        """
        if uniform is None and self.trains == "stochastic":
            raise ValueError("stochastic trains need random numbers (got uniform=None); pass a source of them")
        probabilities = self.probabilities(post, pre, lr, dw)
        chips, samples, out = post.shape
        net = post.new_zeros(chips, out, pre.shape[2])
        total = torch.zeros_like(net)
        rows, columns = net.new_zeros(chips, 1, pre.shape[2]), net.new_zeros(chips, out, 1)
        block = max(1, _SLOTS // self.length)
        for start in range(0, samples, block):
            d, x = self._trains([p[:, start : start + block] for p in probabilities], uniform)
            net.baddbmm_(d.transpose(1, 2), x)
            total.baddbmm_(d.abs().transpose(1, 2), x.abs())
            rows += x.abs().sum(1)[:, None]
            columns += d.abs().sum(1)[:, :, None]
        beyond = sum((p.abs() > 1).sum((1, 2)) for p in probabilities)
        driven = sum((p != 0).sum((1, 2)) for p in probabilities)
        return PulseCounts(
            ups=(total + net) / 2,
            downs=(total - net) / 2,
            rows=rows,
            columns=columns,
            saturated=torch.as_tensor(beyond / torch.as_tensor(driven).clamp_min(1)).to(post.dtype),
        )

    def _trains(
        self, probabilities: Sequence[Tensor], uniform: Callable[[tuple[int, ...]], Tensor] | None
    ) -> tuple[Tensor, Tensor]:
        """Signed trains of columns and rows, (C, samples * BL, lines), of a block of samples."""
        length, (d, x) = self.length, (p.clamp(-1, 1)[:, :, None] for p in probabilities)
        if uniform is None:
            slot = torch.arange(length, dtype=d.dtype, device=d.device)[:, None]
            edge = 1e-3 / length  # a product that should be whole must not be rounded down
            fired_d = ((slot + 1) * d.abs() + edge).floor() > (slot * d.abs() + edge).floor()
            fired_x = slot < (length * x.abs()).round()
        else:
            chips, lines = len(d), (d.shape[3], x.shape[3])
            numbers = [[uniform((chips, length, n)) for n in lines] for _ in range(d.shape[1])]
            fired_d, fired_x = (
                torch.stack(list(u), 1) < p.abs() for u, p in zip(zip(*numbers, strict=True), (d, x), strict=True)
            )
        return (d.sign() * fired_d).flatten(1, 2), (x.sign() * fired_x).flatten(1, 2)


def per_chip_uniform(
    generators: Sequence[torch.Generator | None], dtype: torch.dtype, device: torch.device | str = "cpu"
) -> Callable[[tuple[int, ...]], Tensor]:
    """A source of uniform numbers with one generator for each chip: a chip draws the same alone and in a population."""

    def draw(shape: tuple[int, ...]) -> Tensor:
        numbers = torch.empty(shape, dtype=dtype, device=device)
        for chip, generator in zip(numbers, generators, strict=True):
            chip.uniform_(generator=generator)
        return numbers

    return draw
