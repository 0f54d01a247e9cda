"""Shape: what a learning step is made of, as plain numbers, so that steps of one shape cost the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from analogsim.clock.digital import operations_behind
from analogsim.network import Layer, Network
from device_models import Costs, DeviceProfile, Operations

Decorrelated = Literal["digital", "crossbar"]
"""Where the R of a layer is."""

Writes = Literal["absolute", "mixed_precision", "in_memory", "none"]
"""How updates reach the devices. `absolute`: programming, row by row or device by device. `mixed_precision`: whole
pulses in the same order, one each. `in_memory`: trains of pulses on all lines of a tile. `none`: not at all."""


class Reads(NamedTuple):
    """The reads of one array that a sample takes, one after the other.

    A read is driven and integrated, then its currents are converted; sample-and-hold circuits let the array go on.

    Attributes:
        number: of them.
        array: seconds of one: DACs and integration.
        adc: seconds of its conversions: ADCs work side by side, each on the columns that it serves in turn.
        operations: of all of them.
    """

    number: int
    array: float
    adc: float
    operations: Operations

    @property
    def latency(self) -> float:
        """Seconds from the first input to the last conversion, on an array that is free."""
        return self.array + self.adc + (self.number - 1) * max(self.array, self.adc)


@dataclass(frozen=True)
class LayerShape:
    """One layer on a chip.

    Attributes:
        rows: of its crossbar, the bias row included.
        fan_in: rows that backward reads read, and numbers that a decorrelation turns: those of a vector.
        columns: of its crossbar.
        positions: vectors of a sample: 1 of a dense layer, one for each place of a convolution's kernel.
        before: arithmetic operations of a sample in front of a forward read: 2 fan_in^2 for each vector with a digital
            R; sums over tiles, slices and reads where R is on a crossbar.
        after: those behind a forward read: sums again; activation function, pooling and other operations.
        back: those behind a backward read, up to the pre-activations of the layer before.
        costs: what operations take.
        decorrelation: where its R is; None: it has none.
        slices: pairs of devices of a weight, on tiles of their own. A read is of both devices of a pair, or of a device
            and its reference.
        reads: of the array that make up one product: phases of signed inputs, bits.
        verified: most attempts of a write, each followed by a verifying read; 0: one attempt, which nobody verifies.
        slots: of a train of pulses for each vector, in both phases of signs.
    """

    rows: int
    fan_in: int
    columns: int
    positions: int
    before: int
    after: int
    back: int
    costs: Costs
    decorrelation: Decorrelated | None = None
    slices: int = 1
    reads: int = 1
    verified: int = 0
    slots: int = 1

    def forward(self, tile: int) -> Reads:
        """Reads of W for one sample."""
        return self._reads(self.rows, self.columns, tile)

    def backward(self, tile: int) -> Reads:
        """Reads of W^T for one sample: columns driven, rows read."""
        return self._reads(self.columns, self.fan_in, tile)

    def decorrelating(self, tile: int) -> Reads:
        """Reads of a crossbar of R for one sample."""
        return self._reads(self.fan_in, self.fan_in, tile)

    def writing(self, writes: Writes, tile: int, batch: int) -> float:
        """Seconds of the update of its devices, all tiles at once."""
        if writes == "none":
            return 0.0
        if writes == "in_memory":
            return batch * self.positions * self.slots * self.costs.write.time
        return self._programming(self.rows, self.columns, tile, self.verified if writes == "absolute" else 0)

    def decorrelation_writing(self, tile: int) -> float:
        """Seconds of programming a crossbar of R, all tiles at once."""
        return self._programming(self.fan_in, self.fan_in, tile, self.verified)

    def _programming(self, rows: int, columns: int, tile: int, verified: int) -> float:
        """One device of each weight is moved, the other one rests. A row is done when the last of its devices is."""
        turns = min(rows, tile) * (1 if self.costs.write.parallel == "row" else min(columns, tile))
        return turns * (max(1, verified) * self.costs.write.time + verified * self.costs.verify.time)

    def _reads(self, driven: int, read: int, tile: int) -> Reads:
        """Every tile has DACs on its lines and ADCs of its own; a pair's currents are subtracted before conversion."""
        costs, number = self.costs, self.reads * self.positions
        lines = number * self.slices
        return Reads(
            number,
            costs.dac.time + costs.array.time,
            min(read, tile, costs.adc.shared_by) * costs.adc.time,
            Operations(
                dac=lines * driven * blocks(read, tile),
                array=lines * driven * read * 2,
                adc=lines * read * blocks(driven, tile),
            ),
        )


