"""What rules that weigh directions know of a step's samples: moments of contrasts between passes.

A contrast is what a pass differs by from what it is compared with: the mean of its group (`centred`), or a reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from typing_extensions import Self

from analogsim.network import Layer
from analogsim.port import Observation

Quadratic = Literal["power", "gram", "variance", "covariance"]
"""A second moment of contrasts d. Of each batch element: `power` ||d||^2 (C, B), `gram` d d^T (C, B, n, n). Summed over
the batch and positions of a layer's columns: `variance` d^2 (C, columns), `covariance` d d^T (C, columns, columns)."""

_EQUATIONS: dict[Quadratic, str] = {
    "power": "csbn,csbn->cb",
    "gram": "csbn,csbm->cbnm",
    "variance": "cmn,cmn->cn",
    "covariance": "cmn,cmk->cnk",
}


def second_moment(contrasts: Tensor, kind: Quadratic, layer: Layer | None) -> Tensor:
    """The sum over samples of a quadratic form of contrasts (C, S, B, n); by a layer's columns where one is given."""
    if layer is not None:
        contrasts = layer.by_column(contrasts.flatten(1, 2))
    return torch.einsum(_EQUATIONS[kind], contrasts, contrasts)


class Contrasts(NamedTuple):
    """Sums over K contrasts of a step, which merge over chunks of samples.

    With `centred` passes L_k and s_k of a group of G = K + 1,

        products = sum_k (L_k - mean L)(s_k - mean s),      seconds = sum_k (s_k - mean s)(s_k - mean s)^T,

    merged by Chan, Golub and LeVeque (Am. Stat. 37:242, 1983); otherwise means are replaced by the reference, and sums
    add up. Contrasts are taken relative to a pass, so identical passes give exact zeros.

    Attributes:
        kind: of the second moments.
        layers: per signal the layer whose columns second moments are of; None where they are of batch elements.
        centred: whether contrasts are taken from the group's mean.
        samples: passes of the group, or pairs of pass and reference.
        loss: mean loss of the passes, (C, B).
        signals: per signal its mean over the passes, (C, B, n).
        products: per signal, (C, B, n).
        seconds: per signal its second moment, as `kind` says.
    """

    kind: Quadratic
    layers: tuple[Layer | None, ...]
    centred: bool
    samples: int
    loss: Tensor
    signals: tuple[Tensor, ...]
    products: tuple[Tensor, ...]
    seconds: tuple[Tensor, ...]

    @classmethod
    def of(
        cls,
        kind: Quadratic,
        loss: Tensor,
        signals: Sequence[Tensor],
        reference: tuple[Tensor, Sequence[Tensor]] | None = None,
        layers: Sequence[Layer] | None = None,
    ) -> Self:
        """Of a chunk of samples.

        Args:
            kind: of the second moments.
            loss: (C, S, B).
            signals: (C, S, B, n) each.
            reference: loss (C, S or 1, B) and signals (C, S or 1, B, n) to compare with; None: the group's mean.
            layers: per signal, where second moments are by column.
        """
        first = (loss[:, :1], [s[:, :1] for s in signals])
        base_loss, base = first if reference is None else reference
        change = loss - base_loss
        apart = [s - b for s, b in zip(signals, base, strict=True)]
        mean_loss = (base_loss + change.mean(1, keepdim=True)).mean(1)
        means = tuple((b + d.mean(1, keepdim=True)).mean(1) for b, d in zip(base, apart, strict=True))
        if reference is None:
            change = change - change.mean(1, keepdim=True)
            apart = [d - d.mean(1, keepdim=True) for d in apart]
        products = tuple(torch.einsum("csb,csbn->cbn", change, d) for d in apart)
        owners = (None,) * len(apart) if layers is None else tuple(layers)
        seconds = tuple(second_moment(d, kind, layer) for d, layer in zip(apart, owners, strict=True))
        return cls(kind, owners, reference is None, loss.shape[1], mean_loss, means, products, seconds)

    @property
    def free(self) -> int:
        """Independent contrasts K."""
        return self.samples - self.centred

    def merge(self, other: Self) -> Self:
        """Of both sets of samples together."""
        total = self.samples + other.samples
        share, weight = other.samples / total, self.samples * other.samples / total
        step = other.loss - self.loss
        apart = [t - s for s, t in zip(self.signals, other.signals, strict=True)]
        products = [p + q for p, q in zip(self.products, other.products, strict=True)]
        seconds = [p + q for p, q in zip(self.seconds, other.seconds, strict=True)]
        if self.centred:
            products = [p + weight * step[..., None] * d for p, d in zip(products, apart, strict=True)]
            pairs = zip(apart, self.layers, strict=True)
            between = [second_moment(d[:, None], self.kind, layer) for d, layer in pairs]
            seconds = [p + weight * q for p, q in zip(seconds, between, strict=True)]
        return self._replace(
            samples=total,
            loss=self.loss + share * step,
            signals=tuple(s + share * d for s, d in zip(self.signals, apart, strict=True)),
            products=tuple(products),
            seconds=tuple(seconds),
        )


def compared(baseline: Observation | None, probes: Sequence[Observation]) -> tuple[Observation | None, Observation]:
    """(the reference or None for `centred`, the probe) of one chunk of `perturbation_plan`'s passes."""
    if baseline is not None:
        return baseline, probes[-1]
    return (probes[0] if len(probes) > 1 else None), probes[-1]


def mean_over_passes(probes: Sequence[Observation], field: Literal["inputs", "pre_activations"]) -> tuple[Tensor, ...]:
    """Per layer the mean over all samples of all probes, (C, B, n); equal passes give exactly what each of them saw."""
    first, *others = [getattr(probe, field) for probe in probes]
    means = []
    for index, x in enumerate(first):
        start = x[:, :1]
        shift = (x - start).mean(1)
        for other in others:
            shift = shift + (other[index] - start).mean(1)
        means.append(start[:, 0] + shift / len(probes))
    return tuple(means)


def informative(power: Tensor, reference: Tensor) -> Tensor:
    """Whether power of differences is more than what rounding makes of signals with the reference power."""
    return power > (8 * torch.finfo(power.dtype).eps) ** 2 * reference
