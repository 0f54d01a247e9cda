"""Diagnosis: the metrics of an arm under way, measured beside it."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence

from torch import Tensor

from analogsim.diagnostics import Look, measured
from analogsim.learning import Controller
from analogsim.study.rig import Rig


class Diagnosis:
    """Measures metrics on a fixed batch, and leaves no trace in what it looks at.

    Args:
        names: of the metrics.
        rig, controller: of the stage; no controller: nothing is learned.
        batch: inputs (1, B, features) and targets (1, B, outputs), the same for all chips.
        writes: whether passes of the rule write to devices, as perturbed weights may: then they are put back, which
            costs a copy of the chips' state.
        chunk: largest number of samples that the rule runs at once on that batch; None: all.
    """

    def __init__(
        self,
        names: Sequence[str],
        rig: Rig,
        controller: Controller | None,
        batch: tuple[Tensor, Tensor],
        writes: bool = False,
        chunk: int | None = None,
    ) -> None:
        self._names, self._rig, self._controller, self._writes, self._chunk = names, rig, controller, writes, chunk
        self._batch = tuple(each.expand(rig.chips, *each.shape[1:]) for each in batch)

    def measure(self, step: int) -> list[dict[str, tuple[float | None, ...]]]:
        """The metrics of each chip, by name a number for each layer; None where it is not finite or has no meaning.

        Args:
            step: decides the random numbers; how often one measures changes nothing.
        """
        rig = self._rig
        if not self._names:
            return [{} for _ in range(rig.chips)]
        rig.chip.settle(rig.clock.now)
        held = copy.deepcopy(rig.chip.state_dict()) if self._writes else None
        with rig.chip.streams.aside(step):
            found = measured(self._names, self._look(rig.probe(*self._batch)))
        if held is not None:
            rig.chip.load_state_dict(held)
        listed = {name: [_listed(layer, rig.chips) for layer in layers] for name, layers in found.items()}
        return [
            {name: tuple(layer[chip] for layer in layers) for name, layers in listed.items()}
            for chip in range(rig.chips)
        ]

    def _look(self, probe: Rig) -> Look:
        controller = self._controller

        def directions_of(learner: Controller) -> Callable[[], tuple[Tensor, ...]]:
            def directions() -> tuple[Tensor, ...]:
                probe.repeat_batch()
                return learner.directions_on(probe, self._chunk)

            return directions

        weights = zip(probe.chip.oracle.weights, probe.network.layers, strict=True)
        return Look(
            weights=[w[:, :, : layer.fan_in] for w, layer in weights],
            directions=None if controller is None else directions_of(controller),
            gradient=probe.gradient,
            feedback=None if controller is None else controller.feedback,
        )


def _listed(layer: Tensor | None, chips: int) -> list[float | None]:
    if layer is None:
        return [None] * chips
    return [value if math.isfinite(value) else None for value in layer.double().cpu().tolist()]
