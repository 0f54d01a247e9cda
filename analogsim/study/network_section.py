"""The network of a scenario: its layers as written, and the network that they come to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema, field_validator, model_validator
from typing_extensions import Self

from analogsim.network import (
    Activation,
    Binary,
    HardThreshold,
    Identity,
    Initialisation,
    LeakyReLU,
    Network,
    Sigmoid,
    Stack,
    Tanh,
)
from analogsim.study.section import PositiveInt, Section

LAYER_TAGS = ("units", "layer")
"""Tags of the union that an entry of `layers` is; no word of a scenario."""

_WEIGHTLESS = ("max_pool", "avg_pool", "dropout", "softmax")


def _size(least: int) -> Any:
    def check(value: Any) -> Any:
        both = value if isinstance(value, list | tuple) else (value, value)
        whole = all(isinstance(each, int) and not isinstance(each, bool) and each >= least for each in both)
        if len(both) != 2 or not whole:
            raise ValueError(f"must be a whole number of at least {least}, or two: [rows, columns] (got {value!r})")
        return tuple(value) if isinstance(value, list) else value

    one = {"type": "integer", "minimum": least}
    schema = {"anyOf": [one, {"type": "array", "items": one, "minItems": 2, "maxItems": 2}]}
    return Annotated[Any, BeforeValidator(check), WithJsonSchema(schema)]


if TYPE_CHECKING:
    Size = Padding = int | tuple[int, int]
else:
    Size, Padding = _size(1), _size(0)


class ActivationSetting(Section):
    """An activation function: one of these; the name alone stands for its defaults."""

    leaky_relu: float | None = Field(default=None, ge=0, lt=1, allow_inf_nan=False, strict=True)
    """Leaky ReLU with this slope for negative inputs."""
    relu: Literal[True] | None = None
    """0 for negative inputs."""
    tanh: Literal[True] | None = None
    """Hyperbolic tangent."""
    sigmoid: Literal[True] | None = None
    """1 / (1 + exp(-a))."""
    hard_threshold: Literal[True] | None = None
    """1 for positive inputs, 0 for others; it has no derivative."""
    binary: Literal[True] | None = None
    """1 for positive inputs, -1 for others; it has no derivative."""
    identity: Literal[True] | None = None
    """No non-linearity."""

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, data: Any) -> Any:
        if isinstance(data, str):
            if data not in cls.model_fields:
                names = ", ".join(cls.model_fields)
                raise ValueError(f"no activation function is called {data!r}; choose one of {names}")
            return {data: 0.01 if data == "leaky_relu" else True}
        return data

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(getattr(self, name) is not None for name in type(self).model_fields) != 1:
            raise ValueError("give exactly one activation function, such as {leaky_relu: 0.01} or identity")
        return self

    def build(self) -> Activation:
        if self.leaky_relu is not None:
            return LeakyReLU(self.leaky_relu)
        others: dict[str, Activation] = {
            "relu": LeakyReLU(0.0),
            "tanh": Tanh(),
            "sigmoid": Sigmoid(),
            "hard_threshold": HardThreshold(),
            "binary": Binary(),
            "identity": Identity(),
        }
        return next(each for name, each in others.items() if getattr(self, name) is not None)


class ConvSetting(Section):
    """A convolution."""

    channels: PositiveInt
    """Channels that come out: columns of the crossbar."""
    kernel: Size
    """Size of the kernel, or `[rows, columns]`."""
    stride: Size = 1
    """Step of the kernel, or `[rows, columns]`."""
    padding: Padding = 0
    """Zeros on each side of the image, or `[rows, columns]`."""


class PoolSetting(Section):
    """A pooling; a number alone stands for its kernel."""

    kernel: Size
    """Size of the window, or `[rows, columns]`."""
    stride: Size | None = None
    """Step of the window; that of the kernel's size unless given."""
    padding: Padding = 0
    """Padding on each side of the image, or `[rows, columns]`."""

    @model_validator(mode="before")
    @classmethod
    def _kernel_alone(cls, data: Any) -> Any:
        return data if isinstance(data, Mapping) else {"kernel": data}


