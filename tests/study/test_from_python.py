"""The functions that people call take paths and devices as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from analogsim import RunError, load_scenario, read_result, resume, run
from analogsim.results import read_curves


@pytest.mark.parametrize("device", ["cpu", "auto", torch.device("cpu")])
def test_text_and_paths_are_alike(device: str | torch.device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    mine = tmp_path / "mine.yaml"
    mine.write_text((Path(__file__).parents[2] / "scenarios" / "quickstart.yaml").read_text())
    settings = "train.epochs=0"
    scenario = load_scenario(mine, settings)
    assert scenario == load_scenario(str(mine), [settings])
    scenario = load_scenario(mine, [settings, "chip.population=1", "network.layers=[10]"])
    folder = run(scenario, str(tmp_path / "runs"), device)
    assert read_result(str(folder.path / "result.json")) == read_result(folder.path / "result.json")
    assert len(read_curves(str(folder.path / "metrics.jsonl"))) == 4
    for again in (device, None):
        assert resume(str(folder.path), again).path == folder.path
    with pytest.raises(RunError, match="not a run folder"):
        resume(str(tmp_path / "nowhere"), device)
