"""SignalPath: what becomes of signals on their way through the layers of a chip, forwards and backwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from analogsim.chip.crossbar import Crossbar
from analogsim.chip.decorrelation import STREAMS as DECORRELATION
from analogsim.chip.decorrelation import Decorrelators
from analogsim.chip.draws import Draws
from analogsim.chip.injection import InjectionSite, by_site, perturbations
from analogsim.chip.trace import Trace
from analogsim.chip.units import STREAMS, Order, unit_noise
from analogsim.network import Network
from analogsim.port import Limits, Pass, Periphery
from analogsim.randomness import Purpose, Streams
from device_models import UnitNoise


@dataclass(frozen=True)
class SignalPath:
    """The crossbars of a chip in the order in which signals pass them, and what lies between.

    Attributes:
        network: what is computed.
        layers: its crossbars.
        decorrelators: those of R, where it lies on crossbars.
        streams: random numbers.
        unit_noise: per layer the noise of its units, or None.
        order: of the reads of a step; see `Chip`.
        pass_time: seconds from one pass of a batch element to the next.
        injection: where perturbations are added; see `Chip`.
        dtype: of the tensors.
        last: what noise that remembers was in the last pass, by purpose and stream.
    """

    network: Network
    layers: Sequence[Crossbar]
    decorrelators: Decorrelators
    streams: Streams
    unit_noise: tuple[UnitNoise | None, ...]
    order: Order
    pass_time: float
    injection: InjectionSite
    dtype: torch.dtype
    last: dict[tuple[Purpose, int], dict[object, Tensor]] = field(default_factory=dict)

    def run(
        self,
        x: Tensor,
        passes: Sequence[Pass],
        samples: int,
        periphery: Periphery | None,
        purpose: Purpose,
        now: float,
        go_on: bool,
        masks: Sequence[Tensor | None] | None,
        order: Order | None = None,
    ) -> Trace:
        """Run passes that leave the weights alone; see `Chip.forward`. An order of their own may be given."""
        order = order or self.order
        spacing = self.pass_time * (1 if order == "sample" else x.shape[1])
        signal = x[:, None, None]
        inputs, pre_activations, injected, signals = [], [], [], []
        for index, (crossbar, layer) in enumerate(zip(self.layers, self.network.layers, strict=True)):
            signals.append(signal)
            eps = perturbations(self.streams, index, passes, samples, (x.shape[1], layer.units), self.dtype)
            before, after = by_site(eps, passes)
            if not go_on:
                crossbar.array.disturb()
                self.decorrelators.disturb(index)
            noisy = tuple(not each.clean for each in passes)
            draws, own = (
                Draws(self.streams, purpose, number, samples, noisy, spacing, self._memory(purpose, number, go_on))
                for number in (index, DECORRELATION + index)
            )
            analog = before if self.injection == "analog" else None
            levels, a = self._read(index, signal, periphery, (draws, own), analog, now=now)
            a = self._with_unit_noise(a, draws, order)
            if index == 0 and levels is signal:
                levels = levels.clone()  # the batch itself must not cross the wall
            if before is not None and analog is None:
                a = a + before
            signal = layer.finish(a, None if masks is None else _shared(masks[index]), after)
            inputs.append(levels)
            pre_activations.append(_full(a, samples, len(passes)))
            injected.append(eps)
        outputs = _full(signal, samples, len(passes))
        return Trace(tuple(inputs), tuple(pre_activations), tuple(injected), outputs, tuple(signals))

    def backward(
        self,
        output_vector: Tensor,
        seen: tuple[Sequence[Tensor], Sequence[Tensor], Sequence[Tensor | None]],
        limits: Limits,
        periphery: Periphery | None,
        now: float,
    ) -> tuple[Tensor, ...]:
        """Send a vector backwards; see `analogsim.port.Hardware.backward`.

        Args:
            output_vector: (C, B, units of the last layer).
            seen: inputs, pre-activations and masks of each layer.
            limits: of the chip.
            periphery: has R, or none.
            now: seconds.
        """
        (inputs, pre_activations, masks), vectors = seen, [output_vector]
        for index in range(self.network.depth - 1, 0, -1):
            draws = Draws(self.streams, Purpose.BACKWARD_READ, index, 1, (True,))
            crossbar, fan_in = self.layers[index], self.network.layers[index].fan_in

            def multiply(
                g: Tensor, crossbar: Crossbar = crossbar, fan_in: int = fan_in, draws: Draws = draws
            ) -> Tensor:
                return crossbar.read_transposed(g[:, None, None], fan_in, draws, now)[:, 0, 0]

            r = None if periphery is None else periphery.decorrelation[index]
            clip = (limits.inputs[index], limits.outputs[index - 1])
            g = self.network.adjoint(
                index, multiply, vectors[0], r, inputs[index], pre_activations[index - 1], masks[index - 1], clip
            )
            vectors.insert(0, g)
        return tuple(vectors)

    def calibrate(self, x: Tensor, periphery: Periphery | None, now: float) -> None:
        """Set the ranges of ADCs that are calibrated; see `Chip.calibrate`."""
        self.streams.restart(Purpose.CALIBRATION, 0)
        signal = x[:, None, None]
        for index, (crossbar, layer) in enumerate(zip(self.layers, self.network.layers, strict=True)):
            draws, own = (
                Draws(self.streams, Purpose.CALIBRATION, number, 1, (True,))
                for number in (index, DECORRELATION + index)
            )
            _, a = self._read(index, signal, periphery, (draws, own), now=now, calibrate=True)
            vectors = draws.normal(1, (x.shape[1], layer.columns), self.dtype)[:, :, :, 0]
            crossbar.read_transposed(vectors, layer.fan_in, draws, now, calibrate=True)
            signal = layer.finish(self._with_unit_noise(a, draws, self.order))

    def _with_unit_noise(self, a: Tensor, draws: Draws, order: Order) -> Tensor:
        """Pre-activations with the noise of their units."""
        noise = self.unit_noise[draws.layer]
        if noise is None or not draws.any:
            return a
        own, positions = replace(draws, layer=STREAMS + draws.layer), self.network.layers[draws.layer].positions
        return a + unit_noise(noise, own, a, order, positions)

    def _read(
        self,
        index: int,
        signal: Tensor,
        periphery: Periphery | None,
        draws: tuple[Draws, Draws],
        injection: Tensor | None = None,
        *,
        now: float,
        calibrate: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Read the crossbar of layer `index` with all vectors that it cuts from its input.

        Args:
            index: of the layer.
            signal: its input (C, S or 1, P or 1, B, inputs).
            periphery: has R of its vectors, or none.
            draws: of the layer, and of its R where that lies on a crossbar.
            now, calibrate: see `Crossbar.read`.
            injection: analog, (C, S, P, B, units), or None.

        Returns:
            What is observed of the input, (C, S or 1, P or 1, B, observed); pre-activations (C, S or 1, P or 1, B,
            units).
        """
        crossbar, layer = self.layers[index], self.network.layers[index]
        r = None if periphery is None else periphery.decorrelation[index]
        analog = r is not None and periphery is not None and periphery.crossbar
        if not layer.observes_vectors and (r is None or analog):
            signal = crossbar.round(signal)  # each number once, whichever vectors hold it
        blocks = (vectors for _, vectors in layer.drives(signal, None if analog else r))
        count = signal.shape[3] * layer.positions
        if analog:
            plain = (vectors[..., : layer.fan_in] for vectors in blocks)
            blocks = [layer.drive(self.decorrelators.read(index, plain, count, draws[1], now, calibrate))]
        added = None if injection is None else layer.by_column(injection)
        levels, y = crossbar.read_blocks(blocks, count, draws[0], added, now, calibrate, layer.observes_vectors)
        return (levels[0] if layer.observes_vectors else signal), layer.by_unit(y)

    def _memory(self, purpose: Purpose, number: int, go_on: bool) -> dict[object, Tensor]:
        """What noise that remembers was in the last pass of the batch."""
        last = self.last.setdefault((purpose, number), {})
        if not go_on:
            last.clear()
        return last


def _shared(mask: Tensor | None) -> Tensor | None:
    """(C, B, n) for all samples and passes, (C, 1, 1, B, n)."""
    return None if mask is None else mask[:, None, None]


def _full(x: Tensor, samples: int, passes: int) -> Tensor:
    """(C, S or 1, P or 1, ...) as (C, S, P, ...)."""
    return x.expand(x.shape[0], samples, passes, *x.shape[3:])
