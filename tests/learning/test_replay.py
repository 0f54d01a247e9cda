"""What crosses the wall is data: saved exchanges replay, bit for bit, where nothing behind the wall can be imported."""

from __future__ import annotations

import importlib.util
import itertools
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from analogsim.learning import RULES

SCRIPT = Path(__file__).with_name("replay_exchange.py")
SIZES, SLOPE, STEPS = [5, 7, 6, 3], 0.1, 3
BASELINES = ("clean", "shared", "pairs", "centred")
SETTINGS = {
    "bp": [{"backward": "transposed"}, {"backward": "copy"}],
    "fa": [{"start": "random"}, {"start": "copy"}],
    "dfa": [{}],
    "learned_feedback": [
        {"form": f, "solver": s, "baseline": b, "samples": k, "sigma": 0.2, "warm_up": 1}
        for f, s, b, k in (("fa", "sgd", "clean", 1), ("dfa", "sgd", "pairs", 3), ("fa", "ridge", "shared", 3))
    ],
    "synthetic_gradient": [{"backward": b, "form": f} for b, f in (("transposed", "fa"), ("copy", "dfa"))],
    "matching": [{"decay": 0.01}],
    "np": [
        {"baseline": b, "samples": k, "sigma": 0.2} for b, k in itertools.product((*BASELINES, "two_sided"), (1, 5))
    ],
    "anp": [{"baseline": b, "samples": k} for b, k in itertools.product(BASELINES, (1, 5))]
    + [{"baseline": "centred", "samples": 5, "sigma": 0.2}],
    "inp": [{"baseline": b, "samples": k, "sigma": 0.2} for b, k in itertools.product(BASELINES, (1, 5))],
    "wp": [{"baseline": b, "samples": k} for b, k in itertools.product(BASELINES, (1, 5))],
    "spsa": [{"samples": k} for k in (1, 5)],
    "reinforce": [
        {"baseline": b, "samples": k, "perturb": layers, "backward": way}
        for (b, k), (layers, way) in zip(
            itertools.product(BASELINES, (1, 5)),
            itertools.cycle([("output", "copy"), ("all", "transposed"), ("output", "transposed"), ("all", "copy")]),
            strict=False,
        )
    ],
    "canp": [{"baseline": b, "samples": 5} for b in BASELINES] + [{"covariance": "full", "samples": 1}],
    "identified": [{"baseline": b, "samples": k} for b, k in itertools.product(BASELINES, (1, 5))]
    + [
        {"estimator": "rls", "start": "zero", "output": "covariance"},
        {"knows_writes": False, "output": "power", "sigma": 0.2},
    ],
}

COMPANIONS = {"kappa": 0.3, "share": 0.5, "preserve_power": True, "where": "crossbar"}


def load_format():
    """The format of exchanges, from the script that replays them."""
    spec = importlib.util.spec_from_file_location("replay_exchange", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Recorder:
    """Hardware that passes everything on and writes it down. What it hands over is the copy that it keeps."""

    def __init__(self, rig, form):
        self._rig, self._form, self.log = rig, form, []
        self.network, self.chips, self.grants, self.limits = rig.network, rig.chips, rig.grants, rig.limits

    def _keep(self, kind, asked, answer=None):
        self.log.append({"kind": kind, "asked": self._form.plain(asked), "answer": self._form.plain(answer)})
        return self.log[-1]["answer"]

    def next_batch(self):
        self._rig.next_batch()
        self._keep("next_batch", None)

    def run(self, passes, samples=1):
        answer = self._keep("run", (passes, samples), self._rig.run(passes, samples))
        return tuple(self._form.observation(each) for each in answer)

    def backward(self, *vectors):
        return tuple(self._keep("backward", vectors, self._rig.backward(*vectors)))

    def write(self, writes):
        self._rig.write(writes)
        self._keep("write", writes)

    def set_periphery(self, periphery):
        self._rig.set_periphery(periphery)
        self._keep("set_periphery", periphery)


@pytest.fixture(scope="module")
def cases():
    """Name -> what a controller of each rule is made of, with and without decorrelation; some with a convolution."""
    found = {}
    for name, settings in SETTINGS.items():
        for index, (each, rate) in enumerate(itertools.product(settings, (None, 1e-2))):
            case = {
                "id": " ".join([name, *map(str, each.values()), "" if rate is None else "decorrelated"]).strip(),
                "rule": name,
                "settings": each,
                "decorrelation": rate,
                "optimizer": ("SGD", "Adam", "RMSprop")[index % 3],
                "rates": [0.02, 0.01],
                "chunk": (None, 2)[index // 3 % 2],
                "steps": STEPS,
            }
            found[case["id"]] = case
            if index < 2:
                convolutional = {**case, "id": f"{case['id']} convolutional", "convolutional": True}
                found[convolutional["id"]] = convolutional
            if index == 1:
                found[f"{name} companions"] = {**case, "id": f"{name} companions", "companions": COMPANIONS}
    return found


def record(lab, form, case):
    network = form.network_of({**case, "sizes": SIZES, "slope": SLOPE})
    bench = lab.bench(
        [network.inputs, network.outputs],
        lab.profile(read=1, bits=8),
        network=network,
        chips=2,
        batch=4,
        loss="cross_entropy",
        dtype=torch.float32,
    )
    recorder = Recorder(bench.rig, form)
    described = {
        **case,
        "sizes": SIZES,
        "slope": SLOPE,
        "grants": list(recorder.grants.names),
        "limits": form.plain(recorder.limits),
        "weights": bench.weights,
    }
    rule, controller = form.drive(recorder, described)
    return {**described, "log": recorder.log, "updates": rule.updates, "counters": form.plain(controller.counters)}


def test_every_rule_replays_from_its_saved_exchange(lab, cases, tmp_path):
    """One process for all of them. Writes, peripheries, updates and counters are compared with those saved."""
    assert SETTINGS.keys() == RULES.keys(), "a rule is not replayed"
    form = load_format()
    recorded = [record(lab, form, case) for case in cases.values()]
    for case in recorded:
        first, last = case["weights"], [each for each in case["log"] if each["kind"] == "write"][-1]["asked"]
        assert not any(torch.equal(a, b["target"]) for a, b in zip(first, last, strict=True)), case["id"]
    path = tmp_path / "exchange.pt"
    torch.save({"threads": torch.get_num_threads(), "cases": recorded}, path)
    done = subprocess.run([sys.executable, str(SCRIPT), str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(cases)
    for line, case in zip(lines, recorded, strict=True):
        updates = STEPS - ("companions" in case)  # with those a loss is a step late
        assert line == f"{case['id']} {len(case['log'])} {updates}"


@pytest.mark.parametrize("name", ["bp transposed", "anp centred 5 0.2 decorrelated", "np shared 1 0.2"])
def test_a_changed_observation_does_not_replay(lab, cases, name):
    """The comparison sees a small change of one number in the first answer."""
    form = load_format()
    case = record(lab, form, cases[name])
    answer = next(each for each in case["log"] if each["kind"] == "run")["answer"][0]
    answer["inputs"][0][0, 0, 0, 0] += 1e-3
    with pytest.raises(AssertionError, match="differs from what was saved"):
        form.drive(form.Replayed(case, case["log"]), case)


def test_a_replay_that_asks_for_something_else_is_noticed(lab, cases):
    form = load_format()
    case = record(lab, form, cases["np shared 1 0.2"])
    changed = {**case, "settings": {**case["settings"], "sigma": 0.3}}
    with pytest.raises(AssertionError, match="run differs from what was saved"):
        form.drive(form.Replayed(changed, case["log"]), changed)
