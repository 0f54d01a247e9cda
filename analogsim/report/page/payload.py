"""What a page carries beside what it shows: resolved scenarios and CSV files, packed together."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from analogsim.outcomes import StudyFolder


def packed(folder: StudyFolder, files: Mapping[str, str]) -> str:
    """Base64 of gzip of JSON: `jobs`, each [id, number of its scenario] or null; `scenarios`, each once; `files`."""
    texts: dict[str, int] = {}
    jobs: list[tuple[str, int] | None] = []
    for job in folder.plan.jobs:
        if not (folder.job(job) / "scenario.yaml").exists():
            jobs.append(None)
            continue
        text = folder.scenario_text(job)
        jobs.append((job.id, texts.setdefault(text, len(texts))))
    data = {"jobs": jobs, "scenarios": list(texts), "files": dict(files)}
    plain = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
    return base64.b64encode(gzip.compress(plain, 9, mtime=0)).decode()


def csv_of(table: Sequence[Sequence[object]]) -> str:
    """Rows as CSV; what is not known is empty."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(["" if each is None else each for each in row] for row in table)
    return file.getvalue()


class Links:
    """From ids of jobs to links on a page.

    Args:
        folder: of the study.
        file: that the page is written to.
    """

    def __init__(self, folder: StudyFolder, file: Path) -> None:
        self._number = {job.id: number for number, job in enumerate(folder.plan.jobs)}
        self._folder = Path(os.path.relpath(folder.path, file.parent)).as_posix()

    def href(self, jobs: Sequence[str]) -> str:
        """The first job's scenario as a file, for those who have no script."""
        return quote(f"{self._folder}/jobs/{jobs[0]}/scenario.yaml".removeprefix("./"))

    def spans(self, jobs: Sequence[str]) -> str:
        """Numbers of jobs in the plan, in the order given: `3 7-12`."""
        found: list[list[int]] = []
        for number in (self._number[job] for job in jobs):
            if found and number == found[-1][1] + 1:
                found[-1][1] = number
            else:
                found.append([number, number])
        return " ".join(str(first) if first == last else f"{first}-{last}" for first, last in found)
