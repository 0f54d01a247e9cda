"""Arms of stages: a run that is stopped in any stage ends with the bytes of an undisturbed one."""

from pathlib import Path

import pytest
import torch

from analogsim.study.resume import resume
from analogsim.study.run import Nobody, run
from analogsim.study.scenario import load_scenario
from analogsim.study.schema import Scenario

CPU = torch.device("cpu")
LIVING = (
    "chip.profile=ecram",
    "chip.overrides.adc.range=calibrated",
    "chip.overrides.read_noise=[{sigma: 1 %}, {kind: flicker, q: 0.005, t_r: 250 ns, t0: 20 s}]",
    "train.step_time=30 ms",
    "timeline=[{do: evaluate, at: 1 s}]",
    "train.checkpoint_every=3 steps",
)
STAGES = (
    "x: {stages: [{rule: dbp, epochs: 1, chip: {profile: ideal}}, {rule: none}, "
    "{rule: danp, epochs: 1, samples: 2, optimizer: {mixed_precision: {lr: 0.1, momentum: 0.5}}, "
    "decorrelation: {rate: 0.01, where: crossbar, layers: [-1]}, loss_channel: {delay: 2}}, "
    "{rule: dnp, epochs: 1, decorrelation: {where: crossbar}, optimizer: {adam: {lr: 1.0e-3}}}], "
    "timeline: [{do: train, steps: 2, at: 1 s, then: [{do: evaluate}]}]}, "
    "np: {rule: np}"
)


class StopError(Exception):
    """Stands for a process's end."""


class Stop(Nobody):
    def __init__(self, at: int) -> None:
        self._at = at

    def step(self, done: int) -> None:
        if done == self._at:
            raise StopError


def _tiny(arms: str, *settings: str) -> Scenario:
    base = ["train.epochs=2", "network.layers=[16, 10]", "chip.population=3", "data.batch=200", f"arms={{{arms}}}"]
    return load_scenario("quickstart", [*base, *settings])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(_tiny(STAGES, *LIVING), tmp_path_factory.mktemp("undisturbed"), CPU).path


@pytest.mark.parametrize("step", [2, 5, 7, 11, 14, 20])
def test_a_run_stopped_in_any_stage_ends_with_the_same_bytes(step: int, undisturbed: Path, tmp_path: Path) -> None:
    """Stopped before the first checkpoint, within each stage, and at the last step of each."""
    with pytest.raises(StopError):
        run(_tiny(STAGES, *LIVING), tmp_path, CPU, Stop(step))
    [folder] = tmp_path.iterdir()
    resume(folder)
    for name in ("scenario.yaml", "metrics.jsonl", "result.json"):
        assert (folder / name).read_bytes() == (undisturbed / name).read_bytes()
