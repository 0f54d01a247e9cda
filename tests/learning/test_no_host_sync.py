"""A step never waits for a GPU: nothing is brought to the host, nothing depends on a value there.

A step of chip, task, rig and controller runs on fake tensors of a device `cuda:0`, which need no GPU and hold no
numbers. A guard looks at every operation before it runs and refuses transfers between devices in either direction (a
copy from pageable memory waits for the stream as well), single values, and results whose size depends on values.

Covered: everything from one batch to the next, with chips, all rules, their baselines, chunks, decorrelation and
optimisers. Not covered: building and programming chips, evaluation, and the shuffle at the start of an epoch, which
is drawn on the CPU so that it is the same on every device, and crosses once an epoch by design; fake tensors also take
the optimisers' single-tensor path, where a GPU takes their `foreach` path.
"""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from typing import ClassVar
from unittest import mock

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from analogsim.chip import Chip, Mapping
from analogsim.learning import RULES, Controller, Decorrelation, WeightDecay
from analogsim.network import Network
from analogsim.port import Access
from analogsim.study.loss_channel import LossChannelSettings
from analogsim.study.rig import Rig
from analogsim.tasks import LOSSES, DataSet, Task
from device_models import DeviceProfile, load_profile

aten = torch.ops.aten
CUDA = torch.device("cuda:0")
BASELINES = ("clean", "shared", "pairs", "centred")
OPTIMIZERS = (torch.optim.Adam, torch.optim.SGD, torch.optim.RMSprop)


class RefusedError(Exception):
    """An operation that a host waits for."""


class Guard(TorchDispatchMode):
    """Refuses operations after which the host knows something that the GPU computed, or which wait for it."""

    def __init__(self):
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        tensors = [each for each in tree_leaves((args, kwargs)) if isinstance(each, torch.Tensor)]
        devices = {each.device.type for each in tensors if each.dim() > 0}
        self.operations += "cuda" in devices
        if any(each.device.type == "cuda" for each in tensors):
            if func.overloadpacket in (aten.index, aten.index_put, aten.index_put_):  # only masks need values
                refused = any(each.dtype in (torch.bool, torch.uint8) for each in tensors[1:])
            else:
                tags = torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape
                refused = any(tag in func.tags for tag in tags)
            if refused:
                raise RefusedError(f"{func} needs values")
        if len(devices) > 1:
            raise RefusedError(f"{func} mixes devices")
        result = func(*args, **kwargs)
        before = {each.device.type for each in tensors}
        after = {each.device.type for each in tree_leaves(result) if isinstance(each, torch.Tensor)}
        if len(before | after) > 1 and (after - before or "copy" in func.name()):
            raise RefusedError(f"{func} goes from {before} to {after}")
        return result


class Unguarded(TorchFunctionMode):
    """Takes the dispatcher's way where torch's binding asks for a device guard, which a build without CUDA lacks."""

    DETOURS: ClassVar = {torch.Tensor.__invert__: aten.bitwise_not.default, torch.Tensor.copy_: aten.copy_.default}

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in self.DETOURS:
            return self.DETOURS[func](*args, **(kwargs or {}))
        if func is torch.Tensor.__getitem__:
            view, indices = _view(*args)
            return view if indices is None else aten.index.Tensor(view, indices)
        if func is torch.Tensor.__setitem__:
            view, indices = _view(*args[:2])
            value = args[2] if isinstance(args[2], torch.Tensor) else torch.full((), args[2], device=view.device)
            return aten.copy_.default(view, value) if indices is None else aten.index_put_.default(view, indices, value)
        return func(*args, **(kwargs or {}))


def _view(x, index):
    """What slices, numbers, None and `...` select; and for lists and tensors the indices that are left, or None."""
    index = index if isinstance(index, tuple) else (index,)
    used = sum(each is not None and each is not Ellipsis for each in index)
    rest = (slice(None),) * (x.dim() - used)
    if Ellipsis in [each for each in index if not isinstance(each, torch.Tensor | list)]:
        at = next(i for i, each in enumerate(index) if each is Ellipsis)
        index = (*index[:at], *rest, *index[at + 1 :])
    indices, dim = [], 0
    for each in index:
        indices.append(None)
        if isinstance(each, int):
            x = aten.select.int(x, dim, each)
            indices.pop()
            continue
        if each is None:
            x = aten.unsqueeze.default(x, dim)
        elif isinstance(each, slice):
            x = aten.slice.Tensor(x, dim, each.start, each.stop, each.step or 1)
        else:
            indices[-1] = each if isinstance(each, torch.Tensor) else torch.tensor(each)
        dim += 1
    return x, (indices if any(each is not None for each in indices) else None)


