"""Resume: an interrupted run ends with the bytes of an undisturbed one, and refusals change nothing."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from analogsim import _files
from analogsim.errors import RunError, ScenarioError
from analogsim.results import Curve, read_curves, read_result
from analogsim.study import checkpoint as checkpoint_module
from analogsim.study.arm import Arm
from analogsim.study.checkpoint import Checkpoints
from analogsim.study.resume import resume
from analogsim.study.run import Nobody, load_data, run
from analogsim.study.scenario import load_scenario
from analogsim.study.schema import Scenario

CPU = torch.device("cpu")
SCRIPT = Path(__file__).with_name("killed_run.py")

# Seven steps an epoch; evaluations between checkpoints, whose training losses reach across them; an order of data in
# use at each checkpoint; momentum, decorrelation, transposed reads, three arms.
TINY = [
    "network.layers=[8, 10]",
    "chip.population=2",
    "data.batch=200",
    "train={epochs: 2, optimizer: {adam: {lr: 3.0e-3}}, evaluate_every: 5 steps, checkpoint_every: 3 steps}",
    "arms={danp: {rule: danp, samples: 2, decorrelation: {rate: 0.01}}, "
    "bp: {rule: bp, oracle: [output_error, transposed_read]}, np: {rule: np, sigma: 0.3}}",
]
WILD = [  # two points of an axis, of which the second diverges in the first step
    "chip.profile=ideal",
    "chip.mapping.range=follow",
    "train.optimizer={sgd: {momentum: 0.9, lr: {each: [1.0e-2, 1.0e+30]}}}",
    "arms={bp: {rule: bp, oracle: [output_error, transposed_read]}, np: {rule: np}}",
]
AXES = ["chip.overrides.read_noise.sigma={each: [0.3 %, 1 %]}", "seed={each: [3, 4]}"]
LIVING = [  # devices that remember: pulses, wear, slow noise that wanders as the clock goes, faults, drift
    "chip.profile={name: living, conductance: {max: 25 uS}, cell: reference, faults: {stuck_low: 1 %}, "
    "update: {kind: soft_bounds, dw_min: 0.004, cycle_to_cycle: 0.3, write_noise: 1.0}, "
    "endurance: {cycles: 500, spread: 0.3}, read_disturb: {rate: 1.0e-7}, "
    "drift: {kind: constant, t0: 1 s, mean: 0.01}, read_noise: [{sigma: 1 %}, "
    "{kind: flicker, q: 0.005, t_r: 250 ns, t0: 20 s}, "
    "{kind: telegraph, amplitude: 5 %, tau: 0.1 s}, {kind: lorentzian, sigma: 1 %, tau: 3 us}]}",
    "train.step_time=30 ms",
    "train.optimizer={mixed_precision: {lr: 0.1, momentum: 0.5}}",
    "arms={danp: {rule: danp, samples: 2, optimizer: {in_memory: {lr: 0.1}}}, np: {rule: np, sigma: 0.3}}",
]
PERIPHERY = [
    "chip.order=pass",
    "chip.overrides={dac: {bits: 4, encoding: bit_serial, polarity: two_phase}, "
    "adc: {range: calibrated, gain_error: 5 %, offset_error: 1.0, correction: {gain_error: 1 %}}, "
    "slices: {count: 2, bits: 3}, unit_noise: {kind: telegraph, amplitude: 0.01, flip: 8 %}}",
]
COMPANIONS = [  # R on crossbars whose noise and devices remember, chosen patches, losses under way in either queue
    "chip.overrides={programming: {kind: constant, sigma: 0.2 uS}, adc: {range: calibrated}, "
    "drift: {kind: constant, t0: 1 s, mean: 0.01}, read_noise: [{sigma: 1 %}, "
    "{kind: telegraph, amplitude: 5 %, tau: 0.1 s}]}",
    "train.step_time=30 ms",
    "arms={danp: {rule: danp, samples: 2, decorrelation: {rate: 0.01, kappa: 0.3, share: 0.3, preserve_power: true, "
    "where: crossbar, layers: [-1]}, weight_decay: 0.1, loss_channel: {bits: 8, range: 4.0, sigma: 0.01, delay: 4}}, "
    "np: {rule: dnp, sigma: 0.3, decorrelation: {share: 0.2}, loss_channel: {delay: 4, mispaired: true, sigma: 0.1}}}",
]
FILES = ("scenario.yaml", "metrics.jsonl", "result.json")


class StoppedError(Exception):
    """Stands for a process's end."""


