"""The lab in which a profile is measured: single devices at a probe station, and whole arrays."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from analogsim.chip import Chip, Mapping
from analogsim.network import Dense, Identity, Network
from analogsim.port import LayerPulses, Pass
from device_models import Cells, DeviceProfile, ReadNoise

Array = np.ndarray

MICRO = 1e6
"""Siemens to the microsiemens that pages show."""

EXACT = 1e-9
"""Relative deviations below this are rounding: the effect is absent."""

CHAIN = ("dac", "adc", "column_noise", "unit_noise", "conduction")
"""Fields of a profile on the way from an input to an output, devices aside."""

ARRAY = ("wires", "faults", "slices")
"""Fields that belong to arrays."""

USE = ("endurance", "half_select", "read_disturb")
"""What use does to a device, and measurements would."""

WRITING = ("programming", "write_verify", "update")
"""Fields that say what a write leaves; without them it is exact."""


class _Nothing(Cells):
    """A place without a device: what it is, and its noise, are zero."""

    def settle(self, now: float | Tensor, numbers: Tensor | None = None) -> None:
        super().settle(now, numbers)
        self.drifted = self.conductance = torch.zeros_like(self.target)

    def variance(self, noise: ReadNoise) -> Tensor:
        return torch.zeros_like(self.target[:, :1, :1] if noise.uniform else self.target)


class ProbeStation:
    """Single devices of a chip, one a column, without their partners, behind an exact instrument.

    It is a `Chip` of one row, read device by device: programming, time and reads are those of every simulation. Lines,
    converters and amplifiers are left out, and so is the other device of each pair, whose noise would count too.

    Args:
        profile: whose devices.
        targets: conductances to program, siemens, (n,), at time 0.
        seed: of all random numbers.
        without: further effects of the profile to leave out.
        cell: of the chip. With a `reference` pulses move a device both ways; of a pair, up only.
    """

    def __init__(
        self,
        profile: DeviceProfile,
        targets: Array,
        seed: int,
        without: Collection[str] = (),
        cell: Literal["pair", "reference"] = "pair",
    ) -> None:
        bare = _without(profile, *CHAIN, *ARRAY, *USE, *without).model_copy(update={"cell": cell})
        low, high = profile.conductance.min, profile.conductance.max
        share = (np.asarray(targets, dtype=float) - low) / (high - low)
        if not 0 < share.max() <= 1 + 1e-9 and cell == "pair":
            raise ValueError(f"the largest target must lie above G_min and up to G_max (got {np.max(targets):g} S)")
        weights = torch.as_tensor(share if cell == "pair" else 2 * share - 1)
        network = Network((Dense(1, len(weights), Identity(), bias=False),))
        mapping = Mapping(headroom=1 / float(weights.abs().max()))  # a weight of 1 is G_max
        self._chip = Chip(network, bare, seed=seed, dtype=torch.float64, sampling="device", mapping=mapping)
        pair = self._chip.oracle.pairs[0][0]
        pair.minus = _Nothing(bare.build(1, self._chip.device, self._chip.dtype))
        self._chip.program([weights.reshape(1, -1, 1)])
        self._device, self._unit = pair.plus, (high - low) / (1 if cell == "pair" else 2)

    def wait(self, now: float) -> None:
        """Let time pass until `now`, seconds."""
        self._chip.settle(now)

    def read(self, now: float, times: int = 1) -> Array:
        """Successive reads, one `pass_time` apart: conductances (times, n), siemens."""
        drive = torch.ones(1, 1, 1, dtype=torch.float64)
        trace = self._chip.forward(drive, samples=times, now=now)
        return trace.pre_activations[0][0, :, 0, 0].numpy() * self._unit

    def pulse(self, count: int) -> None:
        """Give every device pulses at time 0: up, or down where the count is negative."""
        self._chip.write([LayerPulses(pulses=torch.full((1, len(self.programmed), 1), float(count)).double())])

    @property
    def programmed(self) -> Array:
        """What the write left, siemens, (n,)."""
        return self._device.programmed.flatten().numpy()

    @property
    def level(self) -> Array:
        """Conductances as of the last wait or read, slow noise aside, siemens, (n,)."""
        return self._device.drifted.flatten().numpy()

    @property
    def state(self) -> Array:
        """The same with slow noise: what a learning step finds."""
        return self._device.conductance.flatten().numpy()


@dataclass(frozen=True)
class Lab:
    """What a panel is given.

    Attributes:
        profile: to measure.
        devices: how many to simulate at each point.
        seed: of all random numbers.
    """

    profile: DeviceProfile
    devices: int = 1000
    seed: int = 0

    @property
    def range(self) -> tuple[float, float]:
        """G_min and G_max, siemens."""
        return self.profile.conductance.min, self.profile.conductance.max

    def conductance(self, share: Array | float) -> Array:
        """Places in the range, siemens: 0 is G_min, 1 is G_max."""
        low, high = self.range
        return low + np.asarray(share) * (high - low)

    def station(
        self, targets: Array, *, without: Collection[str] = (), cell: Literal["pair", "reference"] = "pair"
    ) -> ProbeStation:
        """`devices` devices at each of the targets (siemens), all of the first target first."""
        return ProbeStation(self.profile, np.repeat(targets, self.devices), self.seed, without, cell)

    def column(self, weights: Array, inputs: Array, reads: int) -> tuple[Array, Array]:
        """One column of a chip without faults as a network meets it, converters and all.

        Args:
            weights: of its rows, (rows,); the largest is half of what the devices can hold.
            inputs: each drives all rows, (n,); they also calibrate the ADC, where that is called for.
            reads: how often.

        Returns:
            The level that drove the rows, (n,), and the digitised outputs, (reads, n).
        """
        network = Network((Dense(len(weights), 1, Identity(), bias=False),))
        profile = _without(self.profile, "faults")
        chip = Chip(network, profile, seed=self.seed, dtype=torch.float64, tile=len(weights))
        chip.program([torch.as_tensor(weights).reshape(1, 1, -1)])
        vectors = torch.as_tensor(inputs).reshape(1, -1, 1).expand(1, -1, len(weights))
        chip.calibrate(vectors)
        trace = chip.forward(vectors, samples=reads)
        return trace.inputs[0][0, 0, 0, :, 0].numpy(), trace.pre_activations[0][0, :, 0, :, 0].numpy()

    def units(self, passes: int) -> Array | None:
        """What as many units as devices add in successive passes: a layer without input, whose units alone are loud.

        Returns:
            In units of the pre-activations, (passes, units); None where nothing changes.
        """
        if self.profile.unit_noise is None:
            return None
        quiet = _without(self.profile, *(field for field in CHAIN if field != "unit_noise"), *ARRAY, *USE, *WRITING)
        network = Network((Dense(1, self.devices, Identity(), bias=False),))
        chip = Chip(network, quiet, seed=self.seed, dtype=torch.float64)
        chip.program([torch.ones(1, self.devices, 1, dtype=torch.float64)])
        trace = chip.forward(torch.zeros(1, 1, 1, dtype=torch.float64), samples=passes)
        noise = trace.pre_activations[0][0, :, 0, 0].numpy()
        return noise if np.ptp(noise) > 0 else None

    def effective(self, lines: int) -> tuple[Array, Array]:
        """A square array with every device at G_max, written exactly, read row by row by exact converters, no noise.

        Returns:
            What each device seems to be in its column, and what it is: siemens, each (columns, rows).
        """
        kept = _without(self.profile, *CHAIN, "faults", "slices", *WRITING)
        kept = kept.model_copy(update={"cell": "pair", "read_noise": ()})
        network = Network((Dense(lines, lines, Identity(), bias=False),))
        chip = Chip(network, kept, seed=self.seed, dtype=torch.float64, tile=lines, mapping=Mapping(headroom=1.0))
        chip.program([torch.ones(1, lines, lines, dtype=torch.float64)])
        rows = torch.eye(lines, dtype=torch.float64)[None]
        read = chip.forward(rows, (Pass(clean=True),)).pre_activations[0][0, 0, 0].numpy().T
        low, high = self.range
        plus, minus = (g[0].numpy() for g in chip.oracle.conductances[0])
        return read * (high - low), plus - minus


def _without(profile: DeviceProfile, *effects: str) -> DeviceProfile:
    return profile.model_copy(update=dict.fromkeys(effects))


def microsiemens(value: Any, digits: int = 3) -> str:
    """A conductance for a person."""
    return f"{float(value) * MICRO:.{digits}g} µS"
