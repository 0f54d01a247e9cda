"""What a chip may be given: whatever else is told in one sentence, before anything is read or written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
from torch import Tensor

from analogsim.network import Layer


def population_of(population: int | Sequence[int], seed: int | Sequence[int]) -> tuple[list[int], list[int]]:
    """Numbers and seeds of the chips that are meant by how many, or by their numbers, and by one seed, or one for each.

    Raises:
        ValueError: there is no chip, or another number of seeds than of chips.
    """
    ids = list(range(population)) if isinstance(population, int | np.integer) else list(population)
    seeds = [int(seed)] * len(ids) if isinstance(seed, int | np.integer) else list(seed)
    if not ids or len(seeds) != len(ids):
        raise ValueError(f"a population needs at least one chip and one seed per chip (got {population}, {seed})")
    return ids, seeds


def require_choices(**given: tuple[object, Any]) -> None:
    """Each argument, by its name, with the `Literal` that lists what it may be.

    Raises:
        ValueError: it is none of these.
    """
    for name, (value, kind) in given.items():
        if value not in get_args(kind):
            raise ValueError(f"{name} must be one of {', '.join(map(repr, get_args(kind)))} (got {value!r})")


def require_weights(weights: Sequence[Tensor], layers: Sequence[Layer], chips: int) -> None:
    """Weights of C chips: per layer (C, columns, rows).

    Raises:
        ValueError: another number of tensors than of layers, or one of another shape.
    """
    require_count("weights", weights, len(layers))
    for index, (w, layer) in enumerate(zip(weights, layers, strict=True)):
        _require_tensor(f"weights of layer {index}", w)
        shape = (chips, layer.columns, layer.rows)
        if tuple(w.shape) != shape:
            raise ValueError(f"weights of layer {index} must have shape {shape} (got {tuple(w.shape)})")


def require_inputs(x: Tensor, inputs: int, chips: int) -> None:
    """A batch for C chips: (C, B, inputs).

    Raises:
        ValueError: it has another shape, or is no tensor of real numbers.
    """
    _require_tensor("x", x)
    if x.ndim != 3 or x.shape[0] != chips or x.shape[2] != inputs:
        raise ValueError(f"x must have shape ({chips} chips, batch, {inputs} inputs) (got {tuple(x.shape)})")


def require_count(name: str, given: Sequence[object], layers: int) -> None:
    """One thing for each layer.

    Raises:
        ValueError: there are more or fewer.
    """
    if len(given) != layers:
        raise ValueError(f"{name}: one for each of the {layers} layers (got {len(given)})")


def _require_tensor(name: str, value: object) -> None:
    if not isinstance(value, Tensor) or value.is_complex():
        what = f"dtype {value.dtype}" if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(f"{name} must be a torch tensor of real numbers (got {what})")
