"""The run folder: what is written, where, and when."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import torch

from analogsim._files import locked, sync, write_text
from analogsim.errors import RunError
from analogsim.learning import other_packages
from analogsim.results import Curve, Result, read_curves, write_result
from analogsim.study.kinds import AnyScenario
from analogsim.study.scenario import load_scenario, to_data
from device_models._yaml import dump_yaml


class Mark(NamedTuple):
    """A place in metrics.jsonl.

    Attributes:
        size: bytes up to there.
        checksum: of these bytes.
    """

    size: int
    checksum: str


PACKAGES = ("analogsim", "torch", "numpy")
"""Whose versions may change the last bits of any result."""


class RunFolder:
    """`<parent>/<name>-<time>/` with scenario.yaml, metrics.jsonl, result.json, info.json and figures/.

    Until the run is finished also checkpoint/, with checkpoints and a lock.

    Attributes:
        path: of the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._size, self._digest = 0, hashlib.sha256()

    @classmethod
    def create(cls, parent: Path, scenario: AnyScenario) -> RunFolder:
        """Make a new folder and write the resolved scenario into it.

        Raises:
            RunError: it cannot be made.
        """
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
        try:
            parent.mkdir(parents=True, exist_ok=True)
            for number in range(1000):
                path = parent / (f"{scenario.name}-{stamp}" + (f"-{number}" if number else ""))
                try:
                    path.mkdir()
                    break
                except FileExistsError:  # another run of the same second
                    continue
            else:
                raise RunError(f"{parent}: holds a thousand runs of {scenario.name} of this second already")
            return cls.begin(path, scenario)
        except OSError as error:
            raise RunError(f"{parent}: the run folder cannot be made: {error.strerror}; choose another --out") from None

    @classmethod
    def begin(cls, path: Path, scenario: AnyScenario) -> RunFolder:
        """Write the resolved scenario into a folder of this name, which may be there.

        Raises:
            OSError: it cannot be written.
        """
        path.mkdir(exist_ok=True)
        (path / "metrics.jsonl").touch()
        write_text(path / "scenario.yaml", dump_yaml(to_data(scenario)))
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """The folder of a run that was begun.

        Raises:
            RunError: it is none.
        """
        if not (path / "scenario.yaml").is_file():
            what = "holds no scenario.yaml" if path.is_dir() else "there is no such folder"
            raise RunError(f"{path}: not a run folder: {what}; give the folder that `analogsim run` made")
        return cls(path)

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints lie."""
        return self.path / "checkpoint"

    @property
    def finished(self) -> bool:
        """Whether the run is finished: its result is the last of its files to appear."""
        return (self.path / "result.json").exists()

    def scenario(self) -> AnyScenario:
        """What the run runs.

        Raises:
            ScenarioError: scenario.yaml is damaged.
        """
        return load_scenario(str(self.path / "scenario.yaml"))

    def scenario_checksum(self) -> str:
        """Tells whether scenario.yaml is still the one that a checkpoint was made under."""
        return hashlib.sha256((self.path / "scenario.yaml").read_bytes()).hexdigest()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from working on the run; a process that dies lets go.

        Raises:
            RunError: another process is working on it, or the folder cannot be written.
        """
        try:
            self.checkpoints.mkdir(exist_ok=True)
        except OSError as error:
            raise RunError(f"{self.path}: cannot be written: {error.strerror}") from error
        refused = f"{self.path}: another process is working on this run; wait for it, or end it"
        with locked(self.checkpoints / "lock", refused):
            yield

    def append(self, curve: Curve) -> None:
        """Add one evaluation to metrics.jsonl."""
        line = (json.dumps(curve.model_dump(mode="json")) + "\n").encode()
        with (self.path / "metrics.jsonl").open("ab") as file:
            file.write(line)
        self._size += len(line)
        self._digest.update(line)

    def mark(self) -> Mark:
        """The end of metrics.jsonl, once all up to there is on the disk."""
        sync(self.path / "metrics.jsonl")
        return Mark(self._size, self._digest.hexdigest())

    def reaches(self, mark: Mark) -> bool:
        """Whether metrics.jsonl is, up to a mark, what it was when that was made."""
        path = self.path / "metrics.jsonl"
        if not path.is_file():
            return mark.size == 0
        with path.open("rb") as file:
            found = file.read(mark.size)
        return Mark(len(found), hashlib.sha256(found).hexdigest()) == mark

    def curves(self, arm: str) -> list[Curve]:
        """Evaluations of an arm so far."""
        return [curve for curve in read_curves(self.path / "metrics.jsonl") if curve.arm == arm]

    def cut_back(self, size: int) -> None:
        """Remove what stands in metrics.jsonl beyond its first bytes, and append from there."""
        with (self.path / "metrics.jsonl").open("a+b") as file:
            file.truncate(size)
            file.seek(0)
            self._size, self._digest = size, hashlib.sha256(file.read())

    def finish(self, result: Result, seconds: float, device: torch.device, scenario: AnyScenario) -> None:
        """Write info.json and then result.json, with which a run is finished."""
        info = {"wall_seconds": round(seconds, 3), **environment(device, scenario)}
        write_text(self.path / "info.json", json.dumps(info, indent=1) + "\n")
        write_result(result, self.path / "result.json")


def environment(device: torch.device, scenario: AnyScenario) -> dict[str, Any]:
    """What a result may depend on beside its scenario: versions, device, threads."""
    named = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        "host": platform.node(),
        "device": str(device),
        "device_name": named,
        "threads": torch.get_num_threads(),
        "python": sys.version.split()[0],
        "versions": {**{name: metadata.version(name) for name in PACKAGES}, **_rule_packages(scenario)},
    }


def _rule_packages(scenario: AnyScenario) -> dict[str, str]:
    """Versions of the packages whose rules it uses."""
    stages = [stage for arm in scenario.arms.values() for stage in getattr(arm, "stages", (arm,))]
    used = {getattr(stage, "rule", None) for stage in stages}
    return {each.package: each.version for name, each in other_packages().items() if name in used}
