"""Chip: a population of simulated crossbar chips that run one network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from analogsim.chip.arguments import population_of, require_choices, require_count, require_inputs, require_weights
from analogsim.chip.counters import Counters
from analogsim.chip.crossbar import Crossbar, Products, Sampling
from analogsim.chip.decorrelation import Decorrelators
from analogsim.chip.events import finite
from analogsim.chip.geometry import Geometry
from analogsim.chip.injection import InjectionSite, check_layers, perturbs_weights
from analogsim.chip.layers import build, per_layer
from analogsim.chip.mapping import Mapping
from analogsim.chip.numbers import LayerNumbers
from analogsim.chip.oracle import Oracle
from analogsim.chip.references import References
from analogsim.chip.signal_path import SignalPath
from analogsim.chip.trace import Trace
from analogsim.chip.units import Order
from analogsim.chip.weight_injection import run_with_perturbed_weights
from analogsim.network import Network
from analogsim.port import DEFAULT_GRANTS, Access, LayerPulses, LayerWrite, Limits, Pass, Periphery
from analogsim.randomness import Purpose, Streams
from device_models import DeviceProfile


class Chip(Counters, References):
    """C simulated chips that run one network; every tensor has a leading chips dimension.

    Args:
        network: what to run.
        profile: what a device is; one profile for all layers, or one for each.
        population: number of chips C; or their numbers, which seed their random streams, so that chip 3 of a
            population can be built alone with `population=[3]` (and with its own value of each `each`).
        seed: of the run; one for all chips, or one per chip.
        device, dtype: of the tensors.
        sampling: `column` draws the noise of a column's current, exact in distribution; `device` draws every device,
            is slow, and exists to prove the former.
        tile: largest number of rows of a tile; a layer with more is read in row-blocks, each with its own ADC.
        mapping: how weights become conductances.
        order: of the reads of a step, which decides how much time lies between the passes of a batch element: `sample`:
            all passes of one, then the next; `pass`: the whole batch, then the next pass. Noise of units that remembers
            follows the same order.
        injection: `digital`: perturbations are added after the ADC, exactly; `analog`: before it, and are quantised.
        grants: what a learner may ask for.
        generator: makes a random generator for a device; replaced in tests that have no such device.
        products: `exact`: of the floating-point numbers; `fast`: on units for matrices of bytes, where the CPU has them
            and products are large, to the bounds of `analogsim.chip.coded`.
        drift_tolerance: what time does to conductances, slow noise aside, is computed anew only where it may have
            changed one by more than this share of itself (of G_max, where relaxation adds siemens); 0: always.
        count_wear: whether `wear` is counted where the profile has no endurance and no write-verify.

    Raises:
        ValueError: the population is empty, or a setting makes no sense.
        RuntimeError: of its methods: nothing has been programmed yet.
        ProfileError: profiles that do not suit the network or the population.
    """

    def __init__(
        self,
        network: Network,
        profile: DeviceProfile | Sequence[DeviceProfile],
        population: int | Sequence[int] = 1,
        seed: int | Sequence[int] = 0,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        sampling: Sampling = "column",
        *,
        tile: int = 256,
        mapping: Mapping | None = None,
        order: Order = "sample",
        injection: InjectionSite = "digital",
        grants: Access = DEFAULT_GRANTS,
        generator: Callable[[torch.device], torch.Generator | None] = torch.Generator,
        products: Products = "exact",
        drift_tolerance: float = 0.0,
        count_wear: bool = False,
    ) -> None:
        require_choices(
            sampling=(sampling, Sampling),
            order=(order, Order),
            injection=(injection, InjectionSite),
            products=(products, Products),
        )
        if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
            raise ValueError(f"dtype must be a floating-point type, such as torch.float32 (got {dtype!r})")
        if mapping is not None and not isinstance(mapping, Mapping):
            raise ValueError(f"mapping must be a Mapping, such as Mapping(range='follow') (got {mapping!r})")
        ids, seeds = population_of(population, seed)
        if not 0 <= drift_tolerance < 1:
            raise ValueError(f"drift_tolerance must be a share from 0 to below 1 (got {drift_tolerance})")
        self.network = network
        self.profiles = per_layer(profile, network.depth)
        self.chips = len(ids)
        self.device = torch.device(device)
        self.dtype = dtype
        self.grants = grants
        self.streams = Streams(seeds, ids, self.device, generator)
        self._devices = build(self.profiles, self.chips, self.device, dtype)
        settings = Geometry(tile), mapping or Mapping(), sampling

        def crossbar(index: int, numbers: LayerNumbers) -> Crossbar:
            fast = products == "fast"
            return Crossbar(self._devices[index], *settings, numbers, fast, drift_tolerance, count_wear)

        self._layers = [crossbar(index, self._numbers(index)) for index in range(network.depth)]
        self._decorrelators = Decorrelators(network.layers, self.streams, dtype, self.device, crossbar)
        self._path = SignalPath(
            network,
            self._layers,
            self._decorrelators,
            self.streams,
            tuple(each.unit_noise for each in self._devices),
            order,
            self.profiles[0].timing.pass_time,  # the same for all layers
            injection,
            dtype,
        )
        self._fixed_range = (mapping or Mapping()).range == "fixed"

    @property
    def profile(self) -> DeviceProfile:
        """What a device of the first layer is; `profiles` has those of all."""
        return self.profiles[0]

    def program(self, weights: Sequence[Tensor], *, now: float = 0.0) -> None:
        """Fix each layer's range by initial weights and write them, on new devices each time.

        Args:
            weights: per layer (C, outputs, rows).
            now: seconds.

        Raises:
            ValueError: weights of other layers, or of another population.
        """
        require_weights(weights, self.network.layers, self.chips)
        finite(now)
        for crossbar, w in zip(self._layers, weights, strict=True):
            crossbar.program(w.to(self.device, self.dtype), now)
        self._last = "write", now

    def write(self, writes: Sequence[LayerWrite | LayerPulses], *, now: float = 0.0) -> None:
        """Write every layer: towards its target, or by pulses.

        Args:
            writes: per layer.
            now: seconds; not before the last write or event.

        Raises:
            ValueError: pulses for devices whose profile has no update model; another number than of layers.
        """
        require_count("writes", writes, self.network.depth)
        self._note("write", now)
        for crossbar, write in zip(self._layers, writes, strict=True):
            if isinstance(write, LayerPulses):
                crossbar.array.pulse(write, now)
            else:
                crossbar.array.write(write.target, now)

    def reprogram(self, weights: Sequence[Tensor], *, now: float = 0.0) -> None:
        """Write every device anew, those of R on crossbars towards what was last asked of them.

        Args:
            weights: per layer (C, outputs, rows).
            now: seconds; not before the last write or event.

        Raises:
            ValueError: weights of other layers, or of another population.
        """
        require_weights(weights, self.network.layers, self.chips)
        self._note("write", now)
        for index, crossbar in self.numbered_crossbars:
            of_r = crossbar is not self._layers[index]
            crossbar.array.write(crossbar.array.target if of_r else weights[index], now, every=True)

    def write_decorrelation(self, matrices: Sequence[Tensor | None], *, now: float = 0.0) -> bool:
        """Write R of layers onto crossbars of their own; at the first time new ones are programmed.

        Their range is fixed by what is written first, and each write is absolute.

        Args:
            matrices: per layer (C, fan_in, fan_in), or None.
            now: seconds; not before the last write or event.

        Returns:
            Whether crossbars were made. Where ranges of ADCs are calibrated, `calibrate` comes before their first read.
        """
        self._note("write", now)
        return self._decorrelators.write(matrices, now)

    def settle(self, now: float) -> None:
        """Let time pass until `now`, seconds, without a read: what the oracle shows is as of then."""
        self._check_time(now)
        for crossbar in self.crossbars:
            crossbar.array.settle(now)

    def _numbers(self, index: int) -> LayerNumbers:
        layer = self.network.layers[index]
        return LayerNumbers(self.streams, index, layer.columns, layer.rows, self.dtype, self.device)

    def calibrate(self, x: Tensor, periphery: Periphery | None = None, *, now: float = 0.0) -> None:
        """Set the ranges of ADCs that are calibrated, by one noisy pass of some training inputs.

        Layer by layer, each with its inputs as the calibrated crossbars before it give them. Backward
        reads have ranges of their own, by reads of as many standard normal vectors. Every call begins from the same
        random numbers.

        Args:
            x: network inputs (C, B, inputs).
            periphery: operations beside the layers' crossbars; those of decorrelation are calibrated, too.
            now: seconds; not before the last write or event.
        """
        self._check_time(now)
        if not self.calibrates:
            return
        require_inputs(x, self.network.inputs, self.chips)
        self._path.calibrate(x.to(self.device, self.dtype), periphery, now)

    @property
    def calibrates(self) -> bool:
        """Whether ranges of ADCs are calibrated: `calibrate` comes before the first read."""
        return any(each.adc is not None and each.adc.calibration is not None for each in self.profiles)

    @property
    def limits(self) -> Limits:
        """The lines of the data sheet that say where weights and signals are clipped."""
        self._last_event()
        return Limits(
            weights=tuple(crossbar.array.w_max.clone() if self._fixed_range else None for crossbar in self._layers),
            inputs=tuple(crossbar.input_limit for crossbar in self._layers),
            outputs=tuple(crossbar.output_limit for crossbar in self._layers),
            steps=tuple(crossbar.array.weight_per_step for crossbar in self._layers),
            decorrelation=self._decorrelators.limits(self.network.depth, self._fixed_range),
        )

    @property
    def oracle(self) -> Oracle:
        """What no learner sees: for diagnostics and tests."""
        return Oracle(tuple(self._layers), self._decorrelators.by_layer)

    def state_dict(self) -> dict[str, Any]:
        """Devices and random streams, for a checkpoint; the tensors are live."""
        last = self._last_event()
        return {
            "streams": self.streams.state_dict(),
            "layers": [crossbar.state_dict() for crossbar in self._layers],
            "decorrelation": self._decorrelators.state_dict(),
            "last": last,
            "temperature": self.temperature,
            "reference_reads": self.reference_reads,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken, on an equal chip that has been programmed, its R included."""
        self.streams.load_state_dict(state["streams"])
        self._last = state["last"]
        if state["temperature"] != self.temperature:
            self._adopt(state["temperature"])
        self.reference_reads = state["reference_reads"]
        for crossbar, saved in zip(self._layers, state["layers"], strict=True):
            crossbar.load_state_dict(saved)
        self._decorrelators.load_state_dict(state["decorrelation"])

    def forward(
        self,
        x: Tensor,
        passes: Sequence[Pass] = (Pass(),),
        samples: int = 1,
        periphery: Periphery | None = None,
        purpose: Purpose = Purpose.READ,
        *,
        now: float = 0.0,
        go_on: bool = False,
        masks: Sequence[Tensor | None] | None = None,
    ) -> Trace:
        """Run passes on a batch: all at once, but for those that perturb weights (see `run_with_perturbed_weights`).

        Args:
            x: network inputs (C, B, inputs).
            passes: what to run; their `record` is not looked at, everything is returned.
            samples: how often to run each.
            periphery: operations beside the layers' crossbars.
            purpose: which random streams feed the stochastic noise.
            now: seconds, the same for all passes; not before the last write or event.
            go_on: these passes of the same batch follow those of the last call, and noise remembers them.
            masks: per layer (C, B, n) for the operation that takes one, or None; None: those operations do nothing.
        """
        self._check_time(now)
        check_layers(passes, self.network.depth)
        require_inputs(x, self.network.inputs, self.chips)
        x = x.to(self.device, self.dtype)
        if not any(perturbs_weights(each) for each in passes):
            return self._path.run(x, passes, samples, periphery, purpose, now, go_on, masks)
        begun = go_on

        writes = not all(each.weight_perturbation.path for each in self.profiles)

        def at_once(some: Sequence[Pass], perturbed: bool) -> Trace:
            nonlocal begun
            order = "pass" if writes and perturbed else None
            trace = self._path.run(x, some, 1, periphery, purpose, now, begun, masks, order)
            begun = True
            return trace

        if writes:
            self._note("write", now)
        return run_with_perturbed_weights(at_once, self._layers, self.streams, passes, samples, now)

    def backward(
        self,
        output_vector: Tensor,
        inputs: Sequence[Tensor],
        pre_activations: Sequence[Tensor],
        periphery: Periphery | None = None,
        *,
        masks: Sequence[Tensor | None] | None = None,
        now: float = 0.0,
    ) -> tuple[Tensor, ...]:
        """Send a vector backwards at the time `now`, seconds; see `analogsim.port.Hardware.backward`."""
        self._check_time(now)
        require_count("inputs", inputs, self.network.depth)
        require_count("pre_activations", pre_activations, self.network.depth)
        seen = (inputs, pre_activations, (None,) * self.network.depth if masks is None else masks)
        return self._path.backward(output_vector, seen, self.limits, periphery, now)
