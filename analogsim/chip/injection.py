"""Injection: the known perturbations that a chip adds in its passes, to activities or to weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from analogsim.port import Injection, Pass
from analogsim.randomness import Purpose, Streams

InjectionSite = Literal["digital", "analog"]
"""After the ADC, or before it."""


def check_layers(passes: Sequence[Pass], depth: int) -> None:
    """Refuse perturbations of layers that a network does not have.

    Raises:
        ValueError: naming the first.
    """
    beyond = [i for each in passes if each.inject for i in each.inject.layers or () if i >= depth]
    if beyond:
        raise ValueError(f"layer {beyond[0]} cannot be perturbed: layers are numbered 0 to {depth - 1}")


def perturbations(
    streams: Streams, layer: int, passes: Sequence[Pass], samples: int, shape: tuple[int, int], dtype: torch.dtype
) -> Tensor | None:
    """The perturbations of a layer in all passes, (C, S, P, B, units), or None where there are none.

    Args:
        streams: random numbers.
        layer: its index.
        passes, samples: P and S.
        shape: batch and units.
        dtype: of the result.
    """
    return _drawn(streams, Purpose.INJECTION, layer, _asked(passes, layer, False), samples, shape, dtype)


def weight_perturbations(
    streams: Streams, layer: int, passes: Sequence[Pass], shape: tuple[int, int], dtype: torch.dtype
) -> Tensor | None:
    """The perturbations of a layer's weights in all passes of one sample, (C, P, columns, rows), or None.

    Args:
        streams: random numbers.
        layer: its index.
        passes: P.
        shape: columns and rows.
        dtype: of the result.
    """
    eps = _drawn(streams, Purpose.WEIGHT_INJECTION, layer, _asked(passes, layer, True), 1, shape, dtype)
    return None if eps is None else eps[:, 0]


def perturbs_weights(each: Pass, layer: int | None = None) -> bool:
    """Whether a pass perturbs weights: of a layer, or of any."""
    inject = each.inject
    return inject is not None and inject.site == "weights" and (layer is None or _covers(inject, layer))


def _asked(passes: Sequence[Pass], layer: int, weights: bool) -> list[Injection | None]:
    """What each pass adds to a layer's weights, or to its activities."""
    given = [each.inject if perturbs_weights(each) == weights else None for each in passes]
    return [inject if inject and _covers(inject, layer) else None for inject in given]


def _drawn(
    streams: Streams,
    purpose: Purpose,
    layer: int,
    asked: Sequence[Injection | None],
    samples: int,
    shape: tuple[int, int],
    dtype: torch.dtype,
) -> Tensor | None:
    """(C, S, P, *shape), or None where nothing is asked for."""
    kinds = sorted({(each.draw, each.law) for each in asked if each is not None})
    if not kinds:
        return None
    numbers = streams.draw(purpose, layer, samples, (len(kinds), *shape), dtype)
    eps = numbers.new_zeros((len(streams), samples, len(asked), *shape))
    for position, each in enumerate(asked):
        if each is not None:
            unit = numbers[:, :, kinds.index((each.draw, each.law))]
            unit = torch.where(unit < 0, -1.0, 1.0).to(unit) if each.law == "rademacher" else unit
            eps[:, :, position] = unit * (each.sigma * each.scale)
    return eps


def _covers(injection: Injection, index: int) -> bool:
    return injection.layers is None or index in injection.layers


def by_site(eps: Tensor | None, passes: Sequence[Pass]) -> tuple[Tensor | None, Tensor | None]:
    """Perturbations before and after the activation function."""
    if eps is None:
        return None, None
    sites = [each.inject.site if each.inject else None for each in passes]
    if "activation" not in sites:
        return eps, None
    if "pre_activation" not in sites:
        return None, eps
    before, after = eps.clone(), eps.clone()
    for index, site in enumerate(sites):
        (before if site == "activation" else after)[:, :, index] = 0
    return before, after
