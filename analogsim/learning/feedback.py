"""Feedback weights: digital matrices B that carry the output error back in the place of the transposed weights.

Two forms. `fa`: from layer to layer, B_l in the place of W_l. `dfa`: from the output straight to every hidden layer.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Literal

import torch
from torch import Tensor

from analogsim.learning.digital import Counts, backward_products
from analogsim.learning.rule import Activities, Copy, backpropagate
from analogsim.network import Network, unclipped

Form = Literal["fa", "dfa"]


def draw_feedback(copy: Copy, form: Form, gain: float, generators: Sequence[torch.Generator]) -> tuple[Tensor, ...]:
    """Random feedback weights of each chip, normal with mean 0.

    `fa`: for every layer but the first a matrix in the shape of its weights without the bias row, (C, columns, fan_in),
    with standard deviation gain sqrt(2 / fan_in): at gain 1 the law of He-normal weights. `dfa`: for every layer but
    the last (C, units of the last layer, results), with gain sqrt(2 / results), as if it were the output layer's
    weights on these numbers; so both forms draw the same in a network of two dense layers.

    Args:
        copy: the network and its weights, whose type and device the feedback weights share.
        form: of the feedback.
        gain: factor on the standard deviation.
        generators: one for each chip, on the CPU.
    """
    layers = copy.network.layers
    if form == "fa":
        shapes = [(layer.columns, layer.fan_in) for layer in layers[1:]]
    else:
        shapes = [(layers[-1].units, layer.results) for layer in layers[:-1]]
    w = copy.weights[0]
    return tuple(
        torch.stack([torch.randn(shape, generator=g) for g in generators])
        .mul_(gain * math.sqrt(2 / shape[1]))
        .to(w.device, w.dtype)
        for shape in shapes
    )


def feedback_sizes(network: Network, form: Form) -> Counts:
    """Numbers of B, at the layer in whose place it stands (`fa`) or to which it leads (`dfa`)."""
    layers = network.layers
    if form == "fa":
        return 0, *(layer.columns * layer.fan_in for layer in layers[1:])
    return *(layers[-1].units * layer.results for layer in layers[:-1]), 0


def sending_operations(network: Network, form: Form, batch: int, decorrelated: Collection[int]) -> Counts:
    """Arithmetic operations of `send_back`; those of the outer products of `descend` are as many."""
    if form == "fa":
        return backward_products(network, batch, decorrelated)
    slopes = [2 * batch * layer.units for layer in network.layers[:-1]]
    sizes = feedback_sizes(network, form)
    return tuple(2 * batch * size + slope for size, slope in zip(sizes, (*slopes, 0), strict=True))


def copied_feedback(copy: Copy) -> tuple[Tensor, ...]:
    """Feedback weights of the form `fa` that are the copy's weights as they stand now."""
    return tuple(
        w[:, :, : layer.fan_in].clone() for w, layer in zip(copy.weights[1:], copy.network.layers[1:], strict=True)
    )


def signal(copy: Copy, form: Form, index: int, b: Tensor, vectors: Sequence[Tensor], seen: Activities) -> Tensor:
    """The estimate of lambda_l = dL/dx'_l, derivatives by what layer l gives, (C, B, results).

    `fa`: R_{l+1}^T B_{l+1}^T g_{l+1}, and 0 where a DAC clipped; `dfa`: B_l^T g_L. Linear in B.

    Args:
        copy: the network, its periphery and its limits.
        form: of the feedback.
        index: l.
        b: the feedback weights that lead to this layer.
        vectors: per layer g, (C, B, units); those behind layer l are looked at.
        seen: where derivatives are taken.
    """
    if form == "dfa":
        return torch.bmm(vectors[-1], b)
    later = index + 1
    return copy.network.layers[later].backward(
        lambda g: torch.bmm(g, b),
        vectors[later],
        seen.inputs[later],
        copy.periphery.decorrelation[later],
        copy.limits.inputs[later],
    )


def at_pre_activations(copy: Copy, index: int, outgoing: Tensor, seen: Activities) -> Tensor:
    """Derivatives by layer l's pre-activations, of those by what it gives: (C, B, results) -> (C, B, units)."""
    a = seen.pre_activations[index]
    g = copy.network.layers[index].finish_adjoint(outgoing, a, seen.masks[index])
    return unclipped(g, a, copy.limits.outputs[index])


def slopes(copy: Copy, index: int, seen: Activities) -> Tensor:
    """f'(a_l), and 0 where an ADC clipped, (C, B, units)."""
    a = seen.pre_activations[index]
    return unclipped(copy.network.layers[index].activation.derivative(a), a, copy.limits.outputs[index])


