"""Checkpoints: where a run stands, in files that are whole or recognised as damaged.

`checkpoint/<number>-<checksum>.pt`, the newest two. A file is written under another name and renamed once it is on the
disk; its name holds the checksum of its bytes, so that what a disk or a copy has damaged since is recognised.
"""

from __future__ import annotations

import hashlib
import pickle
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from analogsim._files import commit
from analogsim.errors import OtherVersionError, RunError, StorageError
from analogsim.results import ArmResult, Tuning
from analogsim.study.folder import Mark

CHECKPOINT_VERSION = 7
"""Of what a checkpoint holds: count up with every change to a `state_dict`."""

_KEPT = 2
_NAME = re.compile(r"(\d{8})-([0-9a-f]{32})\.pt")


@dataclass(frozen=True)
class Checkpoint:
    """Where a run stands.

    Attributes:
        scenario: checksum of the run's scenario.yaml.
        environment: what bits may depend on beside the scenario; see `folder.environment`.
        seconds: worked so far.
        metrics: how far metrics.jsonl was written.
        finished: results of the arms that are done.
        tuned: learning rates of the arms for which they were searched.
        arm: name of the arm under way, or None between two arms.
        searching: whether it is the search for its learning rates that is under way.
        state: of that arm or search; plain data and tensors.
    """

    scenario: str
    environment: dict[str, Any]
    seconds: float
    metrics: Mark
    finished: Mapping[str, ArmResult]
    tuned: Mapping[str, Tuning]
    arm: str | None = None
    searching: bool = False
    state: dict[str, Any] | None = None

    def state_of(self, arm: str, searching: bool = False) -> dict[str, Any] | None:
        """Of an arm, or of the search for its learning rates, if that is what was under way."""
        return self.state if (self.arm, self.searching) == (arm, searching) else None

    def told(self) -> str:
        """Where it is, for people."""
        if self.state is None:
            return "between two arms"
        what = f"arm {self.arm}, search for its learning rates" if self.searching else f"arm {self.arm}"
        return f"{what} at step {self.state['step']}"

    def to_data(self) -> dict[str, Any]:
        """As plain data and tensors."""
        finished = {name: result.model_dump(mode="json") for name, result in self.finished.items()}
        tuned = {name: tuning.model_dump(mode="json") for name, tuning in self.tuned.items()}
        plain = {"version": CHECKPOINT_VERSION, "metrics": tuple(self.metrics), "finished": finished, "tuned": tuned}
        return {**vars(self), **plain}

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Checkpoint:
        """From what `to_data` gave."""
        kept = {key: value for key, value in data.items() if key != "version"}
        finished = {name: ArmResult.model_validate(result) for name, result in data["finished"].items()}
        tuned = {name: Tuning.model_validate(tuning) for name, tuning in data["tuned"].items()}
        return cls(**{**kept, "metrics": Mark(*data["metrics"]), "finished": finished, "tuned": tuned})


class Checkpoints:
    """The checkpoint folder of a run.

    Args:
        path: of the folder, which is there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def save(self, checkpoint: Checkpoint) -> None:
        """Write one, and remove all but it and the one before.

        Raises:
            StorageError: it cannot be written.
        """
        try:
            part = self.path / "writing.part"
            with part.open("wb") as file:
                torch.save(checkpoint.to_data(), file)
            files = self._files()
            number = _number(files[-1]) + 1 if files else 1
            commit(part, self.path / f"{number:08d}-{_checksum(part)}.pt")
            for old in self._files()[:-_KEPT]:
                old.unlink()
        except (OSError, RuntimeError) as error:  # torch gives its writer's failures as RuntimeError
            written = (
                isinstance(error, OSError) or "PytorchStreamWriter" in str(error) or "inline_container" in str(error)
            )
            reason = error.strerror if isinstance(error, OSError) else error
            if written and not isinstance(error, OSError):  # it does not say why
                reason = f"{shutil.disk_usage(self.path).free:,} bytes are free there ({error})"
            raise (StorageError if written else RunError)(
                f"{self.path}: the checkpoint cannot be written: {reason}"
            ) from error

    def newest_first(self) -> Iterator[tuple[Path, Checkpoint | None]]:
        """Files and what they hold; None: damaged.

        Raises:
            OtherVersionError: one is of another schema version.
        """
        for path in reversed(self._files()):
            yield path, self._read(path) if path.name.endswith(f"-{_checksum(path)}.pt") else None

    def _read(self, path: Path) -> Checkpoint:
        try:
            data = torch.load(path, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError):  # though its bytes are as they were written
            data = None
        version = data.get("version") if isinstance(data, dict) else "unknown"
        if not isinstance(data, dict) or version != CHECKPOINT_VERSION:
            raise OtherVersionError(
                f"{path}: has schema version {version}; this release reads version {CHECKPOINT_VERSION}. Go on with "
                "the release that wrote it, or begin anew: `analogsim run` with the folder's scenario.yaml"
            )
        return Checkpoint.from_data(data)

    def clear(self) -> None:
        """Remove all of them."""
        for path in self._files():
            path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the folder: the run is finished."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _files(self) -> list[Path]:
        """Oldest first."""
        if not self.path.is_dir():
            return []
        return sorted((path for path in self.path.iterdir() if _NAME.fullmatch(path.name)), key=_number)


def _number(path: Path) -> int:
    return int(path.name.partition("-")[0])


def _checksum(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:32]
