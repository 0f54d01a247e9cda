"""What the files of a paper's arms say about its claims."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from analogsim.claims import Verdict, judge
from analogsim.claims.tree import quantities
from analogsim.errors import ScenarioError
from analogsim.report.words import Words, words
from analogsim.results import ArmResult, Curve, Result
from analogsim.study.scenario import to_data
from analogsim.study.student_teacher import StudentTeacherScenario
from reproduction import jobs
from reproduction.jobs import Held, Job


@dataclass(frozen=True)
class Paper:
    """A paper's scenario with what was run of it.

    Attributes:
        name: of the scenario, without its folder.
        scenario: as it is packaged.
        held: files of arms that are of this scenario.
        outdated: arms whose files are of an earlier form of it.
        remarks: `about` it, on `arms` and on `claims`.
    """

    name: str
    scenario: Any
    held: dict[str, Held]
    outdated: tuple[str, ...]
    remarks: dict[str, Any]

    def run(self) -> tuple[Result, list[Curve]] | None:
        """The arms together, as if they had been run at once; None: none was run."""
        if not self.held:
            return None
        first, *others = (held.result for held in self.held.values())
        arms = {arm: held.result.arms[arm] for arm, held in self.held.items()}
        if any(other.seed != first.seed for other in others):
            arms = {arm: _with_seed(arms[arm], held.result.seed) for arm, held in self.held.items()}
        result = first.model_copy(update={"name": self.name, "arms": arms})
        return result, [curve for held in self.held.values() for curve in held.curves]

    def verdicts(self) -> list[Verdict]:
        """On all of its claims."""
        result, curves = self.run() or (Result(name=self.name, seed=0, arms={}), [])
        return list(judge(self.scenario.claims, result, curves).claims)

    def arms_of(self, claim: str) -> list[str]:
        """The arms that a claim speaks of."""
        [tree] = [each.tree for each in self.scenario.claims if each.claim == claim]
        return list(dict.fromkeys(quantity.arm for quantity in quantities(tree)))

    def deviations(self, arm: str) -> list[str]:
        """What an arm was run with that is not as the scenario has it.

        Such as `train.epochs 5 in place of 50`, `chips [0] of 3`.
        """
        if arm not in self.held:
            return []
        packaged, told = to_data(self.scenario), []
        for setting in self.held[arm].settings:
            path, _, value = setting.partition("=")
            if path == "chip.only":
                told.append(f"chips {value} of {_at(packaged, 'chip.population')}")
            else:
                told.append(f"{path} {value} in place of {_at(packaged, path)}")
        return told

    @property
    def words(self) -> Words:
        """What its chips and epochs are called."""
        result = Result(name=self.name, seed=0, arms={})
        linear = isinstance(self.scenario, StudentTeacherScenario)
        return words(result.model_copy(update={"kind": "student_teacher"}) if linear else result)

    def epochs(self, arm: str) -> str:
        """Epochs done, and how many the scenario has where it was run for others: `5 of 50`."""
        held = self.held[arm]
        lengths = [each for each in held.settings if each.partition("=")[0].rpartition(".")[2] in ("epochs", "steps")]
        of = "".join(f" of {_at(to_data(self.scenario), each.partition('=')[0])}" for each in lengths[:1])
        return f"{held.epochs:g}{of}"


def found() -> list[Paper]:
    """All papers' scenarios, with what the files hold.

    Raises:
        ScenarioError: a remark is about something that there is not.
    """
    remarks, known = _remarks(), jobs.papers()
    papers = []
    for name, source in known.items():
        scenario, held, outdated = jobs.loaded(source), {}, []
        for arm in scenario.arms:
            job = Job(name, source, arm)
            file = job.held()
            if file is None:
                continue
            if job.outdated(file):
                outdated.append(arm)
            else:
                held[arm] = file
        papers.append(Paper(name, scenario, held, tuple(outdated), remarks.get(name, {})))
    strange = [name for name in remarks if name not in known]
    for paper in papers:
        claims = [claim.claim for claim in paper.scenario.claims]
        strange += [f"{paper.name}: {key}" for key in paper.remarks if key not in ("about", "arms", "claims")]
        strange += [f"{paper.name}: {each}" for each in paper.remarks.get("claims", {}) if each not in claims]
        strange += [
            f"{paper.name}: {each}" for each in paper.remarks.get("arms", {}) if each not in paper.scenario.arms
        ]
    if strange:
        raise ScenarioError(f"{remarks_file()}: remarks on what there is not: {'; '.join(strange)}")
    return papers


def remarks_file() -> Path:
    """What people say about results: by scenario `about` it, and by arm and by claim under `arms` and `claims`."""
    return jobs.RESULTS / "remarks.yaml"


def _remarks() -> dict[str, Any]:
    return yaml.safe_load(remarks_file().read_text(encoding="utf-8")) or {} if remarks_file().exists() else {}


def _with_seed(arm: ArmResult, seed: Any) -> ArmResult:
    """Chips that know their seed, because arms that were run apart may have had others."""
    if isinstance(seed, dict):
        return arm
    chips = tuple(c.model_copy(update={"coordinates": {"seed": seed, **c.coordinates}}) for c in arm.chips)
    return arm.model_copy(update={"chips": chips})


def _at(data: Any, path: str) -> str:
    """A setting by its dotted path, in short."""
    for key in path.split("."):
        data = data.get(key) if isinstance(data, dict) else None
    return "nothing" if data is None else data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
