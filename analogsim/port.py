"""The wall between chip and learner. All that both sides share is declared here, as data.

A learning rule never touches a chip. It states the forward passes that it wants (`Plan`), the hardware runs them and
hands back what was recorded (`Observation`), and the rule turns observations into update directions (`LayerUpdate`).
What crosses can therefore be audited, saved and replayed, and a real chip can stand on the other side.

Shapes: C chips, S samples, B batch, n units. Convention: `sigma` is a standard deviation.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from analogsim.errors import AccessError as AccessError
from analogsim.network import Layer, Network


class Access(enum.Flag):
    """What hardware can offer to a learner."""

    ACTIVITIES = enum.auto()
    """Layer inputs and digitised pre-activations of a pass."""
    LOSS = enum.auto()
    """One scalar per sample and pass."""
    INJECTION = enum.auto()
    """The hardware adds a known perturbation to activities where asked, and reports it."""
    WEIGHT_INJECTION = enum.auto()
    """The same on weights."""
    CLEAN_PASS = enum.auto()
    """Stochastic noise off; quantisation and faults stay. No analog hardware has it: an oracle."""
    OUTPUT_ERROR = enum.auto()
    """dL/da at the output layer's pre-activations: a supervised vector."""
    TRANSPOSED_READ = enum.auto()
    """Matrix product in the backward direction, of a vector that the learner supplies."""
    WEIGHT_READ = enum.auto()
    """Counted, noisy read-out of weights."""

    @property
    def names(self) -> tuple[str, ...]:
        """Lower-case names of the flags that are set, as scenarios write them."""
        return tuple(flag.name.lower() for flag in Access if flag in self and flag.name)

    @classmethod
    def of(cls, *names: str) -> Access:
        """The union of flags given by their lower-case names."""
        flags = cls(0)
        for name in names:
            flags |= cls[name.upper()]
        return flags


DEFAULT_GRANTS = Access.ACTIVITIES | Access.LOSS | Access.INJECTION
"""What a chip offers unless it says otherwise."""

Record = Literal["inputs", "pre_activations", "injected", "output_error", "signals"]


@dataclass(frozen=True)
class Injection:
    """A known perturbation that the hardware adds in a pass.

    Attributes:
        sigma: standard deviation, in units of the perturbed signal.
        site: `pre_activation`; `activation`: after the activation function; or `weights`: one draw for each chip and
            pass, the same for the whole batch.
        layers: indices of the perturbed layers; None: all.
        law: `normal`, or `rademacher`: +sigma or -sigma.
        draw: passes of one `Hardware.run` with an equal draw share the numbers of each sample.
        scale: factor on the numbers; +1 and -1 with an equal draw make a two-sided pair.
    """

    sigma: float
    site: Literal["pre_activation", "activation", "weights"] = "pre_activation"
    layers: tuple[int, ...] | None = None
    law: Literal["normal", "rademacher"] = "normal"
    draw: int = 0
    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.site not in ("pre_activation", "activation", "weights") or self.law not in ("normal", "rademacher"):
            raise ValueError(f"no such perturbation: site {self.site!r}, law {self.law!r}")
        if not (0 <= self.sigma < math.inf and math.isfinite(self.scale)):
            raise ValueError(f"sigma must be finite and not negative, scale finite (got {self.sigma}, {self.scale})")
        if self.layers is not None and min(self.layers, default=0) < 0:
            raise ValueError(f"layers are numbered from 0 (got {self.layers})")


@dataclass(frozen=True)
class Pass:
    """One forward pass of a batch.

    Attributes:
        clean: without stochastic noise (needs CLEAN_PASS).
        inject: a perturbation to add.
        record: what to hand back beside the loss.
    """

    clean: bool = False
    inject: Injection | None = None
    record: frozenset[Record] = frozenset({"inputs", "pre_activations"})

    @property
    def access(self) -> Access:
        """What the hardware must grant to run it."""
        needed = Access.LOSS
        if self.clean:
            needed |= Access.CLEAN_PASS
        if self.inject is not None:
            needed |= Access.WEIGHT_INJECTION if self.inject.site == "weights" else Access.INJECTION
        if self.record & {"inputs", "pre_activations", "signals"}:
            needed |= Access.ACTIVITIES
        if "output_error" in self.record:
            needed |= Access.OUTPUT_ERROR
        return needed


