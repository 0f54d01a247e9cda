"""Trace: what happened in the passes of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Trace(NamedTuple):
    """What happened in the passes of one `Chip.forward`: C chips, S samples, P passes, B batch.

    A size of 1 for S or P means that all samples, or passes, share the numbers.

    Attributes:
        inputs: per layer (C, S or 1, P or 1, B, observed), as the layer's are observed.
        pre_activations: per layer (C, S, P, B, units), digitised.
        injected: per layer (C, S, P, B, units), or None where no pass perturbs the layer.
        outputs: (C, S, P, B, outputs of the network).
        signals: per layer (C, S or 1, P or 1, B, inputs), what comes in, before decorrelation.
        injected_weights: per layer (C, S, P, columns, rows), or None where no pass perturbs the layer's weights.
    """

    inputs: tuple[Tensor, ...]
    pre_activations: tuple[Tensor, ...]
    injected: tuple[Tensor | None, ...]
    outputs: Tensor
    signals: tuple[Tensor, ...]
    injected_weights: tuple[Tensor | None, ...] = ()

    @classmethod
    def of_passes(cls, parts: Sequence[tuple[Sequence[int], Trace]], injected_weights: list[Tensor | None]) -> Trace:
        """One sample, from traces of one sample that hold the passes at the positions given."""
        places = [position for positions, _ in parts for position in positions]
        order = sorted(range(len(places)), key=places.__getitem__)
        counts = [len(positions) for positions, _ in parts]

        def joined(each: Sequence[Tensor]) -> Tensor:
            whole = [x.expand(-1, 1, count, *x.shape[3:]) for x, count in zip(each, counts, strict=True)]
            flat = [one for x in whole for one in x.unbind(2)]
            return torch.stack([flat[index] for index in order], dim=2)

        traces = [trace for _, trace in parts]
        injected = []
        for layer in zip(*(trace.injected for trace in traces), strict=True):
            shape = next((eps for eps in layer if eps is not None), None)
            if shape is None:
                injected.append(None)
                continue
            none = torch.zeros_like(shape[:, :, :1])
            injected.append(joined([none if eps is None else eps for eps in layer]))
        return cls(
            tuple(joined(each) for each in zip(*(trace.inputs for trace in traces), strict=True)),
            tuple(joined(each) for each in zip(*(trace.pre_activations for trace in traces), strict=True)),
            tuple(injected),
            joined([trace.outputs for trace in traces]),
            tuple(joined(each) for each in zip(*(trace.signals for trace in traces), strict=True)),
            tuple(None if eps is None else eps[:, None] for eps in injected_weights),
        )

    @classmethod
    def of_samples(cls, traces: Sequence[Trace]) -> Trace:
        """All samples, from traces of one each."""

        def joined(each: Sequence[Tensor]) -> Tensor:
            return torch.cat(list(each), dim=1)

        def given(each: Sequence[Tensor | None]) -> Tensor | None:
            return None if each[0] is None else joined([x for x in each if x is not None])

        return cls(
            tuple(joined(each) for each in zip(*(trace.inputs for trace in traces), strict=True)),
            tuple(joined(each) for each in zip(*(trace.pre_activations for trace in traces), strict=True)),
            tuple(given(each) for each in zip(*(trace.injected for trace in traces), strict=True)),
            joined([trace.outputs for trace in traces]),
            tuple(joined(each) for each in zip(*(trace.signals for trace in traces), strict=True)),
            tuple(given(each) for each in zip(*(trace.injected_weights for trace in traces), strict=True)),
        )
