"""Draws: the random numbers of one read of one layer, for all samples and passes that are run together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from analogsim.randomness import Purpose, Streams
from device_models import Relaxation

_AT_ONCE = 32  # passes whose memory is one matrix


@dataclass(frozen=True)
class Draws:
    """Where a read gets its noise from.

    Attributes:
        streams, purpose, layer: the generators.
        samples: S.
        noisy: per pass, whether stochastic noise is on.
        spacing: seconds from one pass of a sample to the next.
        last: what noise that remembers was in the last pass of each sample, by a key of its own; a later read of the
            same step goes on from there.
    """

    streams: Streams
    purpose: Purpose
    layer: int
    samples: int
    noisy: tuple[bool, ...]
    spacing: float = 1e-6
    last: dict[object, Tensor] = field(default_factory=dict)

    @property
    def any(self) -> bool:
        """Whether any pass is noisy."""
        return any(self.noisy)

    def normal(self, lanes: int, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Standard normal numbers for the noisy passes, (C, S, noisy passes, lanes, *shape)."""
        return self.streams.draw(self.purpose, self.layer, self.samples, (sum(self.noisy), lanes, *shape), dtype=dtype)

    def remembering(self, numbers: Tensor, parts: Sequence[Relaxation], key: object) -> Tensor:
        """Relaxations of variance 1 in successive passes of a sample, each correlated with the one before.

        Args:
            numbers: standard normal, (C, S, noisy passes, parts, ...).
            parts: whose correlation times count.
            key: of what they were in the last pass of the read before.

        Returns:
            Shaped as `numbers`.
        """
        z = numbers.flatten(1, 2)
        memories = [part.correlation(self.spacing) for part in parts]
        pieces, last = [], self.last.get(key)
        for start in range(0, z.shape[1], _AT_ONCE):
            some = z[:, start : start + _AT_ONCE]
            before = [None if last is None else last[:, k] for k in range(len(parts))]
            chains = [_chain(some[:, :, k], a, before[k]) for k, a in enumerate(memories)]
            pieces.append(torch.stack(chains, dim=2))
            last = pieces[-1][:, -1]
        if last is not None:
            self.last[key] = last
        return torch.cat(pieces, dim=1).unflatten(1, numbers.shape[1:3])

    def switching(self, numbers: Tensor, part: Relaxation, keys: Sequence[object]) -> Tensor:
        """One relaxation of single devices, in successive passes; a telegraph really switches.

        Args:
            numbers: standard normal, (S, noisy passes, batch, ...): the rest are devices.
            part: the relaxation.
            keys: of each batch element, see `remembering`; a later read may have it among others.

        Returns:
            Mean 0 and variance 1, shaped as `numbers`.
        """
        before = [held for key in keys if (held := self.last.get(key)) is not None]
        last = torch.stack(before) if before else None
        z, values = numbers.flatten(0, 1), []
        kept, duty = part.correlation(self.spacing), part.duty
        for each in z if duty is None else torch.special.ndtr(z):
            if duty is None:
                last = each if last is None else last * kept + each * math.sqrt(1 - kept * kept)
                values.append(last)
            else:
                last = (each < (duty if last is None else last * kept + duty * (1 - kept))).to(z.dtype)
                values.append((last - duty) / math.sqrt(duty * (1 - duty)))
        assert last is not None
        self.last.update(zip(keys, last, strict=True))
        return torch.stack(values).unflatten(0, numbers.shape[:2])

    def pick(self, x: Tensor) -> Tensor:
        """The noisy passes of x (C, S or 1, P or 1, ...)."""
        if all(self.noisy) or x.shape[2] == 1:
            return x
        return torch.stack([x[:, :, index] for index, noisy in enumerate(self.noisy) if noisy], dim=2)

    def spread(self, noise: Tensor) -> Tensor:
        """Noise of the noisy passes (C, S, noisy passes, ...) -> of all passes, zero where clean."""
        if all(self.noisy):
            return noise
        full = noise.new_zeros((*noise.shape[:2], len(self.noisy), *noise.shape[3:]))
        for position, index in enumerate(index for index, noisy in enumerate(self.noisy) if noisy):
            full[:, :, index] = noise[:, :, position]
        return full


def _chain(z: Tensor, a: float, last: Tensor | None) -> Tensor:
    """u_q = a u_{q-1} + sqrt(1 - a^2) z_q along dimension 1, from `last`, or from the stationary law."""
    n, fresh = z.shape[1], math.sqrt(1 - a * a)
    if n == 1:
        return z if last is None else z * fresh + a * last[:, None]
    lag = torch.arange(n, dtype=torch.float64, device=z.device)
    steps = lag[:, None] - lag
    mix = torch.where(steps >= 0, a ** steps.clamp(min=0), 0.0) * fresh
    if last is None:
        mix[:, 0] /= fresh
    u = (mix.to(z) @ z.flatten(2)).unflatten(2, z.shape[2:])
    if last is not None:
        decay = (a ** (lag + 1)).to(z).reshape(1, n, *(1,) * (last.dim() - 1))
        u = u.addcmul_(decay, last[:, None])
    return u
