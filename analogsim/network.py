"""Frozen description of a network: what is computed, not on what.

Known to everybody: the chip runs it, the learner knows its shape and the derivatives of its activation functions.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


class Activation(ABC):
    """An element-wise activation function, computed digitally."""

    @abstractmethod
    def __call__(self, a: Tensor) -> Tensor:
        """f(a), same shape."""

    @abstractmethod
    def derivative(self, a: Tensor) -> Tensor:
        """f'(a), same shape."""


@dataclass(frozen=True)
class Identity(Activation):
    """f(a) = a."""

    def __call__(self, a: Tensor) -> Tensor:
        return a

    def derivative(self, a: Tensor) -> Tensor:
        return torch.ones_like(a)


@dataclass(frozen=True)
class LeakyReLU(Activation):
    """f(a) = a where a > 0, slope a elsewhere; slope 0 is the ReLU.

    Attributes:
        slope: 0.01 unless a reproduction says otherwise.
    """

    slope: float = 0.01

    def __call__(self, a: Tensor) -> Tensor:
        return torch.nn.functional.leaky_relu(a, self.slope)

    def derivative(self, a: Tensor) -> Tensor:
        return (a > 0).to(a.dtype).mul_(1 - self.slope).add_(self.slope)


@dataclass(frozen=True)
class Dense:
    """A fully-connected layer: a = W [x, 1], x' = f(a).

    Attributes:
        inputs, outputs: numbers of units.
        activation: f.
        bias: whether the crossbar has a bias row, driven with 1; it is the last row.
    """

    inputs: int
    outputs: int
    activation: Activation
    bias: bool = True

    @property
    def rows(self) -> int:
        """Rows of the crossbar: inputs and the bias."""
        return self.inputs + self.bias

    def drive(self, x: Tensor) -> Tensor:
        """What drives the rows: x (..., inputs) with the bias input appended, (..., rows)."""
        return torch.nn.functional.pad(x, (0, 1), value=1.0) if self.bias else x


def unclipped(g: Tensor, signal: Tensor, limit: float | Tensor | None) -> Tensor:
    """The adjoint of a converter, which passes derivatives straight through: g, and 0 where the signal was clipped.

    Args:
        g: derivatives, shaped as `signal`.
        signal: what the converter gave.
        limit: its largest value, or one for each chip, (C,); None: it does not clip.
    """
    if isinstance(limit, Tensor):
        limit = limit.reshape(-1, *(1,) * (signal.dim() - 1))
    return g if limit is None else g * (signal.abs() < limit * (1 - 1e-6))


@dataclass(frozen=True)
class Network:
    """A chain of layers.

    Attributes:
        layers: from input to output; each one's outputs are the next one's inputs.
    """

    layers: tuple[Dense, ...]

    def __post_init__(self) -> None:
        if not self.layers:
            raise ValueError("a network has at least one layer")
        for index, (first, second) in enumerate(zip(self.layers, self.layers[1:], strict=False)):
            if first.outputs != second.inputs:
                raise ValueError(
                    f"layer {index} has {first.outputs} outputs but layer {index + 1} takes {second.inputs} inputs"
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
        hidden = LeakyReLU() if activation is None else activation
        last = len(sizes) - 2
        pairs = enumerate(zip(sizes, sizes[1:], strict=False))
        return cls(tuple(Dense(n, m, Identity() if i == last else hidden, bias) for i, (n, m) in pairs))

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
        """Units of the output layer."""
        return self.layers[-1].outputs

    @property
    def units(self) -> int:
        """Perturbed units N of node perturbation: all pre-activations, output included, input excluded."""
        return sum(layer.outputs for layer in self.layers)

    def initial_weights(self, scheme: str, generators: Sequence[torch.Generator]) -> tuple[Tensor, ...]:
        """Initial weights of C chips, biases zero.

        Args:
            scheme: `he_normal` (sd sqrt(2 / inputs); He et al., ICCV 2015) or `glorot_normal`
                (sd sqrt(2 / (inputs + outputs)); Glorot and Bengio, AISTATS 2010).
            generators: one per chip, on the CPU.

        Returns:
            Per layer (C, outputs, rows), float32 on the CPU.
        """
        weights = []
        for layer in self.layers:
            fan = {"he_normal": layer.inputs, "glorot_normal": layer.inputs + layer.outputs}[scheme]
            w = torch.zeros(len(generators), layer.outputs, layer.rows)
            for chip, generator in enumerate(generators):
                draw = torch.randn(layer.outputs, layer.inputs, generator=generator)
                w[chip, :, : layer.inputs] = draw * math.sqrt(2 / fan)
            weights.append(w)
        return tuple(weights)

    def adjoint(
        self,
        index: int,
        v: Tensor,
        decorrelation: Tensor | None,
        inputs: Tensor,
        pre_activations: Tensor,
        limits: tuple[float | None, float | Tensor | None],
    ) -> Tensor:
        """The adjoint of what lies between the crossbars of layers index - 1 and index, all of it digital or known.

        ADC, activation function, decorrelation R and DAC: g = f'(a) R^T v, and 0 where a converter clipped.

        Args:
            index: of the later layer.
            v: its W^T g, (C, B, inputs).
            decorrelation: its R (C, inputs, inputs), or None.
            inputs: what drove its rows, (C, B, rows).
            pre_activations: of the earlier layer, (C, B, units).
            limits: largest level of the later layer's DACs, and largest result of the earlier layer's ADCs, or None.

        Returns:
            g of the earlier layer, (C, B, units).
        """
        v = unclipped(v, inputs[..., : v.shape[2]], limits[0])
        if decorrelation is not None:
            v = torch.bmm(v, decorrelation)
        return unclipped(v * self.layers[index - 1].activation.derivative(pre_activations), pre_activations, limits[1])
