"""The folder of a study: planned again from its own scenario, and never there without its points."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from analogsim.errors import RunError
from analogsim.study.scenario import read_scenario
from analogsim.sweep.begin import begin
from analogsim.sweep.planning import Draft, make_plan

OWN = """\
name: own
data: {set: digits, batch: 100, samples: 400}
network: {layers: [8, 10]}
chip: {profile: devices/mine.yaml, population: 2}
train: {epochs: 1, optimizer: {adam: {lr: 3.0e-3}}}
arms:
  danp: {rule: danp}
  staged:
    stages:
      - {rule: bp, chip: {profile: {extends: devices/mine.yaml}}}
      - {rule: danp}
timeline:
  - {do: traffic, trace: requests.txt, time: 1 day}
quick: {chip.profile: devices/mine.yaml}
sweep:
  axes:
    data.batch: [50, 100]
    pair:
      mine: {chip.profile: devices/mine.yaml}
      hermes: {chip.profile: pcm-hermes}
"""


def again(folder: Any) -> Draft:
    return make_plan(*read_scenario(str(folder.path / "scenario.yaml")))


@pytest.mark.parametrize(
    "more",
    [
        {"axes": {"chip.overrides.adc.bits": [4, 8], "train.epochs": [1, 2]}, "seeds": 3, "chips_per_job": 4},
        {"axes": {"arms.danp.samples": [1, 2], "device": {"a": {}, "b": {"chip.tile": 64}}}, "fold": "none"},
        {"sample": {"points": 3, "ranges": {"chip.overrides.read_noise.sigma": {"from": "0.1 %", "to": "3 %"}}}},
    ],
)
def test_a_study_can_be_planned_again_from_its_folder(more: dict[str, Any], studies: Any, tmp_path: Path) -> None:
    draft = studies.plan(more)
    found = again(begin(tmp_path, draft))
    assert found.plan == draft.plan
    assert found.points == draft.points


def test_files_of_ones_own_are_found_from_the_studys_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "scenarios" / "devices" / "mine.yaml"
    mine.parent.mkdir(parents=True)
    mine.write_text("extends: pcm-hermes\nname: mine\nadc: {bits: 5}\n")
    (tmp_path / "scenarios" / "own.yaml").write_text(OWN)
    (tmp_path / "scenarios" / "requests.txt").write_text("1\n2\n")
    monkeypatch.chdir(tmp_path)
    more = {"axes": {"arms.staged.stages.0.chip.profile": ["devices/mine.yaml", "pcm"]}}
    draft = make_plan(*read_scenario("scenarios/own.yaml"), more)
    folder = begin(tmp_path / "runs", draft)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    found = again(folder)
    assert found.plan == draft.plan
    assert found.points == draft.points
    (staged,) = [axis for axis in draft.plan.axes if axis.arm == "staged"]
    assert staged.places == ("devices/mine.yaml", "pcm")
    data, _, _ = read_scenario(str(folder.path / "scenario.yaml"), quick=True)
    assert data["chip"]["profile"] == str(mine)


def test_no_plan_is_there_before_its_points_are_on_the_disk(
    studies: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = studies.plan()
    told: list[tuple[str, str, int]] = []
    fsync, replace, rename = os.fsync, os.replace, os.rename

    def synced(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        told.append(("synced", path.name, 0 if path.is_dir() else path.stat().st_size))
        fsync(descriptor)

    def replaced(part: Path, path: Path) -> None:
        told.append(("named", path.name, 0))
        replace(part, path)

    def renamed(part: Path, path: Path) -> None:
        told.append(("appeared", path.name, 0))
        rename(part, path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", synced)
        patch.setattr(os, "replace", replaced)
        patch.setattr(os, "rename", renamed)
        folder = begin(tmp_path / "runs", draft)
    planned = told.index(("named", "plan.json", 0))
    points = list((folder.path / "points").iterdir())
    assert len(points) == len(draft.points)
    for point in points:  # whole, then named, then the plan
        assert told.index(("synced", point.name, point.stat().st_size)) < told.index(("synced", "points", 0)) < planned
    assert told.index(("named", "scenario.yaml", 0)) < planned
    assert ("synced", "plan.json.part", (folder.path / "plan.json").stat().st_size) in told[:planned]
    assert planned < told.index(("appeared", folder.path.name, 0))
    assert told[-1] == ("synced", "runs", 0)


def test_file_systems_that_cannot_sync_a_folder_take_studies(
    studies: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def of_files(descriptor: int) -> None:
        if Path(os.readlink(f"/proc/self/fd/{descriptor}")).is_dir():
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", of_files)
    assert begin(tmp_path, studies.plan()).plan.jobs


def test_a_disk_that_takes_no_points_leaves_no_folder(
    studies: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def full(descriptor: int) -> None:
        if Path(os.readlink(f"/proc/self/fd/{descriptor}")).parent.name == "points":
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="folder cannot be made: No space left on device; choose another --out"):
        begin(tmp_path, studies.plan())
    assert not list(tmp_path.iterdir())