class LayerSetting(Section):
    """A layer, or an operation on the results of the one before it: one of these."""

    dense: PositiveInt | None = None
    """A fully-connected layer of so many units; feature maps are flattened."""
    conv: ConvSetting | None = None
    """A convolution."""
    max_pool: PoolSetting | None = None
    """The largest number under each place of a window."""
    avg_pool: PoolSetting | None = None
    """The mean of the numbers under each place of a window."""
    dropout: float | None = Field(default=None, ge=0, lt=1, allow_inf_nan=False, strict=True)
    """In training, drop numbers with this probability and scale the rest so that the mean stays."""
    softmax: Literal[True] | None = None
    """Probabilities: the readout; `softmax` alone will do."""
    activation: ActivationSetting | None = None
    """Of this layer, in place of the network's; the last layer with weights is linear unless given."""

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, data: Any) -> Any:
        if isinstance(data, str):
            if data != "softmax":
                raise ValueError(
                    f"no layer is called {data!r}; write units, a mapping such as {{conv: ...}}, or softmax"
                )
            return {"softmax": True}
        return data

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        kinds = [name for name in type(self).model_fields if name != "activation"]
        given = [name for name in kinds if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of {', '.join(kinds)} (got {', '.join(given) or 'none'})")
        if self.activation is not None and given[0] in _WEIGHTLESS:
            raise ValueError(f"only dense and conv have an activation function (got {given[0]} with one)")
        return self

    @property
    def weighted(self) -> bool:
        """Whether it is a layer with weights."""
        return self.dense is not None or self.conv is not None


def _tag(value: Any) -> str:
    return "layer" if isinstance(value, str | Mapping | LayerSetting) else "units"


if TYPE_CHECKING:
    LayerItem = int | LayerSetting
else:
    LayerItem = Annotated[
        Annotated[PositiveInt, Tag("units")] | Annotated[LayerSetting, Tag("layer")], Discriminator(_tag)
    ]


class NetworkSection(Section):
    """A chain of layers; the last one with weights is linear unless it says otherwise."""

    layers: tuple[LayerItem, ...] = Field(json_schema_extra={"minItems": 1})
    """From the first hidden layer to the output: a number is a fully-connected layer of so many units. The input's size
    is the data's."""
    activation: ActivationSetting = ActivationSetting(leaky_relu=0.01)
    """Of the hidden layers."""
    bias: bool = Field(default=True, strict=True)
    """Whether each crossbar has a bias row."""
    init: Initialisation = "he_normal"
    """Law of the initial weights; biases begin at zero, or, with `glorot_normal_biases`, like weights."""

    @field_validator("layers")
    @classmethod
    def _not_empty(cls, value: tuple[LayerItem, ...]) -> tuple[LayerItem, ...]:
        if not value:
            raise ValueError("must have at least one layer (got none)")
        return value

    @property
    def depth(self) -> int:
        """Number of layers with weights."""
        return count_layers(self.layers)

    def build(self, shape: tuple[int, ...]) -> Network:
        """The network for inputs of a shape: (channels, height, width), or (numbers,).

        Raises:
            ValueError: a layer does not fit, with its path.
        """
        stack = Stack(shape)
        left = self.depth
        for index, item in enumerate(self.layers):
            left -= count_layers([item])
            own = None if isinstance(item, int) else item.activation
            if own is None and left:
                own = self.activation
            try:
                self._put(stack, item, own)
            except ValueError as error:
                raise ValueError(f"network.layers.{index}: {error}") from None
        return Network(tuple(stack.layers))

    def _put(self, stack: Stack, item: LayerItem, activation: ActivationSetting | None) -> None:
        f = None if activation is None else activation.build()
        if isinstance(item, int):
            stack.dense(item, f, self.bias)
        elif item.dense is not None:
            stack.dense(item.dense, f, self.bias)
        elif item.conv is not None:
            stack.conv(item.conv.channels, item.conv.kernel, item.conv.stride, item.conv.padding, f, self.bias)
        elif item.max_pool is not None:
            stack.max_pool(item.max_pool.kernel, item.max_pool.stride, item.max_pool.padding)
        elif item.avg_pool is not None:
            stack.avg_pool(item.avg_pool.kernel, item.avg_pool.stride, item.avg_pool.padding)
        elif item.dropout is not None:
            stack.dropout(item.dropout)
        else:
            stack.softmax()


def count_layers(layers: Any) -> int:
    """Layers with weights among entries as written or as validated."""
    count = 0
    for item in layers:
        if isinstance(item, LayerSetting):
            count += item.weighted
        else:
            count += item != "softmax" and not (isinstance(item, Mapping) and any(key in item for key in _WEIGHTLESS))
    return count
