"""The timeline of a scenario: what happens to the chips once they are trained, over seconds to years.

A list of events. One without a time follows the one before it; `at`, `every` and `when` put an event beside these:

    - {do: evaluate, at: [1 s, 1 h, 1 day]}
    - {do: train, steps: 20, every: 1 day, then: [{do: evaluate}]}
    - {do: compensate, when: self_test < 0.9}

Times count from the beginning of the timeline, which is the end of training.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import Discriminator, Field, Tag, field_validator, model_validator
from typing_extensions import Self

from analogsim.clock import Arrivals, Periodic, Poisson
from analogsim.clock import Trace as ArrivalTrace
from analogsim.study.condition import Condition
from analogsim.study.section import PositiveInt, Section
from device_models.faults import Faults
from device_models.limits import Limit
from device_models.units import Each, Frequency, Temperature, Time

Later = Annotated[Time, Limit("0 s", "1000 years", "a period has a length", above=True)]


def _or_one(schema: dict[str, Any]) -> None:
    """A list may be one item alone."""
    array = {"type": schema.pop("type"), "items": schema.pop("items")}
    schema["anyOf"] = [array["items"], array]


class Happening(Section):
    """What all events share: when they happen, and what follows at once."""

    at: Annotated[tuple[Time, ...], Field(json_schema_extra=_or_one)] = ()
    """Times since the beginning of the timeline, one or a list in rising order."""
    every: Later | None = None
    """Again and again with this period, the first time after one."""
    since: Time | None = None
    """Of `every`: the first time, in place of one period after the beginning."""
    until: Time | None = None
    """Of `every`: no later than this; the end of the timeline unless given."""
    when: str | None = None
    """After each measurement of which this is true, such as `accuracy < 0.95`. Chips of such an arm live apart: each
    decides for itself."""
    then: tuple[Event, ...] = ()
    """Events without times that follow at once, one after the other, each time that this one has happened."""

    @field_validator("at", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        if value == []:
            raise ValueError("an empty list of times; leave it out, or give one, such as at: 1 day")
        return value if isinstance(value, list | tuple) else () if value is None else (value,)

    @field_validator("at")
    @classmethod
    def _rising(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if list(value) != sorted(set(value)):
            raise ValueError("must rise from each time to the next")
        return value

    @field_validator("when")
    @classmethod
    def _condition(cls, value: str | None) -> str | None:
        return None if value is None else str(Condition.parse(value))

    @field_validator("then")
    @classmethod
    def _unscheduled(cls, value: tuple[Happening, ...]) -> tuple[Happening, ...]:
        if any(each.scheduled or each.then for each in value):
            raise ValueError("its events follow at once, so they take no at, every, when or then")
        return value

    @model_validator(mode="after")
    def _one_schedule(self) -> Self:
        given = [name for name in ("at", "every", "when") if getattr(self, name)]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)}: an event has one of them; write it twice for two")
        lost = [name for name in ("since", "until") if getattr(self, name) is not None]
        if lost and self.every is None:
            raise ValueError(f"{' and '.join(lost)}: of events that recur; add `every`, such as every: 1 day")
        if self.until is not None and self.until < self.first:
            raise ValueError(f"until: lies before the first time, {self.first:g} s (got {self.until:g} s)")
        return self

    @property
    def first(self) -> float:
        """Of an event that recurs: seconds until the first time."""
        return (self.every or 0.0) if self.since is None else self.since

    @property
    def condition(self) -> Condition | None:
        """What it waits for."""
        return None if self.when is None else Condition.parse(self.when)

    @property
    def scheduled(self) -> bool:
        """Whether it happens beside the events that follow each other."""
        return bool(self.at) or self.every is not None or self.when is not None


class Train(Happening):
    """Learning goes on, with the arm's last rule."""

    do: Literal["train"]
    steps: PositiveInt
    """Learning steps."""


class Evaluate(Happening):
    """An observer looks at the whole test set; the chip is not kept busy, and nothing is spent."""

    do: Literal["evaluate"]


class SelfTest(Happening):
    """The system measures its own accuracy on training samples that it holds; passes take time and energy."""

    do: Literal["self_test"]
    samples: PositiveInt = 200
    """The first of the training set, at most all of it."""


