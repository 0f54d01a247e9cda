"""Step: how long one learning step takes, and what it costs, simulated event by event on SimPy.

Samples stream through the layers as a pipeline: a layer's array, its ADCs and its digital unit each serve one sample
after the other, in the order in which they come, with buffers in between that never overflow. Each pass ends with a
loss, computed on the chip's learning unit and broadcast. A backward pass takes the same arrays, in reverse order, from
the last loss of its sample on. When all samples are through, the learning unit computes the updates of one layer after
the other, and each is written as soon as it is there.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

import simpy

from analogsim.clock.shape import LayerShape, Reads, StepShape, Writes
from analogsim.clock.station import Span, Station
from device_models import Operations


@dataclass(frozen=True)
class StepCost:
    """What one learning step of one chip takes; energy and operations without its writes.

    Attributes:
        latency: seconds from the first input to the last write.
        operations: counted; writes and verifying reads, which depend on what is written, aside.
        joules: of these operations, by their kind; what stands by aside.
        occupancy: of each part of the chip, the share of the latency in which it works.
        spans: what each part does when.
    """

    latency: float
    operations: Operations
    joules: Mapping[str, float]
    occupancy: Mapping[str, float]
    spans: tuple[Span, ...]

    @property
    def energy(self) -> float:
        """Joules of all its operations."""
        return sum(self.joules.values())


class InferenceCost(NamedTuple):
    """What inference takes on one chip.

    Attributes:
        latency: seconds of one sample, on a chip that does nothing else.
        interval: seconds between samples in a steady stream: the time for which one keeps the busiest part.
        operations: of one sample.
        energy: joules of these.
    """

    latency: float
    interval: float
    operations: Operations
    energy: float


@lru_cache(maxsize=32)
def step_cost(shape: StepShape) -> StepCost:
    """Simulate one learning step; steps of one shape are simulated once."""
    run = _Run(shape)
    latency = run.latency()
    operations, joules = _counted(shape)
    stations = [each for each in run.stations if each.busy]
    occupancy = {each.name: each.busy / latency for each in stations}
    return StepCost(latency, operations, joules, occupancy, tuple(span for each in stations for span in each.spans))


@lru_cache(maxsize=256)
def inference_cost(shape: StepShape) -> InferenceCost:
    """One sample, forward: its layers one after the other; no loss."""
    latency = interval = energy = 0.0
    total = Operations()
    for layer in shape.layers:
        digital = [work / layer.costs.digital.rate for work in (layer.before, layer.after)]
        reads = [layer.forward(shape.tile)]
        if layer.decorrelation == "crossbar":
            reads.append(layer.decorrelating(shape.tile))
        latency += sum(digital) + sum(each.latency for each in reads)
        parts = [part for each in reads for part in (each.number * each.array, each.number * each.adc)]
        interval = max(interval, sum(digital), *parts)
        operations = _forward(layer, shape.tile)
        total, energy = total.plus(operations), energy + layer.costs.energy(operations)
    return InferenceCost(latency, interval, total, energy)


def _forward(layer: LayerShape, tile: int) -> Operations:
    """Of one sample."""
    counted = layer.forward(tile).operations.plus(Operations(digital=layer.before + layer.after))
    if layer.decorrelation == "crossbar":
        counted = counted.plus(layer.decorrelating(tile).operations)
    return counted


def _counted(shape: StepShape) -> tuple[Operations, Mapping[str, float]]:
    """Operations of the step, and their joules by kind."""
    passes = shape.batch * shape.passes
    learning = passes * shape.loss + sum(shape.update) + sum(shape.companions)
    total = Operations(digital=learning, broadcasts=passes)
    joules = shape.costs.by_part(total)
    for index, layer in enumerate(shape.layers):
        counted = _forward(layer, shape.tile).times(passes)
        if shape.backward and index:
            backward = layer.backward(shape.tile).operations.plus(Operations(digital=layer.back))
            counted = counted.plus(backward.times(shape.batch))
        total = total.plus(counted)
        for kind, own in layer.costs.by_part(counted).items():
            joules[kind] += own
    return total, joules


class _Layer:
    """The parts of one layer. Every way through it is a process from one time to another."""

    def __init__(self, index: int, shape: LayerShape, tile: int) -> None:
        self.shape = shape
        self._forward, self._backward = shape.forward(tile), shape.backward(tile)
        self._decorrelating = shape.decorrelating(tile)
        parts = ("array of R", "ADC of R", "array", "ADC", "ADC backward", "digital")
        self.stations = [Station(f"layer {index} {part}") for part in parts]
        self.array_of_r, self._adc_of_r, self.array, self._adc, self._adc_back, self._digital = self.stations

    @property
    def entrance(self) -> Station:
        """The part that a sample passes first."""
        if self.shape.decorrelation == "crossbar":
            return self.array_of_r
        return self._digital if self.shape.before else self.array

    def forward(self, ready: float) -> Generator[float, None, float]:
        """A sample on its way forward; yields when it has passed a part."""
        crossbar = self.shape.decorrelation == "crossbar"
        if crossbar:
            ready = _read(self._decorrelating, self.array_of_r, self._adc_of_r, "decorrelation", ready)
            yield ready
        if self.shape.before:
            ready = self._compute("decorrelation", ready, self.shape.before)
            yield ready
        ready = _read(self._forward, self.array, self._adc, "read", ready)
        yield ready
        if self.shape.after:
            ready = self._compute("read", ready, self.shape.after)
            yield ready
        return ready

    def backward(self, ready: float) -> Generator[float, None, float]:
        """A vector on its way backward."""
        ready = _read(self._backward, self.array, self._adc_back, "backward", ready)
        yield ready
        ready = self._compute("backward", ready, self.shape.back)
        yield ready
        return ready

    def _compute(self, what: str, ready: float, operations: int) -> float:
        return self._digital.book(what, ready, operations / self.shape.costs.digital.rate)[1]


def _read(reads: Reads, array: Station, adc: Station, what: str, ready: float) -> float:
    """Reads of a sample, whose conversions begin with the first one and end behind the last; when they do."""
    start, end = array.book(what, ready, reads.number * reads.array)
    return adc.book(what, start + reads.array, reads.number * reads.adc, end + reads.adc)[1]


class _Run:
    """One step."""

    def __init__(self, shape: StepShape) -> None:
        self._shape, self._environment = shape, simpy.Environment()
        self._layers = [_Layer(index, layer, shape.tile) for index, layer in enumerate(shape.layers)]
        self._learning, self._broadcast = Station("learning"), Station("broadcast")
        self._left = [shape.passes] * shape.batch  # passes that a sample still has to do

    @property
    def stations(self) -> list[Station]:
        """All parts of the chip."""
        return [*(each for layer in self._layers for each in layer.stations), self._learning, self._broadcast]

    def latency(self) -> float:
        """Run the step; its seconds."""
        waves = [self._shape.passes - self._shape.rewritten, *[1] * self._shape.rewritten]
        for index, passes in enumerate(waves):
            if index:
                self._together([self._write(layer, self._now, "absolute") for layer in self._layers])
            self._together([self._stream(passes)])
            if index:
                self._together([self._write(layer, self._now, "absolute") for layer in self._layers])
        nothing, layers = (0,) * len(self._layers), self._layers
        learned = zip(layers, self._shape.update or nothing, strict=True)
        beside = zip(layers, self._shape.companions or nothing, strict=True)
        self._together([*(self._update(*each) for each in learned), *(self._companion(*each) for each in beside)])
        return self._now

    @property
    def _now(self) -> float:
        return float(self._environment.now)

    def _together(self, processes: list[Generator[float, None, Any]]) -> None:
        """Run processes that yield the times at which they go on, until all are done."""
        for each in processes:
            self._environment.process(self._timed(each))
        self._environment.run()

    def _timed(self, process: Iterable[float]) -> Generator[simpy.Event, Any, None]:
        environment = self._environment
        for time in process:
            yield environment.timeout(max(0.0, time - environment.now))

    def _stream(self, passes: int) -> Generator[float, None, None]:
        """Send all samples in, all passes of one before the next, each when the first part is free for it."""
        entrance = self._layers[0].entrance
        for sample in (sample for sample in range(self._shape.batch) for _ in range(passes)):
            while entrance.free > self._now:  # what is under way may have come before
                yield entrance.free
            way = self._pass(sample)
            self._environment.process(self._timed(chain([next(way)], way)))

    def _pass(self, sample: int) -> Generator[float, None, None]:
        """A sample's forward pass, and behind the last of them its backward pass."""
        shape, ready = self._shape, self._now
        for layer in self._layers:
            ready = yield from layer.forward(ready)
        _, ready = self._learning.book("loss", ready, shape.loss / shape.costs.digital.rate)
        yield ready
        _, ready = self._broadcast.book("broadcast", ready, shape.costs.broadcast.time)
        yield ready
        self._left[sample] -= 1
        if shape.backward and not self._left[sample]:
            for layer in self._layers[:0:-1]:
                ready = yield from layer.backward(ready)

    def _update(self, layer: _Layer, operations: int) -> Generator[float, None, None]:
        _, ready = self._learning.book("update", self._now, operations / self._shape.costs.digital.rate)
        yield ready
        yield from self._write(layer, ready, self._shape.write)

    def _write(self, layer: _Layer, ready: float, writes: Writes) -> Generator[float, None, None]:
        seconds = layer.shape.writing(writes, self._shape.tile, self._shape.batch)
        if seconds:
            yield layer.array.book("write", ready, seconds)[1]

    def _companion(self, layer: _Layer, operations: int) -> Generator[float, None, None]:
        _, ready = self._learning.book("companion", self._now, operations / self._shape.costs.digital.rate)
        yield ready
        if layer.shape.decorrelation == "crossbar" and operations:
            yield layer.array_of_r.book("write", ready, layer.shape.decorrelation_writing(self._shape.tile))[1]