@dataclass(frozen=True)
class Plan:
    """The passes of one learning step.

    Attributes:
        baseline: run once a step, or None.
        probes: run again for each of the samples.
        samples: how often the probes are repeated.
    """

    baseline: Pass | None = None
    probes: tuple[Pass, ...] = ()
    samples: int = 1

    def __post_init__(self) -> None:
        fixed = None if self.baseline is None or self.baseline.inject is None else self.baseline.inject.draw
        if fixed is not None and any(each.inject and each.inject.draw == fixed for each in self.probes):
            raise ValueError(f"the baseline runs once, so it cannot share draw {fixed} with probes that run again")

    @property
    def passes(self) -> int:
        """Forward passes of one step."""
        return (self.baseline is not None) + self.samples * len(self.probes)

    @property
    def access(self) -> Access:
        """What the hardware must grant to run it."""
        needed = Access(0)
        for each in (*self.probes, *(() if self.baseline is None else (self.baseline,))):
            needed |= each.access
        return needed


class Observation(NamedTuple):
    """What was recorded in a pass; None where nothing was asked for.

    Valid until the hardware's next `run`, which may reuse the memory: `clone` what is kept. `backward` and `write`
    leave it as it is.

    Attributes:
        loss: (C, S, B), one scalar per chip, sample and batch element.
        inputs: per layer (C, S, B, observed), in the form that the layer states: of a dense layer the levels that
            drove the crossbar's rows, the bias row last; of a convolution the feature maps that its vectors are cut
            from, flat, as the DACs rounded them; unrounded where a decorrelation lies between, or where each vector is
            scaled by itself.
        pre_activations: per layer (C, S, B, units), digitised, an injected perturbation included; feature maps flat.
        injected: per layer (C, S, B, units); zero where a layer was not perturbed.
        output_error: (C, S, B, units of the last layer), dL/da; 0 where the ADC clipped.
        masks: per layer the mask of the digital operation that takes one (C, B, n), the same in all passes of a batch,
            or None; comes with the pre-activations.
        injected_weights: per layer (C, S, columns, rows); comes with `injected` where weights were perturbed.
        signals: per layer (C, S, B, inputs), what comes into the layer before decorrelation and converters.
    """

    loss: Tensor
    inputs: tuple[Tensor, ...] | None = None
    pre_activations: tuple[Tensor, ...] | None = None
    injected: tuple[Tensor, ...] | None = None
    output_error: Tensor | None = None
    masks: tuple[Tensor | None, ...] | None = None
    injected_weights: tuple[Tensor, ...] | None = None
    signals: tuple[Tensor, ...] | None = None

    def clone(self) -> Observation:
        """A copy that outlives the next run."""
        return Observation(
            self.loss.clone(),
            _clones(self.inputs),
            _clones(self.pre_activations),
            _clones(self.injected),
            None if self.output_error is None else self.output_error.clone(),
            self.masks,  # of the batch, which keeps them
            _clones(self.injected_weights),
            _clones(self.signals),
        )


def _clones(layers: tuple[Tensor, ...] | None) -> tuple[Tensor, ...] | None:
    return None if layers is None else tuple(layer.clone() for layer in layers)


@dataclass(frozen=True)
class LayerUpdate:
    """An update direction of one layer, an estimate of the gradient: it is subtracted.

    Either the factors of a mean of outer products, which show that a rule is local and can go to the devices as pulses,
    or a dense matrix where no factors exist.

    Attributes:
        post: (C, B, units), one row for each batch element; feature maps flat.
        pre: (C, B, observed), inputs in the form in which the layer's are observed.
        dense: (C, columns, rows).
        layer: how pre becomes the vectors that drive rows; None: it is what drove them.
        decorrelation: R of these vectors, where they are cut from pre; or None.
    """

    post: Tensor | None = None
    pre: Tensor | None = None
    dense: Tensor | None = None
    layer: Layer | None = None
    decorrelation: Tensor | None = None

    def __post_init__(self) -> None:
        if (self.post is None) != (self.pre is None) or (self.post is None) == (self.dense is None):
            raise ValueError("a LayerUpdate has either both factors or a dense matrix")

    def direction(self) -> Tensor:
        """The matrix (C, columns, rows): the mean over the batch of post pre^T, summed over positions; or `dense`."""
        if self.dense is not None:
            return self.dense
        assert self.post is not None and self.pre is not None
        if self.layer is not None:
            return self.layer.outer(self.post, self.pre, self.decorrelation)
        return torch.bmm(self.post.transpose(1, 2), self.pre).div_(self.post.shape[1])

    def factors(self) -> tuple[Tensor, Tensor]:
        """Vectors (C, M, columns) and (C, M, rows) whose mean outer product is the direction.

        Raises:
            ValueError: there are none.
        """
        if self.post is None or self.pre is None:
            raise ValueError("a dense update has no factors")
        if self.layer is None:
            return self.post, self.pre
        blocks = list(self.layer.vectors(self.pre, self.decorrelation))
        pre = blocks[0][1] if len(blocks) == 1 else torch.cat([v for _, v in blocks], dim=1)
        return self.layer.by_column(self.post) * self.layer.positions, pre


