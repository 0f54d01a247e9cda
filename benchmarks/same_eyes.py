"""Rules that see the same, on the same chips, after equal searches: which learns best, and what noise does it survive?

    python benchmarks/same_eyes.py list                        jobs, and which are done
    python benchmarks/same_eyes.py run [JOB ...] [--workers N]  work off what is not done; an interrupted job goes on
    python benchmarks/same_eyes.py table                       write docs/results/same-eyes/table.md
    python benchmarks/same_eyes.py show JOB                    the scenario of a job, as YAML

A job is a rule in one setting, on one data set and one profile; its population is three levels of read noise times
eight chips. Its file, docs/results/same-eyes/JOB.json, holds the resolved scenario and the result; a job whose scenario
is no longer that of its file is to be done again. Working folders, with checkpoints, are under runs/same-eyes.

Every rule but the oracles takes two forward passes a step. Learning rates are searched for each rule, setting and level
on held-out training samples, with chips of their own; settings of one rule (the size of NP's perturbation) are chosen
by the same samples. Levels are 1, 3 and 10 % of G_max for `noisy` and `reram`, whose read noise is white; for `pcm`,
whose 1/f noise is published, the levels are that noise and three and ten times its amplitude.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "results" / "same-eyes"
WORK = ROOT / "runs" / "same-eyes"

ORACLE = {"oracle": ["output_error", "transposed_read"]}
SIGMAS = (0.3, 1.0, 3.0)

# Rules by title: settings of an arm by the name of the setting. `R` stands for the data set's decorrelation.
RULES: dict[str, dict[str, dict[str, Any]]] = {
    "NP": {
        f"np_{sigma:g}".replace(".", "_"): {"rule": "np", "sigma": sigma, "baseline": "two_sided"} for sigma in SIGMAS
    },
    "ANP": {"anp": {"rule": "anp"}},
    "covariance-aware ANP": {"canp": {"rule": "canp"}, "canp_full": {"rule": "canp", "covariance": "full"}},
    "DANP": {"danp": {"rule": "anp", "decorrelation": "R"}},
    "identified": {"identified": {"rule": "identified"}},
    "identified, decorrelated": {"didentified": {"rule": "identified", "decorrelation": "R"}},
    "BP": {"bp": {"rule": "bp", **ORACLE}},
    "DBP": {"dbp": {"rule": "bp", "decorrelation": "R", **ORACLE}},
}

LEVELS: dict[str, dict[str, Any]] = {
    "noisy": {"read_noise": {"sigma": {"each": ["1 %", "3 %", "10 %"]}}},
    "reram": {"read_noise": {"sigma": {"each": ["1 %", "3 %", "10 %"]}}},
    "pcm": {"read_noise": {"scale": {"each": [1.0, 3.0, 10.0]}}},
}


@dataclass(frozen=True)
class Setting:
    """A data set with its network and how long is learned.

    Attributes:
        data, network, train: sections of the scenario.
        decorrelation: of the rules that have one.
        tile: rows of a tile.
    """

    data: dict[str, Any]
    network: dict[str, Any]
    train: dict[str, Any]
    decorrelation: dict[str, Any]
    tile: int


DATA = {
    "digits": Setting(
        data={"set": "digits", "standardise": True, "batch": 50},
        network={"layers": [128, 10]},
        train={
            "epochs": 40,
            "evaluate_every": "10 epochs",
            "checkpoint_every": "10 epochs",
            "tune": {"lr": [1e-3, 3e-3, 1e-2, 3e-2], "validation": 200, "chips": 2},
        },
        decorrelation={"rate": 1e-4},
        tile=64,
    ),
    "mnist": Setting(
        data={"set": "mnist", "samples": 12_000, "pool": 2, "batch": 100},
        network={"layers": [64, 10]},
        train={
            "epochs": 16,
            "evaluate_every": "4 epochs",
            "checkpoint_every": "1 epoch",
            "tune": {"lr": [3e-4, 1e-3, 3e-3, 1e-2], "validation": 2000, "chips": 1},
        },
        decorrelation={"rate": 1e-3},
        tile=256,
    ),
}
CHIPS = 8


@dataclass(frozen=True)
class Job:
    """One setting of a rule on one data set and one profile."""

    data: str
    profile: str
    title: str
    arm: str

    @property
    def name(self) -> str:
        """Of its file and of its working folder."""
        return f"{self.data}-{self.profile}-{self.arm}"

    @property
    def file(self) -> Path:
        """Where its result is kept."""
        return RESULTS / f"{self.name}.json"

    def scenario(self) -> dict[str, Any]:
        """What it runs, as plain data."""
        setting = DATA[self.data]
        arm = dict(RULES[self.title][self.arm])
        if arm.get("decorrelation") == "R":
            arm["decorrelation"] = setting.decorrelation
        return {
            "name": self.name,
            "data": {"loss": "cross_entropy", **setting.data},
            "network": {"activation": {"leaky_relu": 0.01}, "init": "he_normal", **setting.network},
            "chip": {
                "profile": self.profile,
                "overrides": LEVELS[self.profile],
                "population": CHIPS,
                "tile": setting.tile,
            },
            "train": {"step_time": "1 ms", "optimizer": {"adam": {"lr": 1e-3}}, **setting.train},
            "arms": {self.arm: {**arm, "family": self.title}},
        }

    def resolved(self) -> dict[str, Any]:
        """The scenario with every default and the profile in full."""
        from analogsim.study.scenario import resolve, to_data

        return to_data(resolve(self.scenario(), self.name))

    @property
    def possible(self) -> bool:
        """Whether this release has its rule."""
        from analogsim.learning import RULES as KNOWN

        return RULES[self.title][self.arm]["rule"] in KNOWN

    @property
    def done(self) -> bool:
        """Whether its file holds the result of what it would run; settings that came later have their defaults.

        Prices, and sources of figures, change no accuracy.
        """
        from analogsim.study.scenario import resolve, to_data

        if not self.file.exists():
            return False
        held = json.loads(self.file.read_text())["scenario"]
        return _plain(to_data(resolve(held, str(self.file)))) == _plain(self.resolved())


def jobs(names: Sequence[str] = ()) -> Iterator[Job]:
    """All jobs, the cheapest profile first; or those whose names begin with one of `names`."""
    for data in DATA:
        for profile in LEVELS:
            for title, settings in RULES.items():
                for arm in settings:
                    job = Job(data, profile, title, arm)
                    if not names or any(job.name.startswith(name) for name in names):
                        yield job


def _plain(data: Any) -> Any:
    """As JSON gives it back, without costs and references of device profiles."""
    return json.loads(json.dumps(data), object_hook=_without_prices)


def _without_prices(data: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in ("costs", "references")}


def work(job: Job) -> str:
    """Do a job, or go on with it, and keep its result; how long it took in words."""
    import torch

    from analogsim.study.folder import RunFolder
    from analogsim.study.resume import resume
    from analogsim.study.run import run
    from analogsim.study.scenario import resolve, to_data

    torch.set_num_threads(1)
    scenario, parent = resolve(job.scenario(), job.name), WORK / job.name
    begun = [RunFolder.open(path) for path in sorted(parent.glob("*/")) if (path / "scenario.yaml").is_file()]
    same = [folder for folder in begun if to_data(folder.scenario()) == to_data(scenario)]
    cpu = torch.device("cpu")
    folder = resume(same[-1].path, cpu) if same else run(scenario, parent, cpu)
    result = json.loads((folder.path / "result.json").read_text())
    kept = {"scenario": to_data(scenario), "result": result}
    job.file.parent.mkdir(parents=True, exist_ok=True)
    part = job.file.with_suffix(".part")
    part.write_text(json.dumps(kept, separators=(",", ":")) + "\n")
    part.replace(job.file)
    return f"{json.loads((folder.path / 'info.json').read_text())['wall_seconds']:.0f} s"


def _run(chosen: list[Job], workers: int) -> None:
    left = [job for job in chosen if job.possible and not job.done]
    unknown = sorted({job.arm for job in chosen if not job.possible})
    print(
        f"{len(left)} of {len(chosen)} jobs to do" + (f"; no rule for {', '.join(unknown)}" if unknown else ""),
        flush=True,
    )
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # of each worker, which inherits both
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # idle threads that spin take the processors from others
    with ProcessPoolExecutor(workers) as pool:
        begun = {pool.submit(work, job): job for job in left}
        for count, future in enumerate(as_completed(begun), 1):
            error = future.exception()
            told = future.result() if error is None else f"failed: {error!r}"
            print(f"{count}/{len(left)} {begun[future].name}: {told}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Rules that see the same, on the same chips.")
    parser.add_argument("command", choices=["list", "run", "table", "show"])
    parser.add_argument("jobs", nargs="*", help="names, or beginnings of names such as digits-noisy")
    parser.add_argument("--workers", type=int, default=1, help="processes, of one thread each")
    arguments = parser.parse_args()
    chosen = list(jobs(arguments.jobs))
    if not chosen:
        sys.exit(f"no job begins with {', '.join(arguments.jobs)}; `list` names them")
    match arguments.command:
        case "list":
            for job in chosen:
                state = "no such rule" if not job.possible else "done" if job.done else "open"
                print(f"{state:<13} {job.name}")
        case "run":
            _run(chosen, arguments.workers)
        case "table":
            from same_eyes_table import write

            print(write(chosen, RESULTS / "table.md"))
        case "show":
            from device_models._yaml import dump_yaml

            print(dump_yaml(chosen[0].resolved()))


if __name__ == "__main__":
    main()