@dataclass(frozen=True)
class StepShape:
    """One learning step of one chip.

    Attributes:
        layers: from input to output.
        tile: rows and columns of a tile.
        batch: samples.
        passes: forward passes of each sample.
        costs: of the learning unit and of broadcasts.
        backward: whether a vector of each sample is sent backwards through the crossbars, all but the first.
        loss: arithmetic operations of one loss.
        update: per layer those of its update and of the optimiser.
        companions: per layer those of what is learned beside the weights: decorrelation.
        write: how updates reach the devices.
        rewritten: passes for which all weights are written, and written back after the batch.
    """

    layers: tuple[LayerShape, ...]
    tile: int
    batch: int
    passes: int
    costs: Costs
    backward: bool = False
    loss: int = 0
    update: tuple[int, ...] = ()
    companions: tuple[int, ...] = ()
    write: Writes = "absolute"
    rewritten: int = 0

    def __post_init__(self) -> None:
        if min(self.tile, self.batch, self.passes) < 1 or not self.layers:
            raise ValueError(
                "a step has at least one layer, one row of a tile, one sample and one pass "
                f"(got {len(self.layers)}, {self.tile}, {self.batch} and {self.passes})"
            )
        for name in ("update", "companions"):
            counts = getattr(self, name)
            if counts and len(counts) != len(self.layers):
                raise ValueError(f"{name}: give one number for each of the {len(self.layers)} layers (got {counts})")
        if not 0 <= self.rewritten <= self.passes:
            raise ValueError(f"rewritten: at most all {self.passes} passes (got {self.rewritten})")


def step_shape(
    network: Network,
    profiles: Sequence[DeviceProfile],
    tile: int,
    batch: int,
    passes: int,
    *,
    backward: bool = False,
    loss: int | None = None,
    update: Sequence[int] = (),
    companions: Sequence[int] = (),
    write: Writes = "absolute",
    decorrelation: Sequence[Decorrelated | None] | None = None,
    rewritten: int = 0,
) -> StepShape | None:
    """The shape of a learning step, or None where a profile has no costs.

    The learning unit and broadcasts have the prices of the output layer's profile, where losses arise.

    Args:
        network: what runs on the chip.
        profiles: of each layer's devices.
        tile, batch, passes, backward, update, companions, write, rewritten: see `StepShape`.
        loss: arithmetic operations of one loss; None: three for each output (difference, square or logarithm, sum).
        decorrelation: where the R of each layer is; None: there are none.
    """
    where = (None,) * network.depth if decorrelation is None else tuple(decorrelation)
    earlier = (None, *network.layers)
    made = [_layer(*each, tile) for each in zip(network.layers, earlier, profiles, where, strict=False)]
    layers = tuple(each for each in made if each is not None)
    if len(layers) < network.depth:
        return None
    return StepShape(
        layers,
        tile,
        batch,
        passes,
        layers[-1].costs,
        backward,
        3 * network.outputs if loss is None else loss,
        tuple(update),
        tuple(companions),
        write,
        rewritten,
    )


def blocks(lines: int, size: int) -> int:
    """How many blocks of `size` hold that many lines."""
    return -(-lines // size)


def _layer(
    layer: Layer, earlier: Layer | None, profile: DeviceProfile, decorrelation: Decorrelated | None, tile: int
) -> LayerShape | None:
    if profile.costs is None:
        return None
    slices, dac = 1 if profile.slices is None else profile.slices.count, profile.dac
    reads = 1 if dac is None else dac.reads
    scaled = dac is not None and dac.scaling == "per_vector"

    def read(driven: int, lines: int, scaled: bool) -> int:
        """Operations of one vector: partial results added, and what its largest element takes where it is scaled."""
        return lines * (slices * reads * blocks(driven, tile) - 1) + (2 * driven + lines if scaled else 0)

    turned = 0 if decorrelation is None else 2 * layer.fan_in**2
    before = read(layer.fan_in, layer.fan_in, scaled) if decorrelation == "crossbar" else turned
    back = read(layer.columns, layer.fan_in, True) + turned  # backward, vectors are always scaled; R^T is digital
    if layer.positions > 1:
        back += layer.fan_in  # patches add up to feature maps
    between = 0 if earlier is None else operations_behind(earlier) + earlier.units  # derivatives, and their products
    return LayerShape(
        layer.rows,
        layer.fan_in,
        layer.columns,
        layer.positions,
        layer.positions * before,
        layer.positions * read(layer.rows, layer.columns, scaled) + operations_behind(layer),
        layer.positions * back + between,
        profile.costs,
        decorrelation,
        slices,
        reads,
        0 if profile.write_verify is None else profile.write_verify.iterations,
        2 * profile.outer_product.length,
    )
