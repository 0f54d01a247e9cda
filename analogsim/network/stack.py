"""Stack: builds a network layer by layer and keeps account of the shape of what comes out."""

from __future__ import annotations

import math
from dataclasses import replace

from analogsim.network.activations import Activation, Identity
from analogsim.network.convolution import Conv2d
from analogsim.network.layer import Dense, Layer
from analogsim.network.operations import AvgPool2d, Dropout, MaxPool2d, Operation, Softmax
from analogsim.network.window import Pair, Window, pair

Shape = tuple[int, ...]


class Stack:
    """Layers on each other. Every method raises ValueError where the next one does not fit.

    Args:
        shape: of the input: (channels, height, width), or (numbers,).

    Attributes:
        layers: so far.
        shape: of what comes out.
    """

    def __init__(self, shape: Shape) -> None:
        if len(shape) not in (1, 3) or min(shape) < 1:
            raise ValueError(f"an input is (numbers,) or (channels, height, width), each above 0 (got {shape})")
        self.layers: list[Layer] = []
        self.shape = tuple(shape)
        self._closed = False

    def dense(self, columns: int, activation: Activation | None = None, bias: bool = True) -> None:
        """A fully-connected layer; feature maps are flattened."""
        self._open("a dense layer")
        self.layers.append(Dense(math.prod(self.shape), columns, activation or Identity(), bias))
        self.shape = (columns,)

    def conv(
        self,
        channels: int,
        kernel: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        activation: Activation | None = None,
        bias: bool = True,
    ) -> None:
        """A convolution."""
        self._open("a convolution")
        image = self._image("a convolution")
        layer = Conv2d(*image, channels, kernel, activation or Identity(), stride, padding, bias)
        self.layers.append(layer)
        self.shape = (channels, layer.window.rows, layer.window.columns)

    def max_pool(self, kernel: int | Pair, stride: int | Pair | None = None, padding: int | Pair = 0) -> None:
        """A max pooling; in steps of the kernel unless given."""
        self._pool(MaxPool2d(self._window("a max pooling", kernel, stride, padding)), "a max pooling")

    def avg_pool(self, kernel: int | Pair, stride: int | Pair | None = None, padding: int | Pair = 0) -> None:
        """An average pooling; in steps of the kernel unless given."""
        self._pool(AvgPool2d(self._window("an average pooling", kernel, stride, padding)), "an average pooling")

    def dropout(self, p: float) -> None:
        """Dropout of the last layer's results; a layer has at most one."""
        if self.layers and self.layers[-1].masks is not None:
            raise ValueError("a layer takes one dropout, and the one before it has one already; join the two")
        self._append(Dropout(p), "a dropout")

    def softmax(self) -> None:
        """The readout; nothing comes after it."""
        if len(self.shape) != 1:
            raise ValueError(f"a softmax is a readout of flat data (got {_written(self.shape)}); flatten first")
        self._append(Softmax(), "a softmax")
        self._closed = True

    def activate(self, activation: Activation) -> None:
        """The activation function of the last layer."""
        if not self.layers or self.layers[-1].after or not isinstance(self.layers[-1].activation, Identity):
            raise ValueError(
                "an activation function stands directly behind a layer with weights; one that never falls (relu, "
                "tanh ...) gives the same in front of a max pooling as behind it"
            )
        layer = self.layers[-1]
        assert isinstance(layer, Dense | Conv2d)
        self.layers[-1] = replace(layer, activation=activation)

    def flatten(self) -> None:
        """Feature maps in one row, as they are held anyway."""
        self.shape = (math.prod(self.shape),)

    def _window(self, what: str, kernel: int | Pair, stride: int | Pair | None, padding: int | Pair) -> Window:
        return Window(*self._image(what), pair(kernel), pair(kernel if stride is None else stride), pair(padding))

    def _image(self, what: str) -> tuple[int, int, int]:
        if len(self.shape) != 3:
            raise ValueError(f"{what} takes an image of channels, height and width (got {_written(self.shape)})")
        channels, height, width = self.shape
        return channels, height, width

    def _pool(self, pool: MaxPool2d | AvgPool2d, what: str) -> None:
        self._append(pool, what)
        self.shape = (pool.window.channels, pool.window.rows, pool.window.columns)

    def _append(self, operation: Operation, what: str) -> None:
        self._open(what)
        if not self.layers:
            raise ValueError(f"{what} stands behind a layer with weights; there is none yet")
        layer = self.layers[-1]
        assert isinstance(layer, Dense | Conv2d)
        self.layers[-1] = replace(layer, after=(*layer.after, operation))

    def _open(self, what: str) -> None:
        if self._closed:
            raise ValueError(f"{what} stands behind the softmax, which is the readout: nothing comes after it")


def _written(shape: Shape) -> str:
    return f"{shape[0]} numbers" if len(shape) == 1 else "x".join(str(n) for n in shape)
