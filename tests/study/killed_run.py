"""A run or resume that kills itself, for test_resume.py: killed_run.py MOMENT COUNT run|resume PATH [SETTING ...].

SIGKILL at the COUNT-th checkpoint: `writing` (half of it is written), `renaming` (all of it, under its temporary name),
or `never`.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch

from analogsim.study import checkpoint
from analogsim.study.resume import resume
from analogsim.study.run import run
from analogsim.study.scenario import load_scenario

moment, count, command, path, *settings = sys.argv[1:]
met = 0


def _at(name: str) -> bool:
    global met
    met += name == moment
    return name == moment and met == int(count)


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


save, commit = torch.save, checkpoint.commit


def _save(data: Any, file: Any) -> None:
    save(data, file)
    if _at("writing"):
        file.flush()
        os.truncate(file.name, os.path.getsize(file.name) // 2)
        _kill()


def _commit(part: Path, target: Path) -> None:
    if _at("renaming"):
        _kill()
    commit(part, target)


torch.save, checkpoint.commit = _save, _commit
if command == "run":
    run(load_scenario("quickstart", settings), Path(path), torch.device("cpu"))
else:
    resume(Path(path))