class Stop(Nobody):
    """Ends a run after some steps of an arm, or before its first."""

    def __init__(self, arm: str, step: int) -> None:
        self._at, self._arm = (arm, step), ""

    def arm(self, name: str, steps: int) -> None:
        self._arm = name

    def step(self, done: int) -> None:
        if (self._arm, done) == self._at:
            raise StoppedError

    def evaluated(self, curve: Curve) -> None:
        if (curve.arm, curve.step) == self._at:
            raise StoppedError


class Notes(Nobody):
    """Keeps what a person is told, and which steps were done."""

    def __init__(self) -> None:
        self.text = ""
        self.steps: list[int] = []

    def step(self, done: int) -> None:
        self.steps.append(done)

    def note(self, text: str) -> None:
        self.text += text + "\n"


def _scenario(*settings: str) -> Scenario:
    return load_scenario("quickstart", [*TINY, *settings])


def _bytes(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def _everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, bytes]]:
    """Files of a run that nobody interrupts, by its settings."""
    known: dict[tuple[str, ...], dict[str, bytes]] = {}

    def files(*settings: str) -> dict[str, bytes]:
        if settings not in known:
            known[settings] = _bytes(run(_scenario(*settings), tmp_path_factory.mktemp("undisturbed"), CPU).path)
        return known[settings]

    return files


def _stopped(parent: Path, arm: str, step: int, *settings: str) -> Path:
    with pytest.raises(StoppedError):
        run(_scenario(*settings), parent, CPU, Stop(arm, step))
    [folder] = parent.iterdir()
    return folder


@pytest.mark.parametrize(
    ("settings", "arm", "step"),
    [
        ([], "danp", 8),  # two steps after a checkpoint
        ([], "bp", 0),  # between two arms
        ([], "bp", 5),  # just evaluated, since the last checkpoint
        ([], "np", 14),  # at the very end
        (WILD, "bp", 11),
        (LIVING, "danp", 8),
        (LIVING, "np", 11),
        (AXES, "np", 4),
        (["train.optimizer={nadam: {lr: 1.0e-3}}", "chip.precision=float64"], "danp", 7),
        (["train.checkpoint_every=1 epoch"], "np", 13),
        (PERIPHERY, "bp", 8),
        (COMPANIONS, "danp", 8),
        (COMPANIONS, "np", 8),
    ],
)
def test_a_resumed_run_has_the_bytes_of_an_undisturbed_one(
    settings: list[str], arm: str, step: int, undisturbed: Callable[..., dict[str, bytes]], tmp_path: Path
) -> None:
    folder = _stopped(tmp_path, arm, step, *settings)
    notes = Notes()
    assert resume(folder, watcher=notes).path == folder
    assert "goes on from a checkpoint" in notes.text
    assert _bytes(folder) == undisturbed(*settings)
    assert {path.name for path in folder.iterdir()} == {*FILES, "info.json"}
    if settings is WILD:
        chips = read_result(folder / "result.json").arms["bp"].chips
        assert [chip.status for chip in chips] == ["finished"] * 2 + ["diverged"] * 2


