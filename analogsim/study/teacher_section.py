"""The section `data.teacher` of a scenario: the random network that gives the samples of `set: teacher`."""

from __future__ import annotations

from pydantic import Field, model_validator
from typing_extensions import Self

from analogsim.study.network_section import ActivationSetting
from analogsim.study.section import PositiveInt, Section
from analogsim.tasks import DataSet
from analogsim.tasks.teacher_set import teacher_set


class TeacherSettings(Section):
    """A random network and its samples: inputs are standard normal, weights N(0, 2 / (fan_in + fan_out)), no biases."""

    inputs: PositiveInt
    """Numbers of an input."""
    outputs: PositiveInt
    """Numbers of a target."""
    hidden: tuple[PositiveInt, ...] = ()
    """Units of the teacher's hidden layers, from the inputs on; a linear teacher unless given."""
    activation: ActivationSetting = ActivationSetting(tanh=True)
    """Of the teacher's hidden units."""
    noise: float = Field(default=0.0, ge=0, allow_inf_nan=False, strict=True)
    """Standard deviation of normal noise on targets, in training and in the test."""
    train: PositiveInt = 1000
    """Training samples."""
    test: PositiveInt = 200
    """Test samples."""
    classes: bool = Field(default=False, strict=True)
    """Targets are classes: which of the outputs is the largest."""
    seed: int = Field(default=0, ge=0, strict=True)
    """Of the teacher and its samples, apart from the scenario's seed: all chips learn from the same samples."""

    @model_validator(mode="after")
    def _something_to_tell_apart(self) -> Self:
        if self.classes and self.outputs < 2:
            raise ValueError(
                f"classes: take at least 2 outputs, or there is nothing to tell apart (got {self.outputs})"
            )
        return self

    def build(self) -> DataSet:
        """The data set."""
        settings = {name: getattr(self, name) for name in type(self).model_fields}
        return teacher_set(**{**settings, "activation": self.activation.build()})
