"""Conv2d: a convolution as reads of one crossbar with every patch of its input."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from analogsim.network.activations import Activation
from analogsim.network.layer import Layer, Multiply, unclipped
from analogsim.network.operations import Operation
from analogsim.network.window import Pair, Window, pair

BLOCK = 1 << 20
"""Numbers of the patches that are held at a time, of one chip, sample and pass."""


@dataclass(frozen=True)
class Conv2d(Layer):
    """A convolution: a = W [R v, 1] for the patch v under each place of the kernel, as a cross-correlation.

    The crossbar has a column for each output channel and a row for each number of a patch (channel by channel, row by
    row), and is read once for each place. Observed are the feature maps that the patches are cut from; zeros that pad
    them drive rows at level 0.

    Attributes:
        channels_in, height, width: of the input.
        channels_out: columns of the crossbar.
        activation: f.
        kernel, stride, padding: (rows, columns), or one number for both.
        bias: whether the crossbar has a bias row.
        after: operations behind f.
        window: where the kernel stands.

    Raises:
        ValueError: the kernel does not fit into the image.
    """

    channels_in: int
    height: int
    width: int
    channels_out: int
    kernel: int | Pair
    activation: Activation
    stride: int | Pair = 1
    padding: int | Pair = 0
    bias: bool = True
    after: tuple[Operation, ...] = ()
    inputs: int = field(init=False)
    columns: int = field(init=False)
    fan_in: int = field(init=False)
    fan_out: int = field(init=False)
    positions: int = field(init=False)
    window: Window = field(init=False)
    observes_vectors: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.channels_out < 1:
            raise ValueError(f"a convolution has at least one output channel (got {self.channels_out})")
        kernel = pair(self.kernel)
        image = (self.channels_in, self.height, self.width)
        window = Window(*image, kernel, pair(self.stride), pair(self.padding))
        area = kernel[0] * kernel[1]
        found = {
            "window": window,
            "inputs": window.pixels,
            "columns": self.channels_out,
            "fan_in": self.channels_in * area,
            "fan_out": self.channels_out * area,
            "positions": window.places,
        }
        for name, value in found.items():
            object.__setattr__(self, name, value)

    @property
    def observed(self) -> int:
        return self.inputs

    @property
    def block(self) -> int:
        """Batch elements whose patches are held at a time."""
        return max(1, BLOCK // (self.positions * self.rows))

    @override
    def drives(self, x: Tensor, decorrelation: Tensor | None) -> Iterator[tuple[slice, Tensor]]:
        for block in self._blocks(x):
            yield block, self.drive(self._decorrelated(x[..., block, :], decorrelation))

    @override
    def vectors(self, x: Tensor, decorrelation: Tensor | None) -> Iterator[tuple[slice, Tensor]]:
        return self.drives(x, decorrelation)

    @override
    def by_column(self, units: Tensor) -> Tensor:
        return units.unflatten(-1, (self.columns, self.positions)).transpose(-1, -2).flatten(-3, -2)

    @override
    def by_unit(self, columns: Tensor) -> Tensor:
        return columns.unflatten(-2, (-1, self.positions)).transpose(-1, -2).flatten(-2)

    @override
    def backward(
        self,
        multiply: Multiply,
        g: Tensor,
        x: Tensor,
        decorrelation: Tensor | None,
        limit: float | None,
    ) -> Tensor:
        parts = []
        for block in self._blocks(x):
            v = multiply(self.by_column(g[:, block]))
            if decorrelation is not None:
                if limit is not None:
                    v = unclipped(v, self._decorrelated(x[:, block], decorrelation), limit)
                v = torch.bmm(v, decorrelation)
            parts.append(self.window.fold(v.unflatten(1, (-1, self.positions))))
        found = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
        return found if decorrelation is not None else unclipped(found, x, limit)

    def _blocks(self, x: Tensor) -> Iterator[slice]:
        for start in range(0, x.shape[-2], self.block):
            yield slice(start, start + self.block)

    def _decorrelated(self, x: Tensor, decorrelation: Tensor | None) -> Tensor:
        """(C, ..., B, inputs) -> (C, ..., B x positions, fan_in): patches, or R times them."""
        patches = self.window.cut(x).flatten(-3, -2)
        if decorrelation is None:
            return patches
        turned = torch.bmm(patches.flatten(1, -2), decorrelation.transpose(1, 2))
        return turned.reshape(patches.shape)
