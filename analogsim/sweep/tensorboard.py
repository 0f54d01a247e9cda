"""Evaluations of jobs as TensorBoard event files, for those who watch them there."""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from analogsim.errors import RunError
from analogsim.outcomes import Job
from analogsim.results import Curve, Metrics, interval
from analogsim.study.run import Nobody

SWITCH = "ANALOGSIM_TENSORBOARD"
"""The environment variable that turns it on in every worker."""


def require() -> None:
    """Make sure that event files can be written.

    Raises:
        RunError: TensorBoard is not installed.
    """
    try:
        importlib.import_module("tensorboard")
    except ImportError:
        raise RunError(
            "--tensorboard: TensorBoard is not installed; install it with: pip install 'analogsim[tensorboard]'"
        ) from None


class Board(Nobody):
    """Watches a job: means over its chips, by steps, into `tensorboard/<job>/`.

    Args:
        study: its folder.
        job: of it.
        past: evaluations that came before, which are written again; TensorBoard then takes the new ones.
    """

    def __init__(self, study: Path, job: Job, past: Sequence[Curve]) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter

        folder = study / "tensorboard" / job.id
        for old in folder.glob("events.*"):
            old.unlink()
        self._writer: Any = SummaryWriter(str(folder))
        for curve in past:
            self.evaluated(curve)

    def evaluated(self, curve: Curve) -> None:
        """Its chips were evaluated."""
        for name in ("test_accuracy", "test_loss", "train_loss"):
            values = [value for chip in curve.chips if (value := _value(chip, name)) is not None]
            if values:
                self._writer.add_scalar(name, interval(values)[0], curve.step)
        self._writer.flush()


def _value(chip: Metrics, name: str) -> float | None:
    value = getattr(chip, name)
    return value if value is not None and math.isfinite(value) else None
