"""The second kind of scenario: a linear student learns from a linear teacher, in the closed world of the theory.

It has a section `student_teacher` in the place of data, network, chip and train. N. Hiratani, Y. Mehta, T. Lillicrap,
P. Latham, "On the stability and scalability of node perturbation learning", NeurIPS 2022, section 4.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from analogsim.study.chip_section import distinct
from analogsim.study.scenario_base import ScenarioBase
from analogsim.study.section import PositiveFloat, PositiveInt, Section
from analogsim.theory import StudentTeacher, memory_bytes
from device_models.limits import Limit
from device_models.units import Each, PerChip

Size = Annotated[int, Field(gt=0, le=1_000_000, strict=True)]
_SLIP = "a million of its units either way is a slip of an exponent"
Positive = Annotated[PositiveFloat, Limit(1e-6, 1e6, _SLIP)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True), Limit(0, 1e6, _SLIP)]
_SIGMA = Limit(1e-12, 1e3, "smaller ones are lost in rounding, larger ones dwarf the network")
_MEMORY = 4  # GiB that an arm may take

METRICS = ("weight_norm",)
"""What is measured at each evaluation beside the error, layer by layer."""


class ProblemSection(Section):
    """What is learned, and how long. Time is counted in steps of one new sample each: evaluations call it `epoch`."""

    inputs: Size
    """Lx."""
    hidden: Size
    """Lh, units of the hidden layer."""
    outputs: Size
    """Ly."""
    noise: NotNegative = 0.0
    """sigma_t, standard deviation of what the teacher adds to each of its outputs."""
    sigma: Annotated[PositiveFloat, _SIGMA] = 1e-6
    """Standard deviation of the perturbations."""
    steps: PositiveInt
    """Steps of every arm."""
    runs: PositiveInt = 10
    """Runs at each point of the axes; each has a student, a teacher and samples of its own, the same in every arm of
    the same sizes."""
    evaluate_every: PositiveInt = 1000
    """Steps between evaluations. The start and the end are evaluated anyhow."""
    checkpoint_every: PositiveInt = 20000
    """Steps between checkpoints, from which an interrupted run goes on; they change no result."""


class StudentArm(Section):
    """Students that learn, or what a theory says of them. Sizes, noise and steps are the problem's unless given."""

    rule: Literal["np", "sgd"] = "np"
    """Node perturbation, or stochastic gradient descent."""
    theory: Literal["mean_field", "mean_field_short", "two_variables"] | None = None
    """In the place of a simulation: the mean field of four order parameters, complete or in its short form, or the two
    variables of eq. 12. It starts where each of the runs starts."""
    rate: PerChip[Positive] = 1.0
    """Learning rate in units of the problem's own: of `np` the critical rate eta*, of `sgd` the rate at which it learns
    fastest, 1 / ((alpha_o + beta_o) (Lx + 2)). `{each: [...]}` makes it an axis."""
    inputs: Size | None = None
    hidden: Size | None = None
    outputs: Size | None = None
    noise: NotNegative | None = None
    steps: PositiveInt | None = None
    first_norm: Positive = 1.0
    """||W1||^2 at the start, in units of what Glorot's initial weights have."""
    weight_normalisation: bool = Field(default=False, strict=True)
    """Keep each unit's incoming weights at the length that Glorot's have on average. Such runs simulate every hidden
    unit; others take as long for 10,000 as for 200."""
    family: str | None = Field(default=None, min_length=1, max_length=40)
    """Arms of a family are settings of one rule; summaries show the best of them at each point of the axes."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if isinstance(self.rate, Each):
            distinct(self.rate.values)
        if self.theory is not None and (self.rule != "np" or self.weight_normalisation):
            what = "gradient descent" if self.rule != "np" else "weight_normalisation"
            raise ValueError(f"the theory is one of node perturbation without normalisation (got {what}); leave it out")
        if self.weight_normalisation and self.first_norm != 1:
            raise ValueError(
                f"weight_normalisation sets every norm from the first step on, so first_norm is without effect "
                f"(got {self.first_norm:g}); leave one of them out"
            )
        return self


class StudentTeacherScenario(ScenarioBase):
    """What to run: a linear problem, and arms that are compared on it."""

    seed: int = Field(default=0, ge=0, strict=True)
    """Of all random numbers."""
    student_teacher: ProblemSection
    arms: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_+-]*$")], StudentArm] = Field(min_length=1)
    """What is compared."""

    @property
    def depth(self) -> int:
        """Number of layers with weights."""
        return 2

    def own(self, arm: StudentArm) -> ProblemSection:
        """The problem as an arm has it."""
        fields = ("inputs", "hidden", "outputs", "noise", "steps")
        given = {name: value for name in fields if (value := getattr(arm, name)) is not None}
        return self.student_teacher.model_copy(update=given)

    def memory_faults(self) -> Iterator[str]:
        """Faults of arms that would take too much memory."""
        for name, arm in self.arms.items():
            own = self.own(arm)
            runs = own.runs * max(len(places) for places in [[arm.rate], *self.axes(arm).values()])
            needed = memory_bytes(StudentTeacher(own.inputs, own.hidden, own.outputs), runs, arm.weight_normalisation)
            if arm.theory is not None:  # computed at once: times, errors and order parameters
                needed += 8 * (runs * 8 + 8) * (own.steps // own.evaluate_every + 2)
            if needed > _MEMORY * 2**30:
                sizes = f"{own.inputs}-{own.hidden}-{own.outputs}, {runs} runs"
                yield (
                    f"arms.{name}: would take {needed / 2**30:.3g} GiB of memory (got {sizes}); choose sizes, runs and "
                    f"evaluations that take {_MEMORY} GiB at most"
                )

    def axes(self, arm: StudentArm) -> dict[str, Sequence[Any]]:
        """The places on each axis of an arm."""
        return {"rate": arm.rate.values} if isinstance(arm.rate, Each) else {}

    def places(self, arm: StudentArm) -> list[tuple[dict[str, Any], float]]:
        """For each run of an arm, first axis slowest, its coordinates and its learning rate eta."""
        own = self.own(arm)
        problem = StudentTeacher(own.inputs, own.hidden, own.outputs)
        unit = problem.critical_rate if arm.rule == "np" else problem.gradient_rate
        if not isinstance(arm.rate, Each):
            return [({"chip": run}, arm.rate * unit) for run in range(own.runs)]
        return [({"rate": rate, "chip": run}, rate * unit) for rate in arm.rate.values for run in range(own.runs)]

    def to_data(self) -> dict[str, Any]:
        """As plain data with every default written out; running it repeats the run."""
        data = self.model_dump(mode="json", exclude_none=True, exclude={"claims", "excerpt", "quick", "sweep"})
        return data | self.claims_data()