class Idle(Happening):
    """Nothing happens for a while; only between events without times."""

    do: Literal["idle"]
    time: Later
    """How long."""

    @model_validator(mode="after")
    def _in_a_row(self) -> Self:
        if self.scheduled:
            raise ValueError("idle: separates events that follow each other, so it takes no at, every or when")
        return self


class Reprogram(Happening):
    """Every device is written anew to what the controller holds it to be."""

    do: Literal["reprogram"]


class Calibrate(Happening):
    """The ranges of ADCs that are calibrated are set anew, by training inputs."""

    do: Literal["calibrate"]


class Compensate(Happening):
    """Drift is compensated: one digital factor for each layer, from a read of known vectors."""

    do: Literal["compensate"]


class SetTemperature(Happening):
    """The chip's temperature changes."""

    do: Literal["temperature"]
    to: Temperature
    """Of the chip from now on."""


class Fault(Happening):
    """Devices die: further ones, beside those that were dead."""

    do: Literal["fault"]
    faults: Faults
    """Which share of them, and how."""

    @field_validator("faults")
    @classmethod
    def _of_all_chips(cls, value: Faults) -> Faults:
        each = [name for name in type(value).model_fields if isinstance(getattr(value, name), Each)]
        if each:
            raise ValueError(
                f"{each[0]}: strikes all chips alike here; an axis of faults belongs to the chip's profile"
            )
        return value


class PowerLoss(Happening):
    """What is volatile is lost; conductances stay."""

    do: Literal["power_loss"]
    keeps: tuple[Literal["weights", "decorrelation", "optimizer", "rule"], ...] = ()
    """What lies in non-volatile memory beside the crossbars: the controller's record of the `weights` (of R on
    crossbars too), which else falls back to what was first programmed; the digital `decorrelation`, else none; the
    state of the `optimizer`; what the `rule` remembers."""


_Trace = Annotated[
    Annotated[str, Tag("file")] | Annotated[tuple[Time, ...], Tag("times")],
    Discriminator(lambda value: "times" if isinstance(value, list | tuple) else "file"),
]


class Traffic(Happening):
    """Inference requests share the chip with all else for a while."""

    do: Literal["traffic"]
    poisson: Frequency | None = None
    """Mean rate of requests that come independently of each other, such as `100 kHz`."""
    periodic: Later | None = None
    """Time from each request to the next."""
    trace: _Trace | None = None
    """Times of the requests, from the beginning of the traffic; or the path of a file with one number of seconds a
    line."""
    time: Later
    """How long it goes on."""
    priority: Literal["inference", "first_come", "learning"] = "inference"
    """Who goes first where both wait; nobody is interrupted."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [name for name in ("poisson", "periodic", "trace") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"give one of poisson, periodic and trace, such as poisson: 100 Hz (got {', '.join(given) or 'none'})"
            )
        if isinstance(self.trace, tuple) and list(self.trace) != sorted(self.trace):
            raise ValueError("trace: times must not fall from one request to the next")
        expected = self.time * (self.poisson or 0.0) + (self.time / self.periodic if self.periodic else 0.0)
        if expected > MOST_REQUESTS:
            raise ValueError(
                f"time: brings some {expected:.3g} requests, and each is simulated; at most {MOST_REQUESTS:.0e}: give "
                "a shorter time, at several times if need be"
            )
        return self

    @property
    def arrivals(self) -> Arrivals:
        """When requests come.

        Raises:
            RuntimeError: of a trace whose file has not been read.
        """
        if self.poisson is not None:
            return Poisson(self.poisson)
        if self.periodic is not None:
            return Periodic(self.periodic)
        if not isinstance(self.trace, tuple):
            raise RuntimeError(f"the trace {self.trace} has not been read")
        return ArrivalTrace(self.trace)


MOST_REQUESTS = 1e7
"""Of a traffic event: each takes some microseconds of the simulation."""

Event = Annotated[
    Train
    | Evaluate
    | SelfTest
    | Idle
    | Reprogram
    | Calibrate
    | Compensate
    | SetTemperature
    | Fault
    | PowerLoss
    | Traffic,
    Field(discriminator="do"),
]
"""One event of a timeline."""
for _kind in get_args(get_args(Event)[0]):
    _kind.model_rebuild()

Timeline = tuple[Event, ...]


def lives_apart(events: Sequence[Event]) -> bool:
    """Whether chips decide for themselves, so that their times drift apart."""
    return any(event.when is not None for event in events)
