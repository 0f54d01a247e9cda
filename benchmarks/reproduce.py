"""The papers' experiments, arm by arm, and the page that sets them beside the papers.

    python benchmarks/reproduce.py list                       arms, and which were run
    python benchmarks/reproduce.py run papers/NAME[:ARM] ...   run what was not; an interrupted arm goes on
    python benchmarks/reproduce.py run papers/NAME:ARM --set train.epochs=5    shorter than the scenario says
    python benchmarks/reproduce.py run papers/NAME:ARM --set 'chip.only=[0]'   one chip; others join it later
    python benchmarks/reproduce.py pages                      write docs/reproduction.md and its figures

An arm's file, docs/results/papers/NAME/ARM.json, holds the resolved scenario of that arm, what was set otherwise, its
result, its evaluations in six digits, and the machine; it appears whole when the arm ends. An arm whose scenario is no
longer that of its file is to be run again. Working folders, with checkpoints, are under runs/papers. What people say
about results stands in docs/results/papers/remarks.yaml: by scenario `about` it, and by arm and by text of a claim
under `arms` and `claims`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from reproduction.jobs import ROOT, Job, jobs

from analogsim._process import prepare
from analogsim.errors import AnalogsimError


def state(job: Job) -> str:
    """Of an arm: `open`, `outdated`, `done`, or what it was run with."""
    held = job.held()
    if held is None:
        return "open"
    if job.outdated(held):
        return "outdated"
    return ", ".join(["done", *held.settings])


def run(chosen: Sequence[Job], device: str, threads: int, replace: bool) -> int:
    """Run what is not done; the number of arms that could not be run."""
    prepare()
    import torch
    from reproduction.joined import further
    from reproduction.work import work

    from analogsim.cli.progress import Progress
    from analogsim.study.run import choose_device

    torch.set_num_threads(threads)
    failed = 0
    for job in chosen:
        held = job.held()
        if held is not None and not job.outdated(held):
            if held.settings == job.settings:
                print(f"{job.name}: done", flush=True)
                continue
            if not replace and not further(job, held):
                print(f"{job.name}: kept, was run with {', '.join(held.settings) or 'no other settings'} (--replace)")
                continue
        try:
            with Progress(1) as progress:
                seconds = work(job, choose_device(device), progress)["wall_seconds"]
            print(f"{job.name}: {seconds:.0f} s", flush=True)
        except (AnalogsimError, ValueError) as error:
            failed += 1
            print(f"{job.name}: {error}", file=sys.stderr, flush=True)
    return failed


def pages(file: Path = ROOT / "docs" / "reproduction.md") -> str:
    """Write the page and its figures; what was written, in words."""
    from reproduction.figures import draw
    from reproduction.findings import found
    from reproduction.page import page

    papers = found()
    drawn = [paper.name for paper in papers if draw(paper, file.parent / "figures" / "papers")]
    file.write_text(page(papers), encoding="utf-8")
    return f"{file}: {len(papers)} scenarios, {len(drawn)} figures"


def main() -> None:
    parser = argparse.ArgumentParser(description="The papers' experiments, arm by arm.")
    parser.add_argument("command", choices=["list", "run", "pages"])
    parser.add_argument("arms", nargs="*", help="papers/NAME or papers/NAME:ARM; all unless given")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="PATH=VALUE", help="repeatable")
    parser.add_argument("--threads", type=int, default=1, help="of a CPU")
    parser.add_argument("--device", default="cpu", help="auto, cpu or cuda")
    parser.add_argument("--replace", action="store_true", help="also where a file holds a run with other settings")
    arguments = parser.parse_args()
    try:
        if arguments.command == "pages":
            print(pages())
            return
        chosen = list(jobs(arguments.arms, arguments.settings))
        if arguments.command == "list":
            for job in chosen:
                print(f"{state(job):<10} {job.name}")
        elif run(chosen, arguments.device, arguments.threads, arguments.replace):
            sys.exit(1)
    except AnalogsimError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
