"""Arms of the papers' scenarios, and the files that hold what came of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from analogsim._files import write_text
from analogsim.errors import ScenarioError
from analogsim.results import Curve, Metrics, Result
from analogsim.study.packaged import scenario_names
from analogsim.study.scenario import load_scenario, only_arms, resolve, to_data

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "docs" / "results" / "papers"

WITHOUT_EFFECT = ("checkpoint_every", "chunk", "memory")
"""Settings of `train` that change no result."""


def papers() -> dict[str, str]:
    """Names of the papers' scenarios, and what `load_scenario` takes for each."""
    return {Path(name).name: name for name in scenario_names() if name.startswith("papers/")}


@lru_cache(maxsize=64)
def loaded(source: str, settings: tuple[str, ...] = ()) -> Any:
    """A resolved scenario."""
    return load_scenario(source, settings)


@dataclass(frozen=True)
class Held:
    """What the file of an arm holds.

    Attributes:
        scenario: as it was run, resolved, of this arm alone.
        settings: what was set otherwise than the packaged scenario has it, each `path=value`.
        result: of the run.
        curves: its evaluations, in six digits.
        machine: hardware, threads, versions, seconds.
    """

    scenario: dict[str, Any]
    settings: tuple[str, ...]
    result: Result
    curves: list[Curve]
    machine: dict[str, Any]

    @property
    def epochs(self) -> float:
        """Passes through the training data that were done."""
        return max(chip.epoch for chip in self.curves[-1].chips)


@dataclass(frozen=True)
class Job:
    """One arm of one paper's scenario.

    Attributes:
        paper: name of the scenario, without its folder.
        source: what `load_scenario` takes.
        arm: name.
        settings: what is set otherwise, each `path=value`.
    """

    paper: str
    source: str
    arm: str
    settings: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """As the command line has it."""
        return f"papers/{self.paper}:{self.arm}"

    @property
    def file(self) -> Path:
        """Where its result is kept."""
        return RESULTS / self.paper / f"{self.arm}.json"

    def scenario(self) -> Any:
        """What it runs.

        Raises:
            ScenarioError: the settings do not fit.
        """
        return only_arms(loaded(self.source, self.settings), [self.arm])

    def held(self) -> Held | None:
        """What its file holds; None: there is none."""
        if not self.file.exists():
            return None
        data = json.loads(self.file.read_text(encoding="utf-8"))
        result = Result.model_validate(data["result"])
        return Held(
            data["scenario"], tuple(data["settings"]), result, spread(self.arm, data["curves"]), data["machine"]
        )

    def outdated(self, held: Held) -> bool:
        """Whether a file is of another scenario than the packaged one with the file's own settings."""
        try:
            now = Job(self.paper, self.source, self.arm, held.settings).scenario()
            before = resolve(held.scenario, str(self.file))
            return _without_prices(what_counts(before)) != _without_prices(what_counts(now))
        except ScenarioError:
            return True

    def keep(self, scenario: Any, result: Result, curves: Sequence[Curve], machine: dict[str, Any]) -> None:
        """Write its file, whole or not at all."""
        told = {
            "scenario": what_counts(scenario),
            "settings": self.settings,
            "machine": machine,
            "result": result.model_dump(mode="json"),
            "curves": compact(curves),
        }
        self.file.parent.mkdir(parents=True, exist_ok=True)
        write_text(self.file, json.dumps(told, separators=(",", ":"), ensure_ascii=False) + "\n")


def jobs(wanted: Sequence[str] = (), settings: Sequence[str] = ()) -> Iterator[Job]:
    """Arms of `papers/NAME` or `papers/NAME:ARM`, in that order; all unless some are named.

    Raises:
        ScenarioError: there is no such scenario or arm.
    """
    known = papers()
    for each in wanted or known:
        name, _, arm = each.removeprefix("papers/").partition(":")
        if name not in known:
            raise ScenarioError(f"{each}: no paper's scenario is called {name!r}; there are {', '.join(known)}")
        arms = list(loaded(known[name]).arms)
        if arm and arm not in arms:
            raise ScenarioError(f"{each}: scenario {name} has no arm {arm!r}; there are {', '.join(arms)}")
        yield from (Job(name, known[name], one, tuple(settings)) for one in ([arm] if arm else arms))


def what_counts(scenario: Any) -> dict[str, Any]:
    """A resolved scenario as JSON gives it back, without what changes no result."""
    data = json.loads(json.dumps(to_data(scenario)))
    for key in ("description", "claims", "excerpt"):
        data.pop(key, None)
    for key in WITHOUT_EFFECT:
        data.get("train", {}).pop(key, None)
    return data


def _without_prices(data: Any) -> Any:
    """Plain data without costs and references of device profiles, which change no accuracy, at any depth."""
    if isinstance(data, dict):
        return {key: _without_prices(value) for key, value in data.items() if key not in ("costs", "references")}
    return [_without_prices(value) for value in data] if isinstance(data, list) else data


def compact(curves: Sequence[Curve]) -> dict[str, Any]:
    """Evaluations as columns: each number of an evaluation once, each metric as a list over chips, in six digits."""
    fields = [name for name in Metrics.model_fields if name not in ("epoch", "diagnostics")]
    return {
        "stage": [curve.stage for curve in curves],
        "step": [curve.step for curve in curves],
        "epoch": [curve.chips[0].epoch for curve in curves],
        **{name: [[_six(getattr(chip, name)) for chip in curve.chips] for curve in curves] for name in fields},
        "diagnostics": {
            name: [[[_six(v) for v in chip.diagnostics[name]] for chip in curve.chips] for curve in curves]
            for name in curves[0].chips[0].diagnostics
        },
    }


def spread(arm: str, columns: dict[str, Any]) -> list[Curve]:
    """The evaluations again."""
    fields = [name for name in columns if name not in ("stage", "step", "epoch", "diagnostics")]
    found = []
    for at, epoch in enumerate(columns["epoch"]):
        chips = [
            {
                "epoch": epoch,
                **{name: columns[name][at][chip] for name in fields},
                "diagnostics": {name: values[at][chip] for name, values in columns["diagnostics"].items()},
            }
            for chip in range(len(columns[fields[0]][at]))
        ]
        found.append(
            Curve.model_validate(
                {"arm": arm, "stage": columns["stage"][at], "step": columns["step"][at], "chips": chips}
            )
        )
    return found


def _six(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")
