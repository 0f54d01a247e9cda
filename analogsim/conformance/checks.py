"""The checks: each runs a rule on small chips and raises where it does not keep what every rule keeps.

They rest on what runs rely on: chips of a population are independent, all that a rule remembers is its state, what it
needs is what it says; and on a convention, that an update in factors is the mean over its batch.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from analogsim.conformance.bench import make_bench, profile
from analogsim.conformance.steps import (
    NETWORK,
    STEPS,
    bench_of,
    cloned,
    close,
    controller_on,
    convolutional,
    generators,
    looks,
    need,
    require_moves,
    same,
    seen_in_a_step,
    slots,
    trained,
    update_of,
)
from analogsim.errors import RuleError
from analogsim.learning import Decorrelation, Rule
from analogsim.port import Access, AccessError
from analogsim.study.schema import StageBase, arm_of_rule

_TWINS = 1500

Check = Callable[[Rule], str | None]
"""Raises RuleError with what is wrong; returns why it does not ask anything of this rule, or None."""


def describes_itself(rule: Rule) -> None:
    """It has a title, a paper, words on its memory, a docstring, and settings that say what they are and fit an arm."""
    kind = type(rule)
    for word in ("title", "paper", "memory"):
        need(bool(getattr(kind, word)), f"its {word} is empty")
    need("memory" in vars(kind), "it must say itself what it holds beyond the copy: `memory`")
    need(bool(kind.__doc__), f"class {kind.__name__} has no docstring: it is what `rules show` prints")
    silent = [name for name, field in kind.model_fields.items() if not field.description]
    need(not silent, f"settings without a docstring: {', '.join(silent)}")
    arm_of_rule(kind.name, kind, StageBase)


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
    places = re.findall(r'File "([^"<]+)", line (\d+)', done.stderr)
    where = next((f" ({file}:{line})" for file, line in reversed(places) if "conformance" not in file), "")
    need(done.returncode == 0, f"its module {type(rule).__module__} cannot be imported before the wall: {last}{where}")


def asks_for_what_it_needs(rule: Rule) -> None:
    """It runs with no more than `requires`, and makes use of all of it."""
    planned = rule.plan(NETWORK).access
    beyond = planned & ~rule.requires
    need(not beyond, f"its plan takes {', '.join(beyond.names)}, which `requires` does not name")
    made = make_bench(NETWORK, profile(read=1), oracle=rule.requires)
    made.rig.grants = rule.requires
    with mock.patch.object(made.rig, "backward", wraps=made.rig.backward) as backward:
        try:
            trained(made, rule)
        except AccessError as error:
            raise RuleError(f"it takes more than `requires` names: {error}") from None
    unused = rule.requires & ~(planned | (Access.TRANSPOSED_READ if backward.called else Access(0)))
    need(
        not unused,
        f"`requires` names {', '.join(unused.names)}, which it makes no use of: chips that do not grant it are refused",
    )


def repeats_itself(rule: Rule) -> None:
    """Equal seeds give equal weights and states, bit for bit, and something is learned."""
    first, second = (trained(bench_of(), rule) for _ in range(2))
    kept = same(first.copy.weights, second.copy.weights) and same(first.state, second.state)
    need(
        kept,
        "two trainings with equal seeds differ: what it draws, it draws in `init` from the generators given there, and "
        "nothing is remembered but the state, which holds tensors and numbers, no generators",
    )
    require_moves(first, bench_of())


def keeps_chips_apart(rule: Rule) -> None:
    """A chip learns the same alone and among others."""
    together, alone = trained(bench_of(chips=3), rule, (0, 1, 2)), trained(bench_of(chips=[1]), rule, (1,))
    kept = close([w[1:2] for w in together.copy.weights], alone.copy.weights, 1e-10, 1e-13)
    need(kept, "chip 1 of three learns otherwise than alone: some operation mixes chips, the leading dimension")


def keeps_a_sick_chip_apart(rule: Rule) -> None:
    """A chip whose loss is not a number is frozen, and the others go on, bit for bit."""
    well, sick = bench_of(), bench_of()
    sick.task.targets[0] = torch.nan
    first, second = trained(well, rule), trained(sick, rule)
    need(second.diverged.tolist() == [True, False], "a loss that is not a number spreads to other chips")
    kept = all(torch.equal(a[1], b[1]) for a, b in zip(first.copy.weights, second.copy.weights, strict=True))
    need(kept, "beside a chip whose loss is not a number, another learns otherwise")


def is_the_mean_of_a_batch(rule: Rule) -> str | None:
    """An update in factors is the mean of those of both halves of a batch, from the same observations and state."""
    made = bench_of(batch=6)
    copy, baseline, probes = seen_in_a_step(made, rule)

    def directions(batch: slice, state: Any) -> tuple[list[Tensor] | None, Any]:
        part = None if baseline is None else slots(baseline, batch)
        updates, after = update_of(rule, copy, part, [slots(each, batch) for each in probes], state)
        factored = all(each.dense is None for each in updates)
        return [each.direction().clone() for each in updates] if factored else None, after

    state = rule.init(copy, generators((0, 1)))
    for _ in range(looks(rule) + 1):
        _, state = directions(slice(None), state)
    whole, first, second = (directions(part, state)[0] for part in (slice(None), slice(0, 3), slice(3, None)))
    if whole is None or first is None or second is None:
        return "its updates are dense matrices, without factors"
    zero = [index for index, each in enumerate(whole) if not each.any()]
    need(not zero, f"the update of layer {', '.join(map(str, zero))} is zero")
    mean = [(a + b) / 2 for a, b in zip(first, second, strict=True)]
    need(close(whole, mean, 1e-9, 1e-12), "the update of six samples is not the mean of those of three and three")
    return None


def leaves_alone_what_it_is_given(rule: Rule) -> None:
    """It changes neither observations nor the state nor the copy.

    Diagnostics ask for updates and throw them away; decorrelation looks at the same observations afterwards.
    """
    made = bench_of()
    copy, baseline, probes = seen_in_a_step(made, rule)
    state = rule.init(copy, generators((0, 1)))
    for _ in range(looks(rule) + 1):
        given = {"state": state, "weights": copy.weights, "baseline": baseline, "probes": tuple(probes)}
        before = cloned(tuple(given.values()))
        _, state = update_of(rule, copy, baseline, probes, state)
        changed = [what for (what, now), old in zip(given.items(), before, strict=True) if not same(now, old)]
        need(not changed, f"it changes the {', '.join(changed)} that it is given in place: make new tensors")


def is_the_same_in_chunks(rule: Rule) -> str | None:
    """Samples that are run in chunks, to save memory, give what they give at once.

    Without converters: where codes add up to exactly 0, rounding decides the derivative of a kinked function there.
    """
    if rule.plan(NETWORK).samples == 1:
        return "it takes one sample a step; with more, check it again by --set"
    whole, parts = (trained(bench_of(profile(read=1)), rule, chunk=chunk) for chunk in (None, 1))
    kept = close(whole.copy.weights, parts.copy.weights, 1e-9, 1e-12)
    need(kept, "samples one by one teach otherwise than at once: `merge` of its estimate is not exact")
    return None


def survives_an_interruption(rule: Rule) -> None:
    """Another controller and another rule object go on from a checkpoint as if nothing had been."""
    undisturbed = trained(bench_of(), rule)
    made = bench_of()
    before = trained(made, rule)
    file = io.BytesIO()
    torch.save(before.state_dict(), file)
    file.seek(0)
    after = controller_on(made, type(rule).model_validate(rule.model_dump()))
    after.load_state_dict(torch.load(file, weights_only=True))
    for controller in (undisturbed, after):
        for _ in range(2):
            controller.step()
    kept = same(undisturbed.state, after.state) and same(undisturbed.copy.weights, after.copy.weights)
    need(
        kept,
        "after a checkpoint it goes on otherwise: a state is a NamedTuple of tensors, numbers and tuples of them, as "
        "many as `init` gives, and nothing is remembered beside it",
    )


def is_finite_at_the_ends_of_ranges(rule: Rule) -> None:
    """Updates are finite without any noise through coarse converters, and where these clip nearly everything."""
    ends = (
        (profile(bits=4), "without noise, through converters of 4 bits"),
        (profile(1, bits=4, dac=1.0, adc=0.05), "where converters clip nearly everything"),
    )
    for (devices, where), dtype in product(ends, (torch.float32, torch.float64)):
        controller = trained(bench_of(devices, dtype=dtype), rule)
        finite = not controller.diverged.any() and all(w.isfinite().all() for w in controller.copy.weights)
        need(finite, f"its updates are not finite {where}: divide by a power only where there is one")
        counted = bool((controller.counters.silent <= controller.counters.vectors).all())
        need(counted, f"it counts more silent vectors than there are {where}")


def learns_convolutions(rule: Rule) -> None:
    """It learns on a network with convolutions, pooling and dropout, in float32."""
    made = bench_of(network=convolutional(), dtype=torch.float32)
    controller = trained(made, rule)
    need(not controller.diverged.any(), "its updates of convolutions are not finite")
    require_moves(controller, made)


def learns_with_decorrelation(rule: Rule) -> None:
    """It learns with decorrelated layer inputs, too, dense layers and convolutions, and R moves."""
    for network in (NETWORK, convolutional()):
        made = bench_of(network=network)
        controller = trained(made, rule, decorrelation=Decorrelation(rate=0.01))
        need(not controller.diverged.any(), "with decorrelation its updates are not finite")
        require_moves(controller, made)
        for index, r in enumerate(controller.copy.periphery.decorrelation):
            assert r is not None
            one = torch.eye(r.shape[1], dtype=r.dtype).expand_as(r)
            need(not torch.equal(r, one), f"with decorrelation R of layer {index} does not move")


def goes_downhill(rule: Rule) -> None:
    """On average over the noise, its updates have a positive product with the true gradient, and nowhere a negative.

    n = 1500 chips with the same weights and data, which differ in their noise and in what a rule draws, after three
    steps of a rate that moves next to nothing. t is a mean product over its standard error, of each layer and of all of
    them: the largest has to exceed 5 (four tests: p = 1e-6), and none may lie below -5.
    """
    made = bench_of(profile(read=1), chips=_TWINS, alike=True)
    controller = controller_on(made, rule, range(_TWINS), 1e-12)
    for _ in range(looks(rule) + STEPS):
        controller.step()
    updates = controller.directions_on(made.rig)
    layers = [(a * b).flatten(1).sum(1) for a, b in zip(updates, made.rig.gradient().weights, strict=True)]
    products = torch.stack([*layers, torch.stack(layers).sum(0)])
    error = (products.std(1) / _TWINS**0.5).clamp(min=1e-9 * products.abs().mean())  # rules without noise have none
    t = products.mean(1) / error
    each = ", ".join(f"{value:.1f}" for value in t[:-1])
    need(
        bool(t.max() > 5 and t.min() > -5),
        f"its mean update does not go downhill (t by layer {each} over {_TWINS} chips, all {t[-1]:.1f}): directions "
        "are subtracted, so they must be along the gradient; feedback that all chips share may by itself point uphill",
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
        leaves_alone_what_it_is_given,
        is_the_same_in_chunks,
        survives_an_interruption,
        is_finite_at_the_ends_of_ranges,
        learns_convolutions,
        learns_with_decorrelation,
        goes_downhill,
    )
}
"""By what they say of a rule, in the order in which they are run."""
