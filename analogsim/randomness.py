"""Random numbers by (purpose, chip): a chip draws the same ones alone, in a population and after a resume.

Normal numbers come from a counter-based generator (`analogsim.philox`): the chip, with its run's seed, is the key, the
stream of a purpose and layer is half of the counter, and where a stream stands is the other half. Both halves and the
key are 64 bits of a `numpy.random.SeedSequence`. Streams of different purposes do not touch each other, so how often
one evaluates changes nothing, and every rule meets the same chips, initial weights and data order under the same seed.
Permutations and the like come from torch's generators, one for each chip and stream.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from analogsim import philox


class Purpose(enum.IntEnum):
    """What random numbers are for. The values enter the seeds: append, never renumber."""

    FABRICATION = 0
    INITIAL_WEIGHTS = 1
    READ = 2
    PROGRAMMING = 3
    INJECTION = 4
    RULE = 5
    DATA_ORDER = 6
    DROPOUT = 7
    EVALUATION = 8
    BACKWARD_READ = 9
    WANDERING = 10
    FAULTS = 11
    PULSES = 12
    REFERENCE = 13
    CONVERTERS = 14
    CALIBRATION = 15
    WEIGHT_INJECTION = 16
    COMPANION = 17
    LOSS_CHANNEL = 18
    DIAGNOSIS = 19
    CORRUPTION = 20
    TEACHER = 21
    FAILURES = 22


class Streams:
    """Generators of a population of chips.

    Args:
        seeds: the run's seed, one entry per chip (chips of several seeds may share a population).
        ids: the chips' numbers, which enter their seeds.
        device: where numbers are drawn.
        generator: makes a generator for a device; replaced in tests that have no such device.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        ids: Sequence[int],
        device: torch.device,
        generator: Callable[[torch.device], torch.Generator | None] = torch.Generator,
    ) -> None:
        self._keys = list(zip(seeds, ids, strict=True))
        keys = [_words(seed, (chip,)) for seed, chip in self._keys]
        self._philox = torch.tensor(keys, dtype=torch.int64, device=device)
        self._device = device
        self._make = generator
        self._streams: dict[tuple[Purpose, int], tuple[int, int]] = {}
        self._positions: dict[tuple[Purpose, int], int] = {}
        self._generators: dict[tuple[Purpose, int], list[torch.Generator | None]] = {}
        self._starts: dict[Purpose, int] = {}
        self._root: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self._keys)

    def generators(self, purpose: Purpose, layer: int = 0) -> list[torch.Generator | None]:
        """One generator per chip; made at the first call."""
        key = (purpose, layer)
        if key not in self._generators:
            self._generators[key] = [
                self._seeded(seed, (*self._root, purpose, chip, layer, *self._start(purpose)))
                for seed, chip in self._keys
            ]
        return self._generators[key]

    def _start(self, purpose: Purpose) -> tuple[int, ...]:
        return () if purpose not in self._starts else (self._starts[purpose],)

    def restart(self, purpose: Purpose, start: int) -> None:
        """Let a purpose begin anew, with numbers that depend on `start` but not on what was drawn before."""
        self._starts[purpose] = start
        for held in (self._generators, self._streams, self._positions):
            for key in [key for key in held if key[0] is purpose]:
                del held[key]

    @contextmanager
    def aside(self, start: int) -> Iterator[None]:
        """Look without a trace: inside, every purpose has streams of its own; then all go on as if nothing was drawn.

        Args:
            start: decides their numbers; equal ones give the same.
        """
        held = self._generators, self._streams, self._positions, self._starts, self._root
        self._generators, self._streams, self._positions, self._starts = {}, {}, {}, {}
        self._root = (Purpose.DIAGNOSIS, start)
        try:
            yield
        finally:
            self._generators, self._streams, self._positions, self._starts, self._root = held

    def _seeded(self, seed: int, key: tuple[int, ...]) -> torch.Generator | None:
        generator = self._make(self._device)
        if generator is not None:
            state = np.random.SeedSequence(entropy=seed, spawn_key=key).generate_state(1, np.uint64)
            generator.manual_seed(int(state[0] & np.uint64(2**63 - 1)))
        return generator

    def draw(self, purpose: Purpose, layer: int, samples: int, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Standard normal numbers of shape (chips, samples, *shape).

        Drawing S samples at once or in several calls gives the same numbers.
        """
        count, numbers = math.prod(shape), philox.numbers(dtype)
        blocks, key = -(-count // numbers), (purpose, layer)
        if key not in self._streams:
            self._streams[key] = _words(0, (*self._root, purpose, layer, *self._start(purpose)))
        first = self._positions.get(key, 0)
        self._positions[key] = first + samples * blocks * philox.BLOCK
        drawn = philox.normal(self._philox, self._streams[key], first, samples * blocks, dtype)
        return drawn.view(len(self), samples, blocks * numbers)[:, :, :count].unflatten(2, tuple(shape))

    def state_dict(self) -> dict[str, Any]:
        """Where every stream stands, and the state of every generator, (chips, bytes) each, for a checkpoint."""
        return {
            "starts": {purpose.name: start for purpose, start in self._starts.items()},
            "positions": {f"{purpose.name}/{layer}": at for (purpose, layer), at in self._positions.items()},
            "generators": {
                f"{purpose.name}/{layer}": torch.stack([g.get_state() for g in generators if g is not None])
                for (purpose, layer), generators in self._generators.items()
                if None not in generators
            },
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        for held in (self._generators, self._streams, self._positions):
            held.clear()
        self._starts = {Purpose[name]: start for name, start in state["starts"].items()}
        for name, position in state["positions"].items():
            purpose, layer = name.split("/")
            self._positions[Purpose[purpose], int(layer)] = position
        for name, states in state["generators"].items():
            purpose, layer = name.split("/")
            for generator, saved in zip(self.generators(Purpose[purpose], int(layer)), states, strict=True):
                assert generator is not None
                generator.set_state(saved.clone())  # torch reads a row of a larger tensor from the wrong place


def _words(entropy: int, key: tuple[int, ...]) -> tuple[int, int]:
    """64 bits of a seed sequence, as two words."""
    first, second = np.random.SeedSequence(entropy=entropy, spawn_key=key).generate_state(2, np.uint32)
    return int(first), int(second)
