"""Replays saved exchanges in a process that can import nothing behind the wall: `python replay_exchange.py FILE`.

Also the format, which the recording side imports: an exchange is plain data, tensors, numbers and names.
"""

from __future__ import annotations

import sys

from analogsim.conformance.wall import FORBIDDEN, Wall

if __name__ == "__main__":
    sys.meta_path.insert(0, Wall())

import dataclasses
import importlib

import torch

from analogsim.learning import RULES, Controller, Decorrelation, WeightDecay
from analogsim.network import LeakyReLU, Network, Stack
from analogsim.port import Access, Limits, Observation


def plain(value):
    """A value that crosses, as data that needs no class of ours: tensors, tuples, dicts, numbers, names."""
    if isinstance(value, torch.Tensor):
        return value.clone()
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: plain(field) for name, field in value._asdict().items()}
    if dataclasses.is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple | list):
        return [plain(each) for each in value]
    assert value is None or isinstance(value, bool | int | float | str), type(value)
    return value


def same(a, b) -> bool:
    """Whether two plain values are equal, tensors bit for bit."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return type(a) is type(b) and a == b


def observation(data) -> Observation:
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
    return Observation(**fields)


def network_of(case) -> Network:
    """The network of a case: a multi-layer perceptron, or a small one with a convolution, pooling and dropout."""
    if not case.get("convolutional"):
        return Network.mlp(case["sizes"], LeakyReLU(case["slope"]))
    stack = Stack((1, 5, 4))
    stack.conv(2, 3, 1, 1, LeakyReLU(case["slope"]))
    stack.max_pool(2, 1)
    stack.dropout(0.3)
    stack.conv(3, 2, 2, 0, LeakyReLU(case["slope"]))
    stack.dense(3)
    return Network(tuple(stack.layers))


class Watched:
    """A rule that writes down its updates."""

    def __init__(self, rule):
        self._rule, self.updates = rule, []

    def __getattr__(self, name):
        return getattr(self._rule, name)

    def update(self, *arguments):
        updates, state = self._rule.update(*arguments)
        self.updates.append(plain(updates))
        return updates, state


def drive(hardware, case):
    """Run the controller that a case describes: its watched rule and the controller."""
    rule = Watched(RULES[case["rule"]](**case["settings"]))
    rate, more = case["decorrelation"], case.get("companions")
    controller = Controller(
        hardware,
        rule,
        case["weights"],
        getattr(torch.optim, case["optimizer"]),
        case["rates"],
        None if rate is None else Decorrelation(rate=rate, **(more or {})),
        case["chunk"],
        decay=WeightDecay(strength=0.5) if more else None,
        delay=1 if more else 0,
    )
    for _ in range(case["steps"]):
        controller.step()
    return rule, controller


class Replayed:
    """Hardware that answers from a saved exchange and compares what it is told with what was saved."""

    def __init__(self, case, log):
        self.network = network_of(case)
        self.chips = len(case["weights"][0])
        self.grants = Access.of(*case["grants"])
        self.limits = Limits(**{name: tuple(each) for name, each in case["limits"].items()})
        self._log = iter(log)
        self.compared = 0

    def _next(self, kind, asked):
        saved = next(self._log)
        assert saved["kind"] == kind, f"{kind} where {saved['kind']} was saved"
        assert same(saved["asked"], plain(asked)), f"{kind} differs from what was saved"
        self.compared += 1
        return saved["answer"]

    def next_batch(self):
        self._next("next_batch", None)

    def run(self, passes, samples=1):
        return tuple(observation(each) for each in self._next("run", (passes, samples)))

    def backward(self, *vectors):
        return tuple(self._next("backward", vectors))

    def write(self, writes):
        self._next("write", writes)

    def set_periphery(self, periphery):
        self._next("set_periphery", periphery)

    def finish(self):
        assert next(self._log, None) is None, "the saved exchange went on"


def main(path) -> None:
    for name in FORBIDDEN:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
        raise AssertionError(f"{name} could be imported: this replay proves nothing")
    saved = torch.load(path, weights_only=True)  # plain data: no class of ours was needed to read it
    torch.set_num_threads(saved["threads"])
    for case in saved["cases"]:
        hardware = Replayed(case, case["log"])
        rule, controller = drive(hardware, case)
        hardware.finish()
        assert same(case["updates"], rule.updates), f"updates of {case['id']} differ"
        assert same(case["counters"], plain(controller.counters)), f"counters of {case['id']} differ"
        print(case["id"], hardware.compared, len(rule.updates))  # noqa: T201
    behind = [name for name in sys.modules if any(name == f or name.startswith(f"{f}.") for f in FORBIDDEN)]
    assert not behind, behind


if __name__ == "__main__":
    main(sys.argv[1])
