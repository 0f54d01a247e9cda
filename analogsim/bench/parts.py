"""`parts`: what a read is made of, each part by itself beside the ideal product."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch

from analogsim import philox
from analogsim.bench import objects
from analogsim.bench.case import Case
from analogsim.bench.row import Row, timed
from analogsim.bench.timing import Act, in_turn
from analogsim.chip.coded import matrix_units


@dataclass(frozen=True)
class Parts(Case):
    """Products of other formats, random numbers, a pass over the outputs, and a read with next to no arithmetic.

    Attributes:
        widths: lines and columns of the layer.
        batch: B.
        repeats: turns, at least.
        seconds: of a series, at least.
    """

    widths: tuple[int, ...] = (256, 1024, 4096)
    batch: int = 1000
    repeats: int = 7
    seconds: float = 3.0

    @torch.no_grad()
    def rows(self, device: torch.device) -> Iterator[Row]:
        for width in self.widths:
            found = in_turn(self._acts(width, device), self.repeats, device, seconds=self.seconds)
            ideal = found.pop("torch.mm")
            for name, times in found.items():
                yield timed(
                    times,
                    ideal,
                    case="parts",
                    what=name,
                    beside="torch.mm",
                    device=device.type,
                    precision=None,
                    width=width,
                    batch=self.batch,
                    tile=width,
                    chips=1,
                )

    def _acts(self, width: int, device: torch.device) -> dict[str, Act]:
        x, w = objects.inputs(self.batch, width, device), objects.weights(width, device).t()
        half, out = torch.bfloat16, torch.empty_like(x)
        blocks = -(-out.numel() // philox.numbers(torch.float32))
        keys = torch.ones(1, 2, dtype=torch.int64, device=device)
        tiny, number = objects.layer(1, 1, "additive read noise", "exact", device), x[:1, :1][None]
        acts: dict[str, Act] = {"torch.mm": partial(torch.mm, x, w)}
        if device.type == "cpu" and matrix_units():
            codes, high = (torch.ones(each.shape, dtype=torch.int8) for each in (x, w.t()))
            multiply = partial(getattr(torch, "_int_mm"), codes, high.t())  # noqa: B009 - not exported
            acts["a product of bytes"] = multiply
        acts["a product of bfloat16"] = partial(torch.mm, x.to(half), w.to(half))
        acts["a normal number for each output"] = partial(philox.normal, keys, (0, 0), 0, blocks, torch.float32)
        acts["a copy of the outputs"] = partial(out.copy_, x)
        acts["a read of one device pair"] = partial(tiny.forward, number)
        return acts
