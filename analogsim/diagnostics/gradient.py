"""The true gradient: of the loss without stochastic noise, at the weights that the devices hold now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from analogsim.chip import Chip, Trace
from analogsim.network import Layer
from analogsim.port import Pass, Periphery
from analogsim.randomness import Purpose
from analogsim.tasks import Loss


class Gradient(NamedTuple):
    """Derivatives of the clean loss, and where they were taken.

    Attributes:
        loss: (C, B).
        pre_activations: per layer dL/da of each batch element, (C, B, units); 0 where the ADC clipped.
        weights: per layer dL/dW of the mean loss of the batch, (C, columns, rows).
        outputs: per layer what goes out of it in the clean pass, (C, B, results).
    """

    loss: Tensor
    pre_activations: tuple[Tensor, ...]
    weights: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def true_gradient(
    chip: Chip,
    inputs: Tensor,
    targets: Tensor,
    loss: Loss,
    periphery: Periphery | None = None,
    masks: Sequence[Tensor | None] | None = None,
    *,
    now: float = 0.0,
) -> Gradient:
    """dL/da and dL/dW by automatic differentiation.

    L is the loss of a pass without stochastic noise. Every signal has the value that it has on the chip in that pass,
    rounded by its converters. Derivatives are those of

        v = R x,   a = c W v,   x' = the operations on f(a)

    at the weights W that the devices hold at the time `now`: drifted, faulty, as they were written; an R on crossbars
    of its own likewise. c is the digital factor that compensates drift.

    Converters are passed straight through, with derivative 0 where they clip; so is a conduction that is not ohmic.
    Where several conversions add up to a pre-activation (tiles, slices, bits) the data sheet knows no limit of the sum,
    and what single ones clip is not seen: the same convention as backpropagation's. Patches behind an R are not
    observed: what drives the rows is clipped, but not rounded, in dL/dW.

    Nothing of the chip changes but its time, and no random number is drawn.

    Args:
        chip: programmed.
        inputs: (C or 1, B, features).
        targets: (C or 1, B, outputs).
        loss: of the network's outputs.
        periphery: digital operations beside the crossbars, or None.
        masks: per layer (C, B, n) for the operation that takes one, or None.
        now: seconds; not before the last write.
    """
    chip.settle(now)
    inputs = inputs.expand(chip.chips, *inputs.shape[1:])
    with torch.no_grad(), chip.streams.aside(0):
        trace = chip.forward(inputs, (Pass(clean=True),), 1, periphery, Purpose.DIAGNOSIS, now=now, masks=masks)
    with torch.enable_grad():
        return _differentiated(chip, inputs, targets, loss, periphery, masks, trace)


def _differentiated(
    chip: Chip,
    inputs: Tensor,
    targets: Tensor,
    loss: Loss,
    periphery: Periphery | None,
    masks: Sequence[Tensor | None] | None,
    trace: Trace,
) -> Gradient:
    limits, weights, shifts, outputs = chip.limits, [], [], []
    signal = inputs
    for index, (layer, w, factor) in enumerate(
        zip(chip.network.layers, chip.oracle.weights, chip.oracle.compensation, strict=True)
    ):
        analog = periphery is not None and periphery.crossbar
        r = None if periphery is None else (chip.oracle if analog else periphery).decorrelation[index]
        weights.append(w.detach().clone().requires_grad_())
        held = weights[-1] if factor is None else weights[-1] * factor[:, None, None]
        a = _product(layer, held, signal, trace.inputs[index][:, 0, 0], r, limits.inputs[index], analog)
        shifts.append(torch.zeros_like(a, requires_grad=True))
        a = _gated(_with_value(a + shifts[-1], trace.pre_activations[index][:, 0, 0]), limits.outputs[index])
        signal = layer.finish(a, None if masks is None else masks[index])
        outputs.append(signal.detach())
    each = loss(signal, targets)
    leaves = [*shifts, *weights]
    found = torch.autograd.grad(each.sum(), leaves, allow_unused=True)  # none passes through a step
    slopes = [torch.zeros_like(leaf) if g is None else g for g, leaf in zip(found, leaves, strict=True)]
    depth = len(shifts)
    return Gradient(
        each.detach(), tuple(slopes[:depth]), tuple(g / each.shape[1] for g in slopes[depth:]), tuple(outputs)
    )


def _product(
    layer: Layer,
    weights: Tensor,
    signal: Tensor,
    seen: Tensor,
    r: Tensor | None,
    limit: float | None,
    analog: bool,
) -> Tensor:
    """Pre-activations (C, B, units) with a graph, of a layer whose input is observed as `seen`.

    Args:
        layer, weights, signal, seen: of the layer.
        r, analog: its R, or None, and whether that is on a crossbar.
        limit: of its DACs, or None.
    """
    if not layer.observes_vectors and (r is None or analog):
        signal = _with_value(signal, seen)
    parts = []
    for block, v in layer.drives(signal, r):
        if layer.observes_vectors:
            v = _with_value(v, seen[:, block])
        if limit is not None:
            v = _gated(v.clamp(-limit, limit), limit)
        parts.append(layer.by_unit(torch.bmm(v, weights.transpose(1, 2))))
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def _with_value(x: Tensor, value: Tensor) -> Tensor:
    """`value`, with the derivatives of x: rounding passed straight through."""
    return x + (value - x).detach()


def _gated(x: Tensor, limit: float | Tensor | None) -> Tensor:
    """x, without derivatives where it is at a converter's limit; one for all chips, or (C,)."""
    if limit is None:
        return x
    if isinstance(limit, Tensor):
        limit = limit.reshape(-1, *(1,) * (x.dim() - 1))
    return torch.where(x.detach().abs() < limit * (1 - 1e-6), x, x.detach())
