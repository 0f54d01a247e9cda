"""Window: where the kernel of a convolution or of a pooling stands on feature maps."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

Pair = tuple[int, int]


def pair(value: int | Pair) -> Pair:
    """(rows, columns) of what is given for both as one number."""
    rows, columns = (value, value) if isinstance(value, int) else value
    return rows, columns


@dataclass(frozen=True)
class Window:
    """A window that slides over an image, in steps, beginning `padding` outside of it.

    A window at the output's place (y, x) covers the image from (y, x) stride - padding on. Pixels of the image that
    are left over at the end, since another step would lead out of it, are not seen.

    Attributes:
        channels, height, width: of the image; feature maps are flat: channels, then rows, then columns.
        kernel, stride, padding: (rows, columns).

    Raises:
        ValueError: no window fits, or a number is not positive.
    """

    channels: int
    height: int
    width: int
    kernel: Pair
    stride: Pair
    padding: Pair

    def __post_init__(self) -> None:
        image = (self.channels, self.height, self.width)
        if min(image) < 1:
            raise ValueError(f"an image has channels, height and width above 0 (got {image})")
        if min(self.kernel) < 1 or min(self.stride) < 1:
            raise ValueError(f"kernel and stride must be above 0 (got kernel {self.kernel}, stride {self.stride})")
        if min(self.padding) < 0:
            raise ValueError(f"padding must not be negative (got {self.padding})")
        if min(self.rows, self.columns) < 1:
            padded = "x".join(str(n + 2 * p) for n, p in zip(image[1:], self.padding, strict=True))
            raise ValueError(
                "the kernel is larger than the image with its padding; choose a smaller kernel, or more padding "
                f"(got {self.kernel[0]}x{self.kernel[1]} on {padded})"
            )

    @property
    def rows(self) -> int:
        """Rows of the output."""
        return (self.height + 2 * self.padding[0] - self.kernel[0]) // self.stride[0] + 1

    @property
    def columns(self) -> int:
        """Columns of the output."""
        return (self.width + 2 * self.padding[1] - self.kernel[1]) // self.stride[1] + 1

    @property
    def places(self) -> int:
        """Places of the window."""
        return self.rows * self.columns

    @property
    def pixels(self) -> int:
        """Numbers of the image."""
        return self.channels * self.height * self.width

    def image(self, x: Tensor) -> Tensor:
        """Flat feature maps (..., n) as images (N, channels, height, width)."""
        return x.reshape(-1, self.channels, self.height, self.width)

    def cut(self, x: Tensor) -> Tensor:
        """What lies under the window, 0 outside the image.

        Args:
            x: (..., pixels).

        Returns:
            (..., places, channels x kernel rows x kernel columns), place by place, row by row.
        """
        (top, left), image = self.padding, self.image(x)
        if top or left:
            image = torch.nn.functional.pad(image, (left, left, top, top))
        under = image.unfold(2, self.kernel[0], self.stride[0]).unfold(3, self.kernel[1], self.stride[1])
        return under.permute(0, 2, 3, 1, 4, 5).reshape(*x.shape[:-1], self.places, -1)

    def fold(self, g: Tensor) -> Tensor:
        """The adjoint of `cut`: every pixel has the sum of what stands for it.

        Args:
            g: (..., places, channels x kernel rows x kernel columns).

        Returns:
            (..., pixels).
        """
        parts = g.reshape(-1, self.rows, self.columns, self.channels, *self.kernel).permute(0, 3, 4, 5, 1, 2)
        return self.gather(parts).reshape(*g.shape[:-2], -1)

    def gather(self, parts: Tensor) -> Tensor:
        """Sums over the places of the window.

        Sums are formed in the same order on every device, so results repeat to the bit.

        Args:
            parts: of each pixel under the window, (N, channels, kernel rows, kernel columns, rows, columns).

        Returns:
            (N, channels, height, width).
        """
        (top, left), (down, right) = self.padding, self.stride
        size = (parts.shape[0], self.channels, self.height + 2 * top, self.width + 2 * left)
        image = parts.new_zeros(size)
        for i in range(self.kernel[0]):
            for j in range(self.kernel[1]):
                rows = slice(i, i + down * (self.rows - 1) + 1, down)
                columns = slice(j, j + right * (self.columns - 1) + 1, right)
                image[:, :, rows, columns] += parts[:, :, i, j]
        return image[:, :, top : top + self.height, left : left + self.width]
