"""What a person sees while a run goes on: a bar with the live accuracy on a terminal, plain lines elsewhere."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from typing_extensions import Self

from analogsim.results import Curve, interval


class Progress:
    """Watches a run; everything goes to stderr, so that stdout holds the result alone.

    Args:
        arms: number of arms of the run.
    """

    def __init__(self, arms: int) -> None:
        self._console = Console(stderr=True)
        self._live = self._console.is_terminal
        self._arms, self._begun, self._name, self._steps, self._told = arms, 0, "", 0, -1.0
        self._searched = ""
        self._bar: TaskID | None = None
        self._lived = 0.0
        columns = [TextColumn("{task.description:<14}"), BarColumn(30), TextColumn("{task.percentage:3.0f} %")]
        self._bars = Bars(*columns, TextColumn("{task.fields[metric]}"), TimeRemainingColumn(), console=self._console)

    def __enter__(self) -> Self:
        if self._live:
            self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if self._live:
            self._bars.stop()

    def tuning(self, name: str, done: int, steps: int) -> None:
        """The search for an arm's learning rates goes on. Without a terminal, one line at its beginning."""
        begins, self._searched = name != self._searched, name
        if self._live:
            if begins:
                title = f"{name}: tuning"
                self._bar = self._bars.add_task(title, total=steps, metric="learning rates by validation")
            if self._bar is not None:
                self._bars.update(self._bar, completed=done)
        elif begins:
            self._console.print(f"{name}: searching learning rates", highlight=False, soft_wrap=True)

    def arm(self, name: str, steps: int) -> None:
        """An arm begins or goes on."""
        self._begun += 1
        self._name, self._steps, self._told, self._lived = name, steps, -1.0, 0.0
        if self._live:
            self._bar = self._bars.add_task(f"{name} ({self._begun}/{self._arms})", total=steps, metric="")

    def step(self, done: int) -> None:
        """A step of it is done."""
        if self._bar is not None:
            self._bars.update(self._bar, completed=done)

    def evaluated(self, curve: Curve) -> None:
        """Its chips were evaluated. Without a terminal, one line for every tenth of an arm."""
        known = [chip.test_accuracy for chip in curve.chips if chip.test_accuracy is not None]
        losses = [chip.test_loss for chip in curve.chips if chip.test_loss is not None]
        metric = f"loss {interval(losses)[0]:.4g}" if losses else "loss not finite"
        if known:
            metric = f"accuracy {100 * interval(known)[0]:.1f} %"
        if self._bar is not None:
            self._bars.update(self._bar, metric=metric)
        elif not self._live and (curve.step >= self._told + self._steps / 10 or curve.step == self._steps):
            self._told = curve.step
            epoch = curve.chips[0].epoch
            place = f"{curve.arm} ({self._begun}/{self._arms}) epoch {epoch:.3g}"
            self._console.print(f"{place}: {metric}", highlight=False, soft_wrap=True)

    def lived(self, seconds: float) -> None:
        """Its chips have come so far on their timeline. Without a terminal, a line each time it is ten times as far."""
        from analogsim.report.lives import duration

        if self._bar is not None:
            self._bars.update(self._bar, metric=f"after {duration(seconds)}")
        elif not self._live and seconds >= max(1.0, 10 * self._lived):
            self._lived = seconds
            place = f"{self._name} ({self._begun}/{self._arms})"
            self._console.print(f"{place}: {duration(seconds)} after training", highlight=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """Something that a person wants to know."""
        self._console.print(text, highlight=False, soft_wrap=True, markup=False)
