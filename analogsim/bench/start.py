"""`start`: how soon a command answers, beside a Python that loads torch and does nothing else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from analogsim.bench.case import Case
from analogsim.bench.row import Row, timed
from analogsim.bench.timing import in_turn

COMMANDS: dict[str, tuple[str, ...]] = {
    "import torch": ("-c", "import torch"),
    "analogsim --help": ("-m", "analogsim", "--help"),
    "import analogsim": ("-c", "import analogsim"),
    "import analogsim.study.run": ("-c", "import analogsim.study.run"),
}
"""Arguments of Python; the first is what the others are beside."""


@dataclass(frozen=True)
class Start(Case):
    """Each command in a process of its own, in turn.

    Attributes:
        commands: of `COMMANDS`, the one that the others are beside first.
        repeats: turns.
    """

    commands: tuple[str, ...] = tuple(COMMANDS)
    repeats: int = 15

    def rows(self, device: torch.device) -> Iterator[Row]:
        host = torch.device("cpu")
        found = in_turn({name: lambda name=name: self._run(name) for name in self.commands}, self.repeats, host, warm=1)
        first, *others = self.commands
        for name in others:
            yield timed(
                found[name], found[first], case="start", what=name, beside=first, device=host.type, precision=None
            )

    def _run(self, name: str) -> None:
        subprocess.run([sys.executable, *COMMANDS[name]], check=True, stdout=subprocess.DEVNULL)
