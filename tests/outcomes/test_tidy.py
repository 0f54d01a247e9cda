"""The tidy table as a file: written row by row, whole or not at all."""

from __future__ import annotations

import csv
import io
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from analogsim.errors import RunError
from analogsim.outcomes import Outcome, StudyFolder, columns, outcomes, write_csv

NOISE = "chip.profile.read_noise.0.sigma"


def made(studies: Any, jobs: int, chips: int = 3) -> StudyFolder:
    arms = {
        "bp": studies.arm(lambda *_: 0.95, "bp", oracle=("output_error",)),
        'np, "one"': studies.arm(
            lambda place, numbers: numbers.random() if place[NOISE] == "0 %" else None, family="NP"
        ),
    }
    places = [f"device {n}" for n in range(jobs // 2)]
    axes = [studies.profiles(*places), studies.noise("0 %", "3 %"), studies.seeds(2)]
    return studies(arms, axes, reference=lambda *_: 0.97, making={"chips": chips, "tuned": False})


def whole(folder: StudyFolder) -> bytes:
    """The table, made at once."""
    file, plan = io.StringIO(), folder.plan
    writer = csv.DictWriter(file, columns(plan), lineterminator="\n")
    writer.writeheader()
    renamed = {"accuracy": "test_accuracy", "loss": "test_loss", "best_accuracy": "best_test_accuracy"}
    renamed |= {"writes": "device_writes"}
    for row in list(outcomes(folder)):
        found = {renamed.get(name, name): getattr(row, name) for name in Outcome.__slots__}
        found |= {"marks": " ".join(row.marks), "reference": int(row.reference), **found.pop("place")}
        writer.writerow(found)
    return file.getvalue().encode()


def test_its_bytes_are_those_of_a_table_made_at_once(studies: Any, tmp_path: Path) -> None:
    folder = made(studies, 6)
    write_csv(folder.plan, outcomes(folder), tmp_path / "results.csv")
    found = (tmp_path / "results.csv").read_bytes()
    assert found == whole(folder)
    assert len(found.splitlines()) == 1 + 6 * 12 + 6
    assert [path.name for path in tmp_path.glob("results*")] == ["results.csv"]


def test_rows_are_written_as_they_come_and_the_file_appears_whole(studies: Any, tmp_path: Path) -> None:
    folder, file = made(studies, 6, chips=20), tmp_path / "results.csv"
    sizes: list[int] = []

    def watched() -> Iterator[Outcome]:
        for row in outcomes(folder):
            assert not file.exists()
            sizes.append(file.with_name("results.csv.part").stat().st_size)
            yield row

    write_csv(folder.plan, watched(), file)
    assert sizes[0] == 0
    assert 0 < sizes[len(sizes) // 2] < sizes[-1] < file.stat().st_size


def test_memory_does_not_grow_with_the_study(studies: Any, tmp_path: Path) -> None:
    """Ten times the jobs; what the larger plan takes is not counted."""

    def peak(jobs: int) -> int:
        folder = made(studies, jobs, chips=10)
        write_csv(folder.plan, outcomes(folder), tmp_path / "results.csv")  # whatever is made once
        tracemalloc.start()
        write_csv(folder.plan, outcomes(folder), tmp_path / "results.csv")
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(40) < 1.5 * peak(4)


def test_of_a_damaged_study_nothing_is_left_and_the_table_of_before_stays(studies: Any, tmp_path: Path) -> None:
    folder, file = made(studies, 4), tmp_path / "results.csv"
    file.write_text("before")
    (folder.job(folder.plan.jobs[-1]) / "result.json").write_text("{")
    with pytest.raises(RunError, match=r"result\.json: damaged"):
        write_csv(folder.plan, outcomes(folder), file)
    assert file.read_text() == "before"
    assert [path.name for path in tmp_path.glob("results*")] == ["results.csv"]