@dataclass(frozen=True)
class LayerWrite:
    """An absolute write: the devices of a layer whose target has changed are programmed towards it.

    Attributes:
        target: weights (C, units, rows); the writer may change them after the write: clone what is kept.
    """

    target: Tensor


@dataclass(frozen=True)
class LayerPulses:
    """An incremental write: pulses move the present state of the devices, with errors that nobody reads and that stay.

    Attributes:
        update: what to subtract, `rate` times. Factors go to the devices as trains of pulses that coincide, a dense
            matrix as whole pulses, rounded at random.
        rate: (C, 1, 1), not negative; 0 leaves a chip as it is.
        pulses: in place of both: pulses of each weight (C, units, rows), whole numbers; above 0 they raise it.
    """

    update: LayerUpdate | None = None
    rate: Tensor | None = None
    pulses: Tensor | None = None

    def __post_init__(self) -> None:
        if (self.update is None) != (self.rate is None) or (self.update is None) == (self.pulses is None):
            raise ValueError("LayerPulses has either an update with its rate, or whole pulses")


class Periphery(NamedTuple):
    """Operations beside the layers' crossbars that the controller sets; its own, so no secret.

    Attributes:
        decorrelation: per layer R (C, n, n), applied to the layer's n inputs without the bias, or None.
        crossbar: whether R lies on crossbars of its own, n x n devices of the layer's profile, read with every pass;
            what is given here is then their target, and setting it programs those devices whose target has changed.
            Derivatives go back through the R that was asked for, digitally, in either case.
    """

    decorrelation: tuple[Tensor | None, ...]
    crossbar: bool = False


class Limits(NamedTuple):
    """Lines of the data sheet: where weights and signals are clipped. Known to everybody, no read.

    Attributes:
        weights: per layer the largest weight magnitude that a device pair can hold, (C, 1, 1) or (C, units, 1), or None
            where the range follows the weights.
        inputs: per layer the largest level that drives a row, or None.
        outputs: per layer the largest digitised pre-activation, or None; also None where several tiles add up to it.
            (C,) where a digital factor behind the converter compensates drift.
        steps: per layer the mean change of a weight by one pulse, (C, 1, 1) or (C, units, 1), or None where devices
            are written absolutely only; empty: none are known.
        decorrelation: per layer the largest magnitude in an R that lies on a crossbar, (C, 1, 1) or (C, n, 1), or None
            where there is none or its range follows; empty: no R does.
    """

    weights: tuple[Tensor | None, ...]
    inputs: tuple[float | None, ...]
    outputs: tuple[float | Tensor | None, ...]
    steps: tuple[Tensor | None, ...] = ()
    decorrelation: tuple[Tensor | None, ...] = ()


class Hardware(Protocol):
    """A chip and its task, seen from the learner's side.

    Attributes:
        network: what runs on the chip.
        chips: number of chips C.
        grants: what a learner may ask for.
        limits: where weights and signals are clipped.
    """

    @property
    def network(self) -> Network: ...
    @property
    def chips(self) -> int: ...
    @property
    def grants(self) -> Access: ...
    @property
    def limits(self) -> Limits: ...

    def next_batch(self) -> None:
        """Move on to the next batch of data; all passes until the next call see the same one."""
        ...

    def run(self, passes: tuple[Pass, ...], samples: int = 1) -> tuple[Observation, ...]:
        """Run each pass `samples` times on the batch.

        Raises:
            AccessError: a pass asks for more than `grants`.
        """
        ...

    def backward(
        self,
        output_vector: Tensor,
        inputs: tuple[Tensor, ...],
        pre_activations: tuple[Tensor, ...],
        masks: tuple[Tensor | None, ...] | None = None,
    ) -> tuple[Tensor, ...]:
        """Send a vector backwards through the crossbars (needs TRANSPOSED_READ).

        Args:
            output_vector: (C, B, units of the last layer), at its pre-activations.
            inputs, pre_activations, masks: per layer (C, B, observed), (C, B, units) and (C, B, n), as observed: where
                the derivatives of converters, activation functions and digital operations are taken.

        Returns:
            Per layer the vector at its pre-activations, (C, B, units); the last is `output_vector` itself.
        """
        ...

    def write(self, writes: tuple[LayerWrite | LayerPulses, ...]) -> None:
        """Write every layer."""
        ...

    def set_periphery(self, periphery: Periphery) -> None:
        """Set the operations beside the layers' crossbars; where R lies on crossbars, this writes it."""
        ...
