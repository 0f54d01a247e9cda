"""Resume a run that was interrupted: it ends with the bytes that it would have had undisturbed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from analogsim._shell import typed
from analogsim.errors import RunError
from analogsim.study.checkpoint import Checkpoint, Checkpoints
from analogsim.study.folder import PACKAGES, RunFolder, environment
from analogsim.study.run import Nobody, Watcher, choose_device, go_on, prepare
from analogsim.tasks import DataSet


def resume(
    path: str | Path,
    device: str | torch.device | None = None,
    watcher: Watcher | None = None,
    data: DataSet | None = None,
) -> RunFolder:
    """Go on with a run from its newest whole checkpoint, or from its beginning where there is none.

    A finished run is left as it is. Bits repeat on the same kind of device with the same torch and number of threads.

    Args:
        path: the run folder.
        device: to simulate on; None, `auto`: the kind that the run began on, since another draws other random numbers.
        watcher: is told how it goes on, and in `note` where it begins and what was unusable.
        data: its data set, as `load_data` gives it; None: it is loaded.

    Raises:
        RunError: no run folder; another process works on it; a checkpoint of another release, of another scenario or
            for another device. Nothing was changed.
        ScenarioError: its scenario.yaml cannot be used. Nothing was changed.
    """
    watcher = watcher or Nobody()
    asked = None if device in (None, "auto") else choose_device(device)
    folder = RunFolder.open(Path(path))
    if _left_alone(folder, watcher):
        return folder
    scenario = folder.scenario()
    work = prepare(scenario, data)
    with folder.locked():
        if _left_alone(folder, watcher):  # another process has finished it meanwhile
            return folder
        begin, unusable = _newest(folder)
        device = work.device(_device(folder, asked, begin))
        for damaged, reason in unusable.items():
            watcher.note(f"{damaged}: {reason}; trying the checkpoint before it")
            damaged.unlink()
        if begin is None:
            watcher.note(f"{path}: there is no usable checkpoint: the run starts over")
        else:
            watcher.note(f"{path}: goes on from a checkpoint, {begin.told()}")
            for what, before, now, so in _differences(begin.environment, environment(device, scenario)):
                watcher.note(f"{what} was {before} and is {now}: {so}")
        folder.cut_back(begin.metrics.size if begin else 0)
        go_on(scenario, work, folder, device, watcher, begin)
    return folder


def _left_alone(folder: RunFolder, watcher: Watcher) -> bool:
    """Whether the run is finished, apart from checkpoints that a kill has left."""
    if not folder.finished:
        return False
    watcher.note(f"{folder.path}: this run is finished: there is nothing to resume")
    Checkpoints(folder.checkpoints).remove()
    return True


def _newest(folder: RunFolder) -> tuple[Checkpoint | None, dict[Path, str]]:
    """The newest usable checkpoint, and why newer ones are not usable."""
    unusable: dict[Path, str] = {}
    for path, checkpoint in Checkpoints(folder.checkpoints).newest_first():
        if checkpoint is None:
            unusable[path] = "damaged: its bytes do not have the checksum in its name"
        elif checkpoint.scenario != folder.scenario_checksum():
            raise RunError(
                f"{folder.path}: its checkpoint is of another scenario: scenario.yaml was changed after the run began. "
                f"Undo the change, or begin a run of its own: analogsim run {typed(folder.path / 'scenario.yaml')}"
            )
        elif not folder.reaches(checkpoint.metrics):
            unusable[path] = "metrics.jsonl is not what it was when this checkpoint was made"
        else:
            return checkpoint, unusable
    return None, unusable


def _device(folder: RunFolder, asked: torch.device | None, begin: Checkpoint | None) -> torch.device:
    if begin is None:
        return asked or choose_device("auto")
    before = torch.device(begin.environment["device"])
    if asked is not None and asked.type == before.type:
        return asked
    if asked is None and (before.type == "cpu" or torch.cuda.is_available()):
        return choose_device(before.type)
    raise RunError(
        f"{folder.path}: this run began on {before.type}, and cannot go on on {asked.type if asked else 'cpu'}, which "
        f"draws other random numbers. Resume it where there is a {before.type} device, or begin anew: "
        f"analogsim run {typed(folder.path / 'scenario.yaml')}"
    )


def _differences(before: dict[str, Any], now: dict[str, Any]) -> list[tuple[str, Any, Any, str]]:
    """What results may depend on and is not as it was, and what follows; the host's name is no such thing."""
    bits, rules = "results may differ in their last bits", "its rules may learn otherwise"
    found = [(what, before[what], now[what], bits) for what in ("device_name", "threads")]
    for name, version in now["versions"].items():
        found.append((name, before["versions"].get(name), version, bits if name in PACKAGES else rules))
    return [each for each in found if each[1] != each[2]]