def at_activations(copy: Copy, index: int, outgoing: Tensor, seen: Activities) -> Tensor:
    """Derivatives by f(a_l), of those by what the layer gives: (C, B, results) -> (C, B, units)."""
    layer = copy.network.layers[index]
    return layer.after_adjoint(outgoing, layer.activation(seen.pre_activations[index]), seen.masks[index])


def send_back(
    copy: Copy, form: Form, feedback: Sequence[Tensor], error: Tensor, seen: Activities
) -> tuple[Tensor, ...]:
    """Send the output error back through feedback weights.

    g_l = f'(a_l) lambda_l with lambda_l as `signal` gives it, operations behind f in between, and 0 where a converter
    clipped. Between the output and a layer that it reaches directly (`dfa`) lie no DACs and no R.

    Args:
        copy: the network, its periphery and its limits.
        form: of the feedback.
        feedback: as `draw_feedback` makes it.
        error: g_L, (C, B, units of the last layer).
        seen: where derivatives are taken.

    Returns:
        Per layer g, (C, B, units); the last is `error` itself.
    """
    if form == "fa":
        return backpropagate(copy, (copy.weights[0], *feedback), error, seen)
    outgoing = (signal(copy, form, index, b, (error,), seen) for index, b in enumerate(feedback))
    return *(at_pre_activations(copy, index, each, seen) for index, each in enumerate(outgoing)), error


def descend(
    copy: Copy,
    form: Form,
    feedback: Sequence[Tensor],
    vectors: Sequence[Tensor],
    seen: Activities,
    residuals: Sequence[Tensor],
    rate: float,
) -> tuple[Tensor, ...]:
    """Feedback weights after one step down the squared length of residuals, their mean over the batch.

    B <- B - rate mean of g e^T with e the residual, estimate minus target, brought forward to where B ends: through the
    layer's operations; with `fa` it is then cut into the vectors of the later layer, R applied, and 0 where a DAC
    clipped. The g that the estimate was made of is held fixed.

    Args:
        copy, form, feedback, seen: as in `send_back`.
        vectors: per layer g, (C, B, units).
        residuals: for every layer but the last, at f(a), (C, B, units).
        rate: step size.
    """
    found = []
    for index, (b, residual) in enumerate(zip(feedback, residuals, strict=True)):
        e = _forward(copy, index, residual, seen)
        if form == "dfa":
            slope = torch.bmm(vectors[-1].transpose(1, 2), e) / e.shape[1]
        else:
            slope = _outer(copy, index + 1, vectors[index + 1], e, seen)
        found.append(b - rate * slope)
    return tuple(found)


def _forward(copy: Copy, index: int, change: Tensor, seen: Activities) -> Tensor:
    """What a small change of f(a_l) does to what the layer gives: (C, B, units) -> (C, B, results)."""
    layer, mask = copy.network.layers[index], seen.masks[index]
    if not layer.after:
        return change
    x = layer.activation(seen.pre_activations[index])
    with torch.enable_grad():  # the adjoint of the adjoint, which is linear in what it is given
        g = change.new_zeros(*change.shape[:-1], layer.results).requires_grad_()
        back = layer.after_adjoint(g, x, mask)
    return torch.autograd.grad(back, g, change)[0]


def _outer(copy: Copy, index: int, g: Tensor, e: Tensor, seen: Activities) -> Tensor:
    """The mean over the batch of the sum over positions of g (R e)^T with e cut into vectors, (C, columns, fan_in).

    Args:
        copy: the network, its periphery and its limits.
        index: of the layer.
        g: at its pre-activations, (C, B, units).
        e: in the place of its input, (C, B, inputs).
        seen: says where its DACs clipped.
    """
    layer, limit = copy.network.layers[index], copy.limits.inputs[index]
    r = copy.periphery.decorrelation[index]
    total = torch.zeros_like(copy.weights[index][:, :, : layer.fan_in])
    for (block, v), (_, levels) in zip(layer.drives(e, r), layer.vectors(seen.inputs[index], r), strict=True):
        v = unclipped(v[..., : layer.fan_in], levels[..., : layer.fan_in], limit)
        total += torch.bmm(layer.by_column(g[:, block]).transpose(1, 2), v)
    return total / g.shape[1]


def by_layer(form: Form, feedback: Sequence[Tensor]) -> tuple[Tensor | None, ...] | None:
    """Per layer the B in the place of its weights, (C, columns, fan_in): none of the first, none at all with `dfa`."""
    return (None, *feedback) if form == "fa" else None