def test_stopped_again_and_again(undisturbed: Callable[..., dict[str, bytes]], tmp_path: Path) -> None:
    folder = _stopped(tmp_path, "danp", 1)  # before the first checkpoint: starts over
    for arm, step in [("danp", 5), ("danp", 11), ("bp", 2), ("np", 0), ("np", 9)]:
        with pytest.raises(StoppedError):
            resume(folder, watcher=Stop(arm, step))
        assert len(list((folder / "checkpoint").glob("*.pt"))) <= 2
    resume(folder)
    assert _bytes(folder) == undisturbed()


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    damage: str, undisturbed: Callable[..., dict[str, bytes]], tmp_path: Path
) -> None:
    folder = _stopped(tmp_path, "danp", 11)
    older, newest = sorted((folder / "checkpoint").glob("*.pt"))
    data = newest.read_bytes()
    middle = len(data) // 2
    flipped = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
    newest.write_bytes({"cut": data[:middle], "flipped": flipped, "empty": b""}[damage])
    notes = Notes()
    with pytest.raises(StoppedError):
        resume(folder, watcher=Stop("danp", 7))
    assert older.exists()
    assert not newest.exists(), "a damaged checkpoint must not push out a whole one"
    newest.write_bytes(data[:middle])
    resume(folder, watcher=notes)
    assert f"{newest}: damaged" in notes.text
    assert "goes on from a checkpoint, arm danp at step 6" in notes.text
    assert notes.steps[:2] == [6, 7]
    assert _bytes(folder) == undisturbed()


@pytest.mark.parametrize("loss", ["no folder", "all damaged", "no metrics", "other metrics"])
def test_without_a_usable_checkpoint_it_starts_over(
    loss: str, undisturbed: Callable[..., dict[str, bytes]], tmp_path: Path
) -> None:
    folder = _stopped(tmp_path, "danp", 8)
    metrics = folder / "metrics.jsonl"
    for path in (folder / "checkpoint").iterdir():
        if loss == "no folder":
            path.unlink()
        elif loss == "all damaged":
            path.write_bytes(b"not a checkpoint")
    if loss == "no folder":
        (folder / "checkpoint").rmdir()
    elif loss == "no metrics":
        metrics.unlink()
    elif loss == "other metrics":
        metrics.write_text("{}\n" + metrics.read_text())
    notes = Notes()
    resume(folder, watcher=notes)
    assert "no usable checkpoint: the run starts over" in notes.text
    assert _bytes(folder) == undisturbed()


def test_a_finished_run_is_left_alone(tmp_path: Path) -> None:
    folder = run(_scenario(), tmp_path, CPU).path
    before, notes = _everything(folder), Notes()
    resume(folder, watcher=notes)
    assert "this run is finished" in notes.text
    assert notes.steps == []
    assert _everything(folder) == before
    (folder / "checkpoint").mkdir()  # killed after the result was written
    resume(folder)
    assert _everything(folder) == before
    assert not (folder / "checkpoint").exists()


