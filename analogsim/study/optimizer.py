"""Optimizer: the part of a scenario that names an optimiser of `torch.optim`."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, model_validator
from typing_extensions import Self

from analogsim.learning import WritingName
from analogsim.learning.stepper import OptimizerFactory
from analogsim.study.section import PositiveFloat, Section
from device_models.units import Each, PerChip


class OptimizerSettings(BaseModel):
    """Learning rate, and whatever else the `torch.optim` class of that name takes."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)

    lr: PerChip[PositiveFloat]
    """Learning rate; `{each: [...]}` makes it an axis of the population."""


_OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adadelta": torch.optim.Adadelta,
    "adagrad": torch.optim.Adagrad,
    "adam": torch.optim.Adam,
    "adamax": torch.optim.Adamax,
    "adamw": torch.optim.AdamW,
    "nadam": torch.optim.NAdam,
    "radam": torch.optim.RAdam,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
    "in_memory": torch.optim.SGD,
    "mixed_precision": torch.optim.SGD,
}


_NOT_SETTINGS = {"params", "lr", "capturable", "differentiable", "foreach", "fused", "maximize"}


@cache
def _eager(kind: type[torch.optim.Optimizer]) -> type[torch.optim.Optimizer]:
    """The same optimiser, without the wrappers that keep it out of compiled code.

    They import torch's compiler, which takes as long as importing torch, and switch gradients off, which no parameter
    here asks for.
    """
    methods = {name: getattr(kind, name) for name in dir(kind)}
    plain = {name: inspect.unwrap(method) for name, method in methods.items() if hasattr(method, "__wrapped__")}
    return type(kind.__name__, (kind,), plain)


class Optimizer(Section):
    """An element-wise optimiser of `torch.optim`: one of these."""

    adadelta: OptimizerSettings | None = None
    adagrad: OptimizerSettings | None = None
    adam: OptimizerSettings | None = None
    adamax: OptimizerSettings | None = None
    adamw: OptimizerSettings | None = None
    nadam: OptimizerSettings | None = None
    radam: OptimizerSettings | None = None
    rmsprop: OptimizerSettings | None = None
    sgd: OptimizerSettings | None = None
    in_memory: OptimizerSettings | None = None
    """Plain gradient descent whose outer products the devices form themselves, by coinciding pulses. Settings: `lr`."""
    mixed_precision: OptimizerSettings | None = None
    """Gradient descent (settings of `sgd`) whose changes add up digitally until they are worth a pulse."""

    @model_validator(mode="after")
    def _usable(self) -> Self:
        given = [name for name in _OPTIMIZERS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one optimiser, such as {{adam: {{lr: 1.0e-3}}}} (got {given or 'none'})")
        known = set(inspect.signature(self.factory).parameters) - _NOT_SETTINGS
        if self.writing == "in_memory":
            known = set()
        unknown = sorted(set(self.options) - known)
        if unknown:
            takes = ", ".join(sorted(known)) or "nothing but lr"
            raise ValueError(f"{given[0]} does not take {', '.join(unknown)}; it takes {takes}")
        for key, value in self.options.items():
            if isinstance(value, dict):
                raise ValueError(f"{given[0]}.{key}: must be a number or a list of numbers (got {value})")
        try:
            self.factory([torch.zeros(1)], lr=1.0, **self.options)
        except (TypeError, ValueError, LookupError) as error:
            raise ValueError(f"{given[0]}: {error}") from None
        return self

    @property
    def _settings(self) -> tuple[str, OptimizerSettings]:
        return next((name, given) for name in _OPTIMIZERS if (given := getattr(self, name)) is not None)

    @property
    def name(self) -> str:
        """Which it is."""
        return self._settings[0]

    @property
    def factory(self) -> OptimizerFactory:
        """The class in `torch.optim`, but for wrappers that import torch's compiler."""
        return _eager(_OPTIMIZERS[self._settings[0]])

    @property
    def writing(self) -> WritingName:
        """How its steps reach the devices."""
        name = self._settings[0]
        return "absolute" if name not in ("in_memory", "mixed_precision") else name

    @property
    def options(self) -> dict[str, Any]:
        """Its settings, the learning rate aside."""
        return dict(self._settings[1].model_extra or {})

    def with_rates(self, rates: tuple[float, ...]) -> Self:
        """The same optimiser with an axis of learning rates."""
        name, settings = self._settings
        return self.model_copy(update={name: settings.model_copy(update={"lr": Each(rates)})})

    @property
    def lr(self) -> float | Each[float]:
        """The learning rate, or an axis of them."""
        return self._settings[1].lr
