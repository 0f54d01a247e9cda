"""The run folder: what is written, where, and when."""

from __future__ import annotations

import json
import platform
import sys
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from analogsim.errors import RunError
from analogsim.results import Curve, Result, write_result
from analogsim.study.scenario import to_data
from analogsim.study.schema import Scenario
from device_models._yaml import dump_yaml


class RunFolder:
    """`<parent>/<name>-<time>/` with scenario.yaml, metrics.jsonl, result.json, info.json and figures/.

    Attributes:
        path: of the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, parent: Path, scenario: Scenario) -> RunFolder:
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
            (path / "scenario.yaml").write_text(dump_yaml(to_data(scenario)), encoding="utf-8")
        except OSError as error:
            raise RunError(f"{parent}: the run folder cannot be made: {error.strerror}; choose another --out") from None
        return cls(path)

    def append(self, curve: Curve) -> None:
        """Add one evaluation to metrics.jsonl."""
        with (self.path / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(curve.model_dump(mode="json")) + "\n")

    def finish(self, result: Result, seconds: float, device: torch.device) -> None:
        """Write result.json and info.json."""
        write_result(result, self.path / "result.json")
        info = {"wall_seconds": round(seconds, 3), **environment(device)}
        (self.path / "info.json").write_text(json.dumps(info, indent=1) + "\n", encoding="utf-8")


def environment(device: torch.device) -> dict[str, Any]:
    """What a result may depend on beside its scenario: versions, device, threads."""
    named = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    packages = ("analogsim", "torch", "numpy")
    return {
        "host": platform.node(),
        "device": str(device),
        "device_name": named,
        "threads": torch.get_num_threads(),
        "python": sys.version.split()[0],
        "versions": {name: metadata.version(name) for name in packages},
    }