def test_refusals_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _stopped(tmp_path / "runs", "danp", 8)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"arm": "da')  # half a line
    scenario = (folder / "scenario.yaml").read_text()

    def refused(error: type[Exception], message: str, device: torch.device | None = None) -> None:
        before = _everything(folder)
        with pytest.raises(error, match=message):
            resume(folder, device)
        assert _everything(folder) == before

    (folder / "scenario.yaml").write_text(scenario.replace("epochs: 2", "epochs: 3"))
    refused(RunError, "its checkpoint is of another scenario: scenario.yaml was changed")
    (folder / "scenario.yaml").write_text(scenario[:300])
    refused(ScenarioError, r"scenario\.yaml")
    (folder / "scenario.yaml").write_text(scenario)
    refused(RunError, "began on cpu, and cannot go on on cuda", torch.device("cuda"))
    with (folder / "checkpoint" / "lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused(RunError, "another process is working on this run")
    monkeypatch.setattr("analogsim.study.checkpoint.CHECKPOINT_VERSION", 99)
    refused(RunError, "has schema version 4; this release reads version 99")

    for path, message in [(tmp_path, "holds no scenario.yaml"), (tmp_path / "nowhere", "there is no such folder")]:
        with pytest.raises(RunError, match=f"not a run folder: {message}"):
            resume(path)
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


@pytest.mark.parametrize(
    "optimizer",
    ["adadelta", "adagrad", "adam", "adamax", "adamw", "nadam", "radam", "rmsprop", "sgd", "sgd: {momentum: 0.9, "],
)
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_every_optimiser_goes_on_to_the_bit(optimizer: str, precision: str) -> None:
    settings = f"{optimizer}lr: 1.0e-2}}" if "{" in optimizer else f"{optimizer}: {{lr: 1.0e-2}}"
    scenario = _scenario(f"train.optimizer={{{settings}}}", f"chip.precision={precision}")
    data = load_data(scenario)
    arm, again = (Arm(scenario, "danp", data, CPU) for _ in range(2))
    for _ in range(2):
        arm.advance()
    arm.state_dict()["controller"]["diverged"][1] = True  # live: freeze a chip that would go on learning
    again.load_state_dict(arm.state_dict(), [])
    for _ in range(6):
        arm.advance()
    for _ in range(6):
        again.advance()
    assert arm.evaluate() == again.evaluate()
    left, right = arm.state_dict(), again.state_dict()
    _assert_equal(left, right)


def _assert_equal(left: object, right: object) -> None:
    assert type(left) is type(right)
    if isinstance(left, torch.Tensor) and isinstance(right, torch.Tensor):
        assert left.dtype == right.dtype and torch.equal(left, right)
    elif isinstance(left, dict) and isinstance(right, dict):
        _assert_equal(list(left), list(right))
        _assert_equal(list(left.values()), list(right.values()))
    elif isinstance(left, list | tuple) and isinstance(right, list | tuple):
        assert len(left) == len(right)
        for one, other in zip(left, right, strict=True):
            _assert_equal(one, other)
    else:
        assert left == right


def test_checkpoints_change_no_result(undisturbed: Callable[..., dict[str, bytes]]) -> None:
    often, rarely = undisturbed(), undisturbed("train.checkpoint_every=100 epochs")
    assert often["metrics.jsonl"] == rarely["metrics.jsonl"]
    assert often["result.json"] == rarely["result.json"]


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "result.json"
    _files.write_text(path, "old")

    def dies(*_: object) -> None:
        raise StoppedError

    monkeypatch.setattr(os, "replace", dies)
    with pytest.raises(StoppedError):
        _files.write_text(path, "new")
    assert path.read_text() == "old"


def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint_module, "commit", full)
    with pytest.raises(RunError, match="the checkpoint cannot be written: No space left on device"):
        run(_scenario(), tmp_path, CPU)


# Killed for real


def _start(moment: str, count: int, *arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, str(SCRIPT), moment, str(count), *arguments])


def _killed(moment: str, count: int, *arguments: str) -> None:
    assert _start(moment, count, *arguments).wait(60) == -signal.SIGKILL


def test_killed_in_the_midst_of_checkpoints(undisturbed: Callable[..., dict[str, bytes]], tmp_path: Path) -> None:
    """With half of one written, in the first arm; then before one that is whole is renamed, between two arms."""
    _killed("writing", 3, "run", str(tmp_path), *TINY)
    [folder] = tmp_path.iterdir()
    assert (folder / "checkpoint" / "writing.part").exists()
    assert [curve.step for curve in read_curves(folder / "metrics.jsonl")] == [0, 5]
    _killed("renaming", 3, "resume", str(folder))
    assert [curve.step for curve in read_curves(folder / "metrics.jsonl")] == [0, 5, 10, 14]
    resume(folder)
    assert _bytes(folder) == undisturbed()
    assert {path.name for path in folder.iterdir()} == {*FILES, "info.json"}


def test_killed_from_outside_and_the_lock_dies_with_it(
    undisturbed: Callable[..., dict[str, bytes]], tmp_path: Path
) -> None:
    """SIGKILL as soon as the second arm is under way; meanwhile nobody else may work on the run."""
    process = _start("never", 0, "run", str(tmp_path), *TINY, "train.epochs=20")
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until and not list(tmp_path.glob("*/checkpoint/00000002-*.pt")):
            time.sleep(0.01)
        [folder] = tmp_path.iterdir()
        with pytest.raises(RunError, match="another process is working on this run"):
            resume(folder)
    finally:
        process.kill()
    assert process.wait(60) == -signal.SIGKILL
    assert not (folder / "result.json").exists()
    newest, *_ = Checkpoints(folder / "checkpoint").newest_first()
    assert newest[1] is not None
    resume(folder)
    assert _bytes(folder) == undisturbed("train.epochs=20")
