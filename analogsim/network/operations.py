"""Operations: what a layer computes digitally after its activation function, and the way back through it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from analogsim.network.window import Pair, Window


class Operation(ABC):
    """A digital operation on the results of a layer. It has no weights."""

    masked: ClassVar[bool] = False
    """Whether it takes a mask that is drawn once for a batch (dropout)."""

    @abstractmethod
    def results(self, count: int) -> int:
        """Numbers that it makes of `count` numbers.

        Raises:
            ValueError: it cannot take that many.
        """

    def digital_operations(self, count: int) -> int:
        """Arithmetic operations on `count` numbers, either way: one of each number unless it says otherwise."""
        return count

    def mask(self, uniform: Tensor) -> Tensor:
        """The mask that it takes, of uniform numbers shaped as its input.

        Raises:
            TypeError: it takes none.
        """
        raise TypeError(f"{type(self).__name__} takes no mask")

    @abstractmethod
    def __call__(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """The results.

        Args:
            x: (..., B, n); feature maps flat: channels, then rows, then columns.
            mask: broadcastable to x, or None where there is none.
        """

    @abstractmethod
    def adjoint(self, g: Tensor, x: Tensor, mask: Tensor | None) -> Tensor:
        """Derivatives by its inputs.

        Args:
            g: derivatives by its results, (..., B, results).
            x, mask: as in the forward direction.

        Returns:
            (..., B, n).
        """


@dataclass(frozen=True)
class Dropout(Operation):
    """y = m x, with m = 0 with probability p and 1 / (1 - p) otherwise, so the mean stays; without a mask y = x.

    N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever, R. Salakhutdinov, JMLR 15:1929, 2014. A mask is drawn once
    for a batch and is the same in all of its passes; evaluation has none.

    Attributes:
        p: share of the numbers that are dropped, in [0, 1).
    """

    p: float = 0.5
    masked: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 <= self.p < 1:
            raise ValueError(f"dropout drops a share of at least 0 and below 1 (got {self.p})")

    @override
    def results(self, count: int) -> int:
        return count

    @override
    def mask(self, uniform: Tensor) -> Tensor:
        return (uniform >= self.p).to(uniform.dtype).div_(1 - self.p)

    @override
    def __call__(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return x if mask is None else x * mask

    @override
    def adjoint(self, g: Tensor, x: Tensor, mask: Tensor | None) -> Tensor:
        return g if mask is None else g * mask


@dataclass(frozen=True)
class Softmax(Operation):
    """y_i = exp(x_i) / sum_j exp(x_j): a readout of probabilities. Its adjoint is y (g - sum_j g_j y_j)."""

    @override
    def results(self, count: int) -> int:
        return count

    @override
    def digital_operations(self, count: int) -> int:
        return 3 * count  # exponential, sum, quotient

    @override
    def __call__(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return torch.softmax(x, dim=-1)

    @override
    def adjoint(self, g: Tensor, x: Tensor, mask: Tensor | None) -> Tensor:
        y = torch.softmax(x, dim=-1)
        return y * (g - (g * y).sum(-1, keepdim=True))


@dataclass(frozen=True)
class _Pool(Operation):
    """A pooling of feature maps, channel by channel.

    Attributes:
        window: where it looks.

    Raises:
        ValueError: the padding is more than half of the kernel, so a window could see nothing but padding.
    """

    window: Window

    def __post_init__(self) -> None:
        kernel, padding = self.window.kernel, self.window.padding
        if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
            raise ValueError(f"the padding of a pooling is at most half of its kernel (got {padding} and {kernel})")

    @override
    def results(self, count: int) -> int:
        if count != self.window.pixels:
            size = "x".join(str(n) for n in (self.window.channels, self.window.height, self.window.width))
            raise ValueError(f"a pooling of maps of {size} takes {self.window.pixels} numbers (got {count})")
        return self.window.channels * self.window.places

    @override
    def digital_operations(self, count: int) -> int:
        return self.results(count) * self.window.kernel[0] * self.window.kernel[1]

    @property
    def _sizes(self) -> tuple[Pair, Pair, Pair]:
        return self.window.kernel, self.window.stride, self.window.padding

    def _by_place(self, g: Tensor) -> Tensor:
        """(..., results) -> (N, channels, 1, 1, rows, columns)."""
        w = self.window
        return g.reshape(-1, w.channels, 1, 1, w.rows, w.columns)


class MaxPool2d(_Pool):
    """The largest number under each place of the window; derivatives go to the first of the largest."""

    @override
    def __call__(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return torch.nn.functional.max_pool2d(self.window.image(x), *self._sizes).reshape(*x.shape[:-1], -1)

    @override
    def adjoint(self, g: Tensor, x: Tensor, mask: Tensor | None) -> Tensor:
        w = self.window
        image = w.image(x)
        _, largest = torch.nn.functional.max_pool2d(image, *self._sizes, return_indices=True)
        number = torch.arange(w.height * w.width, device=x.device).reshape(1, w.height, w.width)
        # The number of the pixel under each part of the window, counted from 1; 0 stands for padding.
        single = Window(1, w.height, w.width, w.kernel, w.stride, w.padding)
        under = single.cut((number + 1).reshape(1, -1)).reshape(w.rows, w.columns, *w.kernel).permute(2, 3, 0, 1)
        chosen = under == (largest + 1)[:, :, None, None]
        return w.gather(torch.where(chosen, self._by_place(g), 0.0)).reshape(x.shape)


class AvgPool2d(_Pool):
    """The mean of the numbers under each place of the window; padding counts as zeros."""

    @override
    def __call__(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return torch.nn.functional.avg_pool2d(self.window.image(x), *self._sizes).reshape(*x.shape[:-1], -1)

    @override
    def adjoint(self, g: Tensor, x: Tensor, mask: Tensor | None) -> Tensor:
        area = self.window.kernel[0] * self.window.kernel[1]
        parts = (self._by_place(g) / area).expand(-1, -1, *self.window.kernel, -1, -1)
        return self.window.gather(parts).reshape(x.shape)