def _contiguous(x, memory_format=torch.contiguous_format):
    """`Tensor.contiguous` without a device guard; torch's own decomposition of softmax calls it."""
    return x if x.is_contiguous(memory_format=memory_format) else aten.clone(x, memory_format=memory_format)


def _drawn(x, *args, generator=None):
    """`Tensor.uniform_`, which fake tensors of a GPU lack, by its neighbour."""
    return x.normal_(generator=generator)


@contextmanager
def fake_gpu():
    """Tensors of `cuda:0` that hold no numbers."""
    contiguous = mock.patch.object(torch.Tensor, "contiguous", _contiguous)
    with contiguous, mock.patch.object(torch.Tensor, "uniform_", _drawn), FakeTensorMode(), Unguarded():
        yield


def bench(
    *, seed=0, mapping=None, sampling="column", loss="cross_entropy", converters=True, device="noisy", channel=None
):
    """A rig on the fake GPU, in the middle of an epoch, and the weights of its chips."""
    network = Network.mlp([6, 5, 4])
    profile = load_profile(device) if isinstance(device, str) else DeviceProfile.from_data(device)
    if not converters:
        profile = profile.model_copy(update={"adc": None, "dac": None})
    chip = Chip(
        network, profile, 2, seed, CUDA, mapping=mapping, sampling=sampling, tile=4, generator=lambda device: None
    )
    weights = [torch.zeros(2, layer.columns, layer.rows, device=CUDA) for layer in network.layers]
    chip.program(weights)
    inputs, targets = torch.zeros(40, 6), torch.zeros(40, 4)
    task = Task(DataSet(inputs, targets, inputs, targets), LOSSES[loss], 5, [0, 0], [0, 1], CUDA, torch.float32)
    task.next_batch()  # the shuffle of the epoch
    oracle = Access.CLEAN_PASS | Access.OUTPUT_ERROR | Access.TRANSPOSED_READ | Access.WEIGHT_INJECTION
    return Rig(chip, task, oracle, channel=channel), weights


def guarded_step(
    rule, optimizer=torch.optim.Adam, decorrelation=None, chunk=None, writing="absolute", clock=0.0, **options
):
    """Run the first step under the guard; the controller, and how many operations were seen.

    With a clock that goes, in seconds a step, a step more.
    """
    with fake_gpu():
        rig, weights = bench(**options)
        controller = Controller(rig, rule, weights, optimizer, [0.1, 0.2], decorrelation, chunk, writing=writing)
        with Guard() as guard:
            controller.step()
            for _ in range(1 if clock else 0):
                rig.clock.advance(clock)
                controller.step()
    assert all(w.device == CUDA for w in controller.copy.weights)
    return controller, guard.operations


RULE_SETTINGS = [
    *(("bp", {"backward": backward}) for backward in ("transposed", "copy")),
    *(
        (name, {"baseline": baseline, "samples": samples})
        for name, baseline, samples in itertools.product(("np", "anp"), BASELINES, (1, 3))
    ),
    *(
        (name, {"baseline": baseline, "samples": samples})
        for name, (baseline, samples) in itertools.product(("inp", "wp", "reinforce"), (("shared", 1), ("centred", 3)))
    ),
    ("anp", {"baseline": "centred", "samples": 3, "sigma": 0.1}),
    ("np", {"baseline": "two_sided", "samples": 3}),
    ("spsa", {"samples": 2}),
    ("reinforce", {"baseline": "centred", "samples": 3, "backward": "transposed", "perturb": "all"}),
    ("canp", {"samples": 3}),
    ("canp", {"covariance": "full", "baseline": "pairs"}),
    ("identified", {"samples": 3}),
    ("identified", {"estimator": "rls", "output": "covariance"}),
    ("fa", {}),
    ("dfa", {}),
    ("learned_feedback", {"samples": 3}),
    ("learned_feedback", {"solver": "ridge", "baseline": "pairs"}),
    ("learned_feedback", {"form": "dfa"}),
    ("synthetic_gradient", {"backward": "copy"}),
    ("matching", {"decay": 0.1}),
]


