"""Network: a chain of layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from analogsim.network.activations import Activation, Identity, LeakyReLU
from analogsim.network.layer import Dense, Layer, Multiply, unclipped
from analogsim.network.torch_modules import layers_of

Initialisation = Literal["he_normal", "glorot_normal", "glorot_normal_biases"]
"""How initial weights are drawn; see `Network.initial_weights`."""


@dataclass(frozen=True)
class Network:
    """A chain of layers.

    Attributes:
        layers: from input to output; each one's outputs are the next one's inputs.
    """

    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        if not self.layers:
            raise ValueError("a network has at least one layer")
        for index, (first, second) in enumerate(zip(self.layers, self.layers[1:], strict=False)):
            if first.results != second.inputs:
                raise ValueError(
                    f"layer {index} has {first.results} outputs but layer {index + 1} takes {second.inputs} inputs"
                )

    @classmethod
    def mlp(cls, sizes: Sequence[int], activation: Activation | None = None, bias: bool = True) -> Network:
        """A multi-layer perceptron with a linear output layer.

        Args:
            sizes: units from input to output, at least two numbers.
            activation: of the hidden layers; leaky ReLU with slope 0.01 unless given.
            bias: whether layers have biases.
        """
        if len(sizes) < 2 or min(sizes) < 1:
            raise ValueError(f"sizes must be at least two positive numbers (got {list(sizes)})")
        if isinstance(activation, str):
            raise ValueError(f"activation must be a function, such as LeakyReLU(), not its name (got {activation!r})")
        hidden = LeakyReLU() if activation is None else activation
        last = len(sizes) - 2
        pairs = enumerate(zip(sizes, sizes[1:], strict=False))
        return cls(tuple(Dense(n, m, Identity() if i == last else hidden, bias) for i, (n, m) in pairs))

    @classmethod
    def from_torch(cls, module: torch.nn.Module, input_shape: Sequence[int]) -> Network:
        """The network that a `torch.nn.Sequential` describes; `network.weights_of` has its weights.

        Supported are Linear, Conv2d, ReLU, LeakyReLU, Tanh, Sigmoid, Softmax, MaxPool2d, AvgPool2d, Flatten, Dropout,
        Identity, and Sequentials of these.

        Args:
            module: the chain.
            input_shape: of one input, without the batch: (channels, height, width), or (numbers,).

        Raises:
            ValueError: a module, or a setting of one, that is not supported, by its place and name.
        """
        return cls(layers_of(module, tuple(input_shape)))

    @property
    def depth(self) -> int:
        """Number of layers with weights."""
        return len(self.layers)

    @property
    def inputs(self) -> int:
        """Units of the input."""
        return self.layers[0].inputs

    @property
    def outputs(self) -> int:
        """Numbers that the network gives."""
        return self.layers[-1].results

    @property
    def units(self) -> int:
        """Perturbed units N of node perturbation: all pre-activations, output included, input excluded."""
        return sum(layer.units for layer in self.layers)

    def initial_weights(self, scheme: Initialisation, generators: Sequence[torch.Generator]) -> tuple[Tensor, ...]:
        """Initial weights of C chips, biases zero unless the scheme draws them, too.

        Args:
            scheme: `he_normal` (sd sqrt(2 / fan_in); He et al., ICCV 2015), `glorot_normal`
                (sd sqrt(2 / (fan_in + fan_out)); Glorot and Bengio, AISTATS 2010), or `glorot_normal_biases`: the same
                weights, and biases of their standard deviation (as Hiratani et al., NeurIPS 2022, draw them).
            generators: one per chip, on the CPU.

        Returns:
            Per layer (C, columns, rows), float32 on the CPU.

        Raises:
            ValueError: no such scheme.
        """
        if scheme not in get_args(Initialisation):
            raise ValueError(f"scheme must be one of {', '.join(get_args(Initialisation))} (got {scheme!r})")
        weights = []
        for layer in self.layers:
            both = layer.fan_in + layer.fan_out
            fan = {"he_normal": layer.fan_in, "glorot_normal": both, "glorot_normal_biases": both}[scheme]
            w = torch.zeros(len(generators), layer.columns, layer.rows)
            for chip, generator in enumerate(generators):
                draw = torch.randn(layer.columns, layer.fan_in, generator=generator)
                w[chip, :, : layer.fan_in] = draw * math.sqrt(2 / fan)
                if scheme == "glorot_normal_biases":
                    bias = (layer.columns, layer.rows - layer.fan_in)
                    w[chip, :, layer.fan_in :] = torch.randn(bias, generator=generator) * math.sqrt(2 / fan)
            weights.append(w)
        return tuple(weights)

    def adjoint(
        self,
        index: int,
        multiply: Multiply,
        g: Tensor,
        decorrelation: Tensor | None,
        inputs: Tensor,
        pre_activations: Tensor,
        mask: Tensor | None,
        limits: tuple[float | None, float | Tensor | None],
    ) -> Tensor:
        """Send derivatives from the pre-activations of layer `index` to those of the layer before it.

        The product with W^T, and the adjoint of all that is digital or known between the two crossbars: DAC,
        decorrelation R, the cutting of vectors, operations, activation function, ADC. 0 where a converter clipped.

        Args:
            index: of the later layer.
            multiply: the product with its W^T.
            g: at its pre-activations, (C, B, units).
            decorrelation: its R (C, fan_in, fan_in), or None.
            inputs: its inputs as observed, (C, B, observed).
            pre_activations: of the earlier layer, (C, B, units).
            mask: of the earlier layer, or None.
            limits: largest level of the later layer's DACs, and largest result of the earlier layer's ADCs, or None.

        Returns:
            g of the earlier layer, (C, B, units).
        """
        earlier, later = self.layers[index - 1], self.layers[index]
        v = later.backward(multiply, g, inputs, decorrelation, limits[0])
        return unclipped(earlier.finish_adjoint(v, pre_activations, mask), pre_activations, limits[1])
