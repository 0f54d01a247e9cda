"""Rig: chip + task = the hardware that a controller sees."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from analogsim.chip import Chip, Trace
from analogsim.clock import Clock
from analogsim.diagnostics import Gradient, true_gradient
from analogsim.network import Network, unclipped
from analogsim.port import Access, AccessError, LayerPulses, LayerWrite, Limits, Observation, Pass, Periphery
from analogsim.randomness import Purpose
from analogsim.study.loss_channel import LossChannel, LossChannelSettings
from analogsim.tasks import Task

_EVALUATION_BATCH = 500


class Rig:
    """The hardware side of the wall: a population of chips and the task that they are trained on.

    Implements `analogsim.port.Hardware`.

    Args:
        chip: programmed chips.
        task: data and loss.
        oracle: what this arm may use beyond the chip's grants, for comparison.
        clock: gives every read and write its time; one that stands at 0 s unless given.
        channel: how losses reach the learner; exactly and at once unless given.
        purpose: which random streams feed the noise of reads.
    """

    def __init__(
        self,
        chip: Chip,
        task: Task,
        oracle: Access | None = None,
        clock: Clock | None = None,
        channel: LossChannelSettings | None = None,
        purpose: Purpose = Purpose.READ,
    ) -> None:
        self.chip = chip
        self.task = task
        self.clock = clock or Clock()
        self.grants = chip.grants if oracle is None else chip.grants | oracle
        self.passes = 0
        """Forward passes of a batch since the beginning."""
        self._channel_settings = channel or LossChannelSettings()
        self._channel = LossChannel(self._channel_settings, chip.streams)
        self._purpose = purpose
        self._periphery: Periphery | None = None
        self._batch: tuple[Tensor, Tensor] | None = None
        self._masks: tuple[Tensor | None, ...] = (None,) * chip.network.depth  # of the operations that take one
        self._writes_r = True
        self._begun = False  # whether passes of this batch have been run
        self._loss_sum = torch.zeros(chip.chips, dtype=chip.dtype, device=chip.device)
        self._loss_count = 0

    @property
    def network(self) -> Network:
        """What runs on the chip."""
        return self.chip.network

    @property
    def chips(self) -> int:
        """Number of chips C."""
        return self.chip.chips

    @property
    def limits(self) -> Limits:
        """Where weights and signals are clipped."""
        return self.chip.limits

    @torch.no_grad()
    def calibrate(self) -> None:
        """Set the ranges of ADCs that are calibrated, by the first training inputs; once, before training."""
        if count := self.calibration_inputs:
            inputs = self.task.first_inputs(count)
            inputs = inputs.expand(self.chips, *inputs.shape[1:])
            self.chip.calibrate(inputs, self._periphery, now=self.clock.now)

    @property
    def calibration_inputs(self) -> int:
        """Training inputs that a calibration takes, at most all; 0 where no range is calibrated."""
        adcs = [profile.adc for profile in self.chip.profiles if profile.adc is not None]
        counts = [adc.calibration.inputs for adc in adcs if adc.calibration is not None]
        return max(counts, default=0)

    def next_batch(self) -> None:
        """Move on to the next batch."""
        self._batch = self.task.next_batch()
        self._channel.next_batch()
        self._masks = self._draw_masks(self._batch[0].shape[1])
        self._begun = False

    def run(self, passes: tuple[Pass, ...], samples: int = 1) -> tuple[Observation, ...]:
        """Run passes on the batch; see `analogsim.port.Hardware.run`."""
        for each in passes:
            self._require(each.access)
        if self._batch is None:
            raise RuntimeError("there is no batch yet: call next_batch first")
        inputs, targets = self._batch
        trace = self.chip.forward(
            inputs,
            passes,
            samples,
            self._periphery,
            self._purpose,
            now=self.clock.now,
            go_on=self._begun,
            masks=self._masks,
        )
        self._begun = True
        self.passes += samples * len(passes)
        seen = [self._observe(trace, index, each, samples, targets) for index, each in enumerate(passes)]
        return self._channel.pass_on(passes, seen)

    def backward(
        self,
        output_vector: Tensor,
        inputs: tuple[Tensor, ...],
        pre_activations: tuple[Tensor, ...],
        masks: tuple[Tensor | None, ...] | None = None,
    ) -> tuple[Tensor, ...]:
        """Send a vector backwards; see `analogsim.port.Hardware.backward`."""
        self._require(Access.TRANSPOSED_READ)
        return self.chip.backward(
            output_vector, inputs, pre_activations, self._periphery, masks=masks, now=self.clock.now
        )

    def write(self, writes: tuple[LayerWrite | LayerPulses, ...]) -> None:
        """Write every layer."""
        self.chip.write(writes, now=self.clock.now)

    def set_periphery(self, periphery: Periphery) -> None:
        """Set the operations beside the layers' crossbars; see `analogsim.port.Hardware.set_periphery`."""
        self._periphery = periphery
        if not (periphery.crossbar and self._writes_r):
            return
        if self.chip.write_decorrelation(periphery.decorrelation, now=self.clock.now):
            self.calibrate()

    @contextmanager
    def unwritten(self) -> Iterator[None]:
        """Inside, an R for crossbars is only taken note of: the devices stay as they are until it is set again."""
        self._writes_r = False
        try:
            yield
        finally:
            self._writes_r = True

    def state_dict(self) -> dict[str, Any]:
        """Chip, task and counts between two steps, for a checkpoint; the tensors are live.

        The periphery is the controller's: it sets it again when it is restored, which comes before.
        """
        return {
            "chip": self.chip.state_dict(),
            "task": self.task.state_dict(),
            "channel": self._channel.state_dict(),
            "passes": self.passes,
            "loss_sum": self._loss_sum,
            "loss_count": self._loss_count,
            "ticks": self.clock.ticks,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.chip.load_state_dict(state["chip"])
        self.task.load_state_dict(state["task"])
        self._channel.load_state_dict(state["channel"], self.chip.device)
        self.passes = state["passes"]
        self._loss_sum = state["loss_sum"].to(self.chip.device, copy=True)
        self._loss_count = state["loss_count"]
        self.clock = Clock(state["ticks"])

    def training_loss(self) -> Tensor:
        """Mean true loss of all passes since the last call, (C,)."""
        mean = self._loss_sum / max(1, self._loss_count)
        self._loss_sum, self._loss_count = torch.zeros_like(self._loss_sum), 0
        return mean

    def probe(self, inputs: Tensor, targets: Tensor) -> Rig:
        """A rig beside this one on the same chips, with a batch of its own that stays, for diagnostics.

        Losses arrive at once. Within `chip.streams.aside` it leaves no trace.

        Args:
            inputs, targets: (C, B, features) and (C, B, outputs).
        """
        at_once = self._channel_settings.model_copy(update={"delay": 0, "mispaired": False})
        rig = Rig(self.chip, self.task, self.grants, self.clock, at_once, Purpose.DIAGNOSIS)
        rig._periphery = self._periphery
        rig._batch, rig._masks = (inputs, targets), rig._draw_masks(inputs.shape[1])
        return rig

    def repeat_batch(self) -> None:
        """Begin the present batch anew: noise that remembers has forgotten; masks stay."""
        self._begun = False

    def gradient(self) -> Gradient:
        """The true gradient on the present batch; see `analogsim.diagnostics.true_gradient`. No learner sees it."""
        if self._batch is None:
            raise RuntimeError("there is no batch yet: call next_batch first")
        return true_gradient(self.chip, *self._batch, self.task.loss, self._periphery, self._masks, now=self.clock.now)

    @torch.no_grad()
    def evaluate(self, step: int, samples: int | None = None) -> tuple[Tensor, Tensor]:
        """Accuracy and mean loss on the test set, (C,) each, on the chips as deployed: one noisy read per image.

        The accuracy is nan where targets stand for no classes, or the loss is not finite.

        Args:
            step: decides the noise; how often one evaluates changes nothing.
            samples: look at so many of the first training samples in place of the test set; at most all.
        """
        self.chip.streams.restart(Purpose.EVALUATION, step)
        correct = loss = torch.zeros_like(self._loss_sum)
        count = 0
        for inputs, targets in self.task.looked_at(_EVALUATION_BATCH, samples):
            x = inputs.expand(self.chips, *inputs.shape[1:])
            trace = self.chip.forward(x, (Pass(),), 1, self._periphery, Purpose.EVALUATION, now=self.clock.now)
            outputs = trace.outputs[:, 0, 0]
            correct = correct + (outputs.argmax(2) == targets.argmax(2)).sum(1)
            loss = loss + self.task.loss(outputs, targets).sum(1)
            count += inputs.shape[1]
        judged = loss.isfinite() & self.task.classes
        accuracy = torch.where(judged, correct / count, math.nan)  # the argmax of nan is a class all the same
        return accuracy, loss / count

    def _observe(self, trace: Trace, index: int, each: Pass, samples: int, targets: Tensor) -> Observation:
        outputs = trace.outputs[:, :, index]
        targets = targets[:, None]
        loss = self.task.loss(outputs, targets)
        self._loss_sum += loss.mean(dim=2).sum(dim=1)
        self._loss_count += samples
        shape = (self.chips, samples, outputs.shape[2])
        record = each.record
        return Observation(
            loss=loss,
            inputs=_of_pass(trace.inputs, index, shape) if "inputs" in record else None,
            pre_activations=_of_pass(trace.pre_activations, index, shape) if "pre_activations" in record else None,
            masks=self._masks if "pre_activations" in record else None,
            injected=self._injected(trace, index, shape) if "injected" in record else None,
            injected_weights=self._injected_weights(trace, index) if _reports_weights(each) else None,
            output_error=self._output_error(trace, index, targets) if "output_error" in record else None,
            signals=self._signals(trace, index, shape) if "signals" in record else None,
        )

    def _output_error(self, trace: Trace, index: int, targets: Tensor) -> Tensor:
        """dL/da at the output layer's pre-activations, (C, S, B, outputs)."""
        a = trace.pre_activations[-1][:, :, index]
        error = self.task.loss.error(trace.outputs[:, :, index], targets)
        error = self.network.layers[-1].finish_adjoint(error, a, _for_samples(self._masks[-1]))
        return unclipped(error, a, self.limits.outputs[-1])

    def _draw_masks(self, batch: int) -> tuple[Tensor | None, ...]:
        """Masks of the batch, (C, B, n) for each layer that takes one: the same in all of its passes."""
        chip, drawn = self.chip, []
        for index, layer in enumerate(self.network.layers):
            drawn.append(None)
            for operation in layer.after:
                if operation.masked and layer.masks is not None:
                    normal = chip.streams.draw(Purpose.DROPOUT, index, 1, (batch, layer.masks), chip.dtype)[:, 0]
                    drawn[-1] = operation.mask(torch.special.ndtr(normal))
        return tuple(drawn)

    def _injected(self, trace: Trace, index: int, shape: tuple[int, ...]) -> tuple[Tensor, ...]:
        layers = zip(trace.injected, trace.pre_activations, strict=True)
        return _of_pass([a.new_zeros(()).expand_as(a) if eps is None else eps for eps, a in layers], index, shape)

    def _injected_weights(self, trace: Trace, index: int) -> tuple[Tensor, ...]:
        """One pass, (C, S, columns, rows)."""
        samples, found = trace.outputs.shape[1], []
        for layer, eps in zip(self.network.layers, trace.injected_weights, strict=True):
            none = trace.outputs.new_zeros(()).expand(self.chips, samples, layer.columns, layer.rows)
            found.append(none if eps is None else eps[:, :, index])
        return tuple(found)

    def _signals(self, trace: Trace, index: int, shape: tuple[int, ...]) -> tuple[Tensor, ...]:
        batch, *others = trace.signals
        return _of_pass([batch.clone(), *others], index, shape)  # the batch itself must not cross the wall

    def _require(self, needed: Access) -> None:
        missing = needed & ~self.grants
        if missing:
            raise AccessError(
                f"this hardware does not grant {', '.join(missing.names)}; it grants {', '.join(self.grants.names)}"
            )


def _reports_weights(each: Pass) -> bool:
    return "injected" in each.record and each.inject is not None and each.inject.site == "weights"


def _for_samples(mask: Tensor | None) -> Tensor | None:
    return None if mask is None else mask[:, None]


def _of_pass(layers: tuple[Tensor, ...] | list[Tensor], index: int, shape: tuple[int, ...]) -> tuple[Tensor, ...]:
    """One pass of (C, S or 1, P or 1, B, n), as (C, S, B, n)."""
    return tuple((x[:, :, 0] if x.shape[2] == 1 else x[:, :, index]).expand(*shape, x.shape[4]) for x in layers)
