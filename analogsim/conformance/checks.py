"""The checks: each runs a rule on small chips and raises where it does not keep what every rule keeps.

They rest on what a controller relies on: chips of a population are independent, an update is the mean over its batch,
all that a rule remembers is its state, and what it needs is what it says.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from analogsim.conformance.bench import EVERYTHING, Bench, make_bench, profile
from analogsim.errors import RuleError
from analogsim.learning import Controller, Rule
from analogsim.learning.rule import Copy
from analogsim.learning.state import plain, restored
from analogsim.network import LeakyReLU, Network, Stack
from analogsim.port import Access, AccessError, Observation, Periphery
from device_models import DeviceProfile

Check = Callable[[Rule], None]

_STEPS = 3
_NETWORK = Network.mlp([5, 7, 6, 3], LeakyReLU(0.1))
_TWINS = 1500


def _bench(devices: DeviceProfile | None = None, **options: Any) -> Bench:
    return make_bench(_NETWORK, devices or profile(read=1, bits=8), **options)


def _generators(chips: Sequence[int]) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(chip) for chip in chips]


def _controller(made: Bench, rule: Rule, chips: Sequence[int], rate: float, chunk: int | None = None) -> Controller:
    return Controller(made.rig, rule, made.weights, torch.optim.SGD, rate, chunk=chunk, generators=_generators(chips))


def _trained(made: Bench, rule: Rule, chips: Sequence[int] = (0, 1), chunk: int | None = None) -> Controller:
    controller = _controller(made, rule, chips, 0.01, chunk)
    for _ in range(_STEPS):
        controller.step()
    return controller


def _need(kept: bool, otherwise: str) -> None:
    if not kept:
        raise RuleError(otherwise)


def _close(a: Sequence[Tensor], b: Sequence[Tensor], rtol: float, atol: float) -> bool:
    return all(torch.allclose(x, y, rtol=rtol, atol=atol) for x, y in zip(a, b, strict=True))


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, tuple):
        return type(a) is type(b) and len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    return torch.equal(a, b) if isinstance(a, Tensor) else a == b


def describes_itself(rule: Rule) -> None:
    """It has a title, a paper, words on its memory, a docstring, and every setting says what it is."""
    kind = type(rule)
    for word in ("title", "paper", "memory"):
        _need(bool(getattr(kind, word)), f"its {word} is empty")
    _need("memory" in vars(kind), "it must say itself what it holds beyond the copy: `memory`")
    _need(bool(kind.__doc__), f"class {kind.__name__} has no docstring: it is what `rules show` prints")
    silent = [name for name, field in kind.model_fields.items() if not field.description]
    _need(not silent, f"settings without a docstring: {', '.join(silent)}")


def stays_before_the_wall(rule: Rule) -> None:
    """Its module can be imported where nothing behind the wall can: no chip, no task, no device."""
    code = (
        "import importlib, sys\n"
        "from analogsim.conformance.wall import Wall\n"
        "sys.meta_path.insert(0, Wall())\n"
        "importlib.import_module(sys.argv[1])\n"
    )
    path = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", code, type(rule).__module__],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    last = (done.stderr.strip() or "nothing").rsplit("\n", 1)[-1]
    _need(done.returncode == 0, f"its module {type(rule).__module__} cannot be imported before the wall: {last}")


def asks_for_what_it_needs(rule: Rule) -> None:
    """It runs with no more than `requires`, and needs every part of it."""
    planned = rule.plan(_NETWORK).access & ~rule.requires
    _need(not planned, f"its plan takes {', '.join(planned.names)}, which `requires` does not name")
    made = make_bench(_NETWORK, profile(read=1), oracle=rule.requires)
    made.rig.grants = rule.requires
    try:
        for _ in range(_STEPS):
            _controller(made, rule, (0, 1), 0.01).step()
    except AccessError as error:
        raise RuleError(f"it takes more than `requires` names: {error}") from None
    for flag in Access:
        if flag in rule.requires:
            made.rig.grants = EVERYTHING & ~flag
            try:
                _controller(made, rule, (0, 1), 0.01)
            except AccessError:
                continue
            raise RuleError(f"it is not refused where {', '.join(flag.names)} is missing")


def repeats_itself(rule: Rule) -> None:
    """Equal seeds give equal weights and states, bit for bit, and something is learned."""
    first, second = (_trained(_bench(), rule) for _ in range(2))
    kept = _same(first.copy.weights, second.copy.weights) and _same(first.state, second.state)
    _need(
        kept,
        "two trainings with equal seeds differ: random numbers come from the generators of `init` alone, and nothing "
        "is remembered but the state",
    )
    start = _bench().weights
    still = [index for index, w in enumerate(first.copy.weights) if torch.equal(w, start[index])]
    _need(not still, f"{_STEPS} steps moved no weight of layer {', '.join(map(str, still))}")


def keeps_chips_apart(rule: Rule) -> None:
    """A chip learns the same alone and among others."""
    together, alone = _trained(_bench(chips=3), rule, (0, 1, 2)), _trained(_bench(chips=[1]), rule, (1,))
    kept = _close([w[1:2] for w in together.copy.weights], alone.copy.weights, 1e-10, 1e-13)
    _need(kept, "chip 1 of three learns otherwise than alone: some operation mixes chips, the leading dimension")


def keeps_a_sick_chip_apart(rule: Rule) -> None:
    """A chip whose loss is not a number is frozen, and the others go on, bit for bit."""
    well, sick = _bench(), _bench()
    sick.task.targets[0] = torch.nan
    first, second = _trained(well, rule), _trained(sick, rule)
    _need(second.diverged.tolist() == [True, False], "a loss that is not a number spreads to other chips")
    kept = all(torch.equal(a[1], b[1]) for a, b in zip(first.copy.weights, second.copy.weights, strict=True))
    _need(kept, "beside a chip whose loss is not a number, another learns otherwise")


def is_the_mean_of_a_batch(rule: Rule) -> None:
    """The update of a batch is the mean of those of its halves, from the same observations and state."""
    made = _bench(batch=6)
    rig, plan = made.rig, rule.plan(_NETWORK)
    copy = Copy(_NETWORK, tuple(made.weights), Periphery((None,) * _NETWORK.depth), rig.limits)
    rig.next_batch()
    baseline = None if plan.baseline is None else rig.run((plan.baseline,))[0].clone()
    probes = [each.clone() for each in rig.run(plan.probes, plan.samples)] if plan.probes else []

    def directions(batch: slice, state: Any) -> tuple[list[Tensor], Any]:
        part = None if baseline is None else _slots(baseline, batch)
        estimate = rule.estimate(part, [_slots(each, batch) for each in probes], _NETWORK)
        vector = rule.output_vector(part, estimate, copy, state)
        deltas = None if vector is None else _sent_back(vector, rule, part, made.weights)
        updates, after = rule.update(part, estimate, deltas, copy, state)
        return [each.direction().clone() for each in updates], after

    _, state = directions(slice(None), rule.init(copy, _generators((0, 1))))  # some only look in their first step
    whole, first, second = (directions(part, state)[0] for part in (slice(None), slice(0, 3), slice(3, None)))
    zero = [index for index, each in enumerate(whole) if not each.any()]
    _need(not zero, f"the update of layer {', '.join(map(str, zero))} is zero")
    mean = [(a + b) / 2 for a, b in zip(first, second, strict=True)]
    _need(_close(whole, mean, 1e-9, 1e-12), "the update of six samples is not the mean of those of three and three")


def _sent_back(
    vector: Tensor, rule: Rule, baseline: Observation | None, weights: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """Backwards through the true weights: a chip would draw new noise."""
    assert baseline is not None and baseline.pre_activations is not None, f"{rule.name} sends back without a baseline"
    deltas = [vector]
    for index in range(_NETWORK.depth - 1, 0, -1):
        v = deltas[0] @ weights[index][:, :, : _NETWORK.layers[index].fan_in]
        a = baseline.pre_activations[index - 1][:, 0]
        deltas.insert(0, v * _NETWORK.layers[index - 1].activation.derivative(a))
    return tuple(deltas)


def _slots(seen: Observation, batch: slice) -> Observation:
    """An observation with these batch elements only."""

    def cut(layers: tuple[Tensor, ...] | None) -> tuple[Tensor, ...] | None:
        return None if layers is None else tuple(each[:, :, batch] for each in layers)

    return seen._replace(
        loss=seen.loss[:, :, batch],
        inputs=cut(seen.inputs),
        pre_activations=cut(seen.pre_activations),
        injected=cut(seen.injected),
        output_error=None if seen.output_error is None else seen.output_error[:, :, batch],
    )


def is_the_same_in_chunks(rule: Rule) -> None:
    """Samples that are run in chunks, to save memory, give what they give at once.

    Without converters: where codes add up to exactly 0, rounding decides the derivative of a kinked function there.
    """
    whole, parts = (_trained(_bench(profile(read=1)), rule, chunk=chunk) for chunk in (None, 2))
    kept = _close(whole.copy.weights, parts.copy.weights, 1e-9, 1e-12)
    _need(kept, "samples in chunks of two teach otherwise than at once: `merge` of its estimate is not exact")


def survives_an_interruption(rule: Rule) -> None:
    """Its state comes back from a checkpoint as it was."""
    made = _bench()
    controller = _trained(made, rule)
    file = io.BytesIO()
    torch.save(plain(controller.state), file)
    file.seek(0)
    begun = rule.init(controller.copy, _generators((0, 1)))
    back = restored(begun, torch.load(file, weights_only=True))
    _need(
        _same(controller.state, back),
        "a checkpoint does not bring its state back: a state is a NamedTuple of tensors, numbers and tuples of them",
    )


def is_finite_at_the_ends_of_ranges(rule: Rule) -> None:
    """Updates are finite without any noise through coarse converters, and where these clip nearly everything."""
    for devices, where in (
        (profile(bits=4), "without noise, through converters of 4 bits"),
        (profile(1, bits=4, dac=1.0, adc=0.05), "where converters clip nearly everything"),
    ):
        controller = _trained(_bench(devices), rule)
        finite = not controller.diverged.any() and all(w.isfinite().all() for w in controller.copy.weights)
        _need(finite, f"its updates are not finite {where}: divide by a power only where there is one")
        counted = bool((controller.counters.silent <= controller.counters.vectors).all())
        _need(counted, f"it counts more silent vectors than there are {where}")


def learns_convolutions(rule: Rule) -> None:
    """It learns on a network with a convolution, pooling and dropout."""
    stack = Stack((1, 5, 4))
    stack.conv(2, 3, 1, 1, LeakyReLU(0.1))
    stack.max_pool(2, 1)
    stack.dropout(0.3)
    stack.conv(3, 2, 2, 0, LeakyReLU(0.1))
    stack.dense(3)
    made = make_bench(Network(tuple(stack.layers)), profile(read=1, bits=8))
    controller = _trained(made, rule)
    _need(not controller.diverged.any(), "its updates of convolutions are not finite")
    moved = [not torch.equal(w, start) for w, start in zip(controller.copy.weights, made.weights, strict=True)]
    _need(all(moved), f"{_STEPS} steps moved no weight of layer {moved.index(False) if False in moved else ''}")


def goes_downhill(rule: Rule) -> None:
    """On average over the noise, its updates have a positive product with the true gradient.

    n = 1500 chips with the same weights and data, which differ in their noise alone, after three steps of a rate that
    moves next to nothing. t is a mean product over its standard error, of each layer and of all of them: the largest
    has to exceed 5 (four tests: p = 1e-6), and that of all layers must not lie below -5.
    """
    made = _bench(profile(read=1), chips=_TWINS, alike=True)
    controller = _controller(made, rule, range(_TWINS), 1e-12)
    for _ in range(_STEPS):
        controller.step()
    updates = controller.directions_on(made.rig)
    layers = [(a * b).flatten(1).sum(1) for a, b in zip(updates, made.rig.gradient().weights, strict=True)]
    products = torch.stack([*layers, torch.stack(layers).sum(0)])
    error = (products.std(1) / _TWINS**0.5).clamp(min=1e-9 * products.abs().mean())  # rules without noise have none
    t = products.mean(1) / error
    _need(
        bool(t.max() > 5 and t[-1] > -5),
        f"its mean update does not go downhill (t = {t[-1]:.1f} over {_TWINS} chips): directions are subtracted, so "
        "they must be along the gradient",
    )


CHECKS: dict[str, Check] = {
    check.__name__.replace("_", " "): check
    for check in (
        describes_itself,
        stays_before_the_wall,
        asks_for_what_it_needs,
        repeats_itself,
        keeps_chips_apart,
        keeps_a_sick_chip_apart,
        is_the_mean_of_a_batch,
        is_the_same_in_chunks,
        survives_an_interruption,
        is_finite_at_the_ends_of_ranges,
        learns_convolutions,
        goes_downhill,
    )
}
"""By what they say of a rule, in the order in which they are run."""
