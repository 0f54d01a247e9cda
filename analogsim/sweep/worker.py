"""A worker process: reads jobs as lines of JSON, works them off, and writes how each ended, a line each.

It ends with its driver: when the pipe that jobs come from is closed, it goes at once, and the job under way stands
where its last checkpoint was made.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from queue import Queue
from typing import Any, TextIO

from analogsim._process import prepare
from analogsim.outcomes import Job


def main() -> None:
    """Work until there are no more jobs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("study", type=Path)
    parser.add_argument("--device", required=True)
    parser.add_argument("--number", type=int, required=True)
    parser.add_argument("--perform", required=True)
    arguments = parser.parse_args()
    prepare()
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no answer
    jobs: Queue[Job] = Queue()
    threading.Thread(target=_read, args=(sys.stdin, jobs), daemon=True).start()
    work = _performer(arguments.perform)
    device = _device(arguments.device, arguments.number)
    _answer(answers, {"ready": True})
    while True:
        ended = work(arguments.study, jobs.get(), device)
        _answer(answers, asdict(ended))


def _read(source: TextIO, jobs: Queue[Job]) -> None:
    for line in source:
        jobs.put(Job.model_validate_json(line))
    os._exit(0)


def _answer(answers: TextIO, told: dict[str, Any]) -> None:
    try:
        answers.write(json.dumps(told) + "\n")
        answers.flush()
    except BrokenPipeError:
        os._exit(0)


def _performer(name: str) -> Callable[[Path, Job, str], Any]:
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)


def _device(asked: str, number: int) -> str:
    """The device of this worker: of several GPUs, workers take one after the other."""
    if asked != "cuda":
        return asked
    import torch

    return f"cuda:{number % torch.cuda.device_count()}"


if __name__ == "__main__":
    main()