@pytest.mark.parametrize(("name", "settings"), RULE_SETTINGS, ids=str)
def test_no_step_synchronises(name, settings):
    """Each rule and baseline; decorrelation, chunk and optimiser go round with them."""
    index = RULE_SETTINGS.index((name, settings))
    decorrelation = Decorrelation() if index % 2 else None
    _, operations = guarded_step(
        RULES[name](**settings), OPTIMIZERS[index % 3], decorrelation, (None, 2)[index // 2 % 2]
    )
    assert operations > 100


@pytest.mark.parametrize(
    ("name", "rule", "settings"),
    [
        ("np", {}, {"kappa": 0.5, "preserve_power": True}),
        ("bp", {}, {"share": 0.3, "layers": (1,)}),
        ("anp", {"samples": 3}, {"where": "crossbar", "kappa": 0.5, "preserve_power": True, "share": 0.3}),
    ],
    ids=str,
)
def test_no_companion_synchronises(name, rule, settings):
    """Variants of decorrelation, weight decay, a noisy channel of few bits, and losses that wait for two steps."""
    with fake_gpu():
        rig, weights = bench(channel=LossChannelSettings(bits=4, range=3.0, sigma=0.1))
        controller = Controller(
            rig,
            RULES[name](**rule),
            weights,
            torch.optim.Adam,
            0.1,
            Decorrelation(**settings),
            decay=WeightDecay(strength=0.1),
            delay=2,
            choosing=[None, None],
        )
        with Guard() as guard:
            for _ in range(4):
                controller.step()
    assert guard.operations > 100


def test_no_mispaired_channel_synchronises():
    with fake_gpu():
        rig, weights = bench(channel=LossChannelSettings(delay=2, mispaired=True))
        controller = Controller(rig, RULES["np"](), weights, torch.optim.SGD, 0.1)
        with Guard():
            for _ in range(4):
                controller.step()


def test_every_rule_is_tested():
    assert {name for name, _ in RULE_SETTINGS} == set(RULES)


@pytest.mark.parametrize(
    "options",
    [
        {"mapping": Mapping("follow")},
        {"mapping": Mapping("fixed", "column")},
        {"loss": "squared"},
        {"converters": False},
        {"sampling": "device"},
        {"device": "pcm"},
        {"device": "pcm", "mapping": Mapping("follow"), "sampling": "device"},
        {"device": "reram"},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["bp", "np"])
def test_no_chip_synchronises(name, options):
    guarded_step(RULES[name](), decorrelation=Decorrelation(), **options)


LIVING = {
    "name": "living",
    "conductance": {"max": "25 uS"},
    "update": {"kind": "soft_bounds", "dw_min": 0.004, "cycle_to_cycle": 0.3, "write_noise": 1.0},
    "endurance": {"cycles": 500, "spread": 0.3},
    "half_select": {"fraction": "1 %"},
    "read_disturb": {"rate": 1e-7},
    "faults": {"stuck_low": "1 %", "dead_rows": "1 %"},
    "wires": {"resistance": "1 ohm", "solve": "resummed"},
    "conduction": {"kappa": 0.5},
    "drift": {"kind": "constant", "t0": "1 s", "mean": 0.01},
    "read_noise": [
        {"sigma": "1 %"},
        {"kind": "flicker", "q": 0.005, "t_r": "250 ns", "t0": "20 s"},
        {"kind": "telegraph", "amplitude": "5 %", "tau": "0.1 s"},
        {"kind": "telegraph", "amplitude": "5 %", "tau": "5 us"},
        {"kind": "lorentzian", "sigma": "1 %", "tau": "3 us"},
        {"kind": "lorentzian", "sigma": "1 %", "tau": "1 s"},
    ],
    "dac": {"bits": 6, "range": 3, "encoding": "bit_serial", "polarity": "two_phase"},
    "adc": {"bits": 6, "range": 5, "gain_error": "2 %"},
    "unit_noise": {"kind": "telegraph", "amplitude": 0.01, "flip": "8 %"},
}


@pytest.mark.parametrize(
    ("name", "cell", "writing"),
    [
        ("bp", "pair", "in_memory"),
        ("anp", "reference", "mixed_precision"),
        ("np", "pair", "absolute"),
    ],
)
def test_no_chip_that_lives_synchronises(name, cell, writing):
    """Pulses, wear, faults, drift, noise that wanders while the clock goes, converters with errors."""
    guarded_step(RULES[name](), torch.optim.SGD, writing=writing, clock=0.05, device={**LIVING, "cell": cell})


@pytest.mark.parametrize("optimizer", [*OPTIMIZERS, torch.optim.AdamW])
def test_no_optimiser_synchronises(optimizer):
    """Also after its first step. Adam counts its steps on the GPU."""
    with fake_gpu():
        rig, weights = bench()
        controller = Controller(rig, RULES["anp"](), weights, optimizer, 0.1)
        with Guard():
            controller.step()
            controller.step()
    for state in controller._optimizer.state.values():
        assert all(value.device == CUDA for value in state.values() if isinstance(value, torch.Tensor))


def test_a_new_epoch_crosses_once():
    """The one transfer that is known: the order of an epoch, on its way to the GPU."""
    with fake_gpu():
        rig, _ = bench()
        crossings = []
        for _ in range(3 * rig.task.steps_per_epoch):
            try:
                with Guard():
                    rig.next_batch()
            except RefusedError as refusal:
                crossings.append(str(refusal))
                rig.next_batch()
    assert crossings == ["aten._to_copy.default goes from {'cpu'} to {'cuda'}"] * 3


DELIBERATE = {
    "item": lambda x: x.sum().item(),
    "float": lambda x: float(x.sum()),
    "bool": lambda x: bool((x > 0).any()),
    "if": lambda x: 1 if x.sum() > 0 else 2,
    "tolist": lambda x: x.tolist(),
    "cpu": lambda x: x.cpu(),
    "to cpu, not blocking": lambda x: x.to("cpu", non_blocking=True),
    "copy into a CPU tensor": lambda x: torch.zeros(3).copy_(x),
    "from the host": lambda x: torch.ones(3).to(x.device),
    "a new tensor of host values": lambda x: x.new_tensor([1.0, 2.0]),
    "nonzero": lambda x: x.nonzero(),
    "a mask": lambda x: x[x > 0],
    "assignment by mask": lambda x: x.index_put_((x > 0,), torch.ones(3, device=x.device)),
    "masked_select": lambda x: x.masked_select(x > 0),
    "unique": lambda x: x.unique(),
    "an index from the host": lambda x: x[torch.tensor([0, 2])],
    "a list as an index": lambda x: x[[0, 2]],
    "equal": lambda x: torch.equal(x, x.clone()),
    "allclose": lambda x: torch.allclose(x, x.clone()),
}


@pytest.mark.parametrize("name", DELIBERATE)
def test_the_guard_refuses(name):
    with fake_gpu(), Guard():
        x = torch.zeros(3, device=CUDA)
        with pytest.raises((RefusedError, RuntimeError), match=r"needs values|mixes|goes from|not linked"):
            DELIBERATE[name](x)


ALLOWED = {
    "where with numbers": lambda x: torch.where(x > 0, 1.0, x),
    "a mask as a factor": lambda x: x * (x > 0),
    "fill by mask": lambda x: x.masked_fill(x > 0, 0.0),
    "a slice": lambda x: x[1:],
    "an index on the GPU": lambda x: x[torch.zeros(2, dtype=torch.int64, device=x.device)],
    "another dtype": lambda x: x.to(torch.float64),
    "a number on the CPU": lambda x: x * torch.tensor(2.0),
    "isfinite": lambda x: x.isfinite().all(),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_the_guard_lets_through(name):
    with fake_gpu(), Guard():
        x = torch.zeros(3, device=CUDA)
        assert ALLOWED[name](x).device == CUDA


class Peeking:
    """A rule that reads a value."""

    def __init__(self, rule):
        self._rule = rule

    def __getattr__(self, name):
        return getattr(self._rule, name)

    def update(self, baseline, estimate, deltas, copy, state):
        if baseline.loss.mean() > 0:
            return self._rule.update(baseline, estimate, deltas, copy, state)
        raise AssertionError("unreachable: the guard refuses the question")


def test_a_rule_that_peeks_is_refused():
    with fake_gpu():
        rig, weights = bench()
        controller = Controller(rig, Peeking(RULES["anp"]()), weights, torch.optim.SGD, 0.1)
        with pytest.raises(RefusedError, match="_local_scalar_dense"), Guard():
            controller.step()
