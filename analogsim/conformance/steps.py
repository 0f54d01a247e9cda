"""Steps of a rule on small chips, as the checks take them, and how they compare what comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from analogsim.conformance.bench import Bench, make_bench, profile
from analogsim.errors import RuleError
from analogsim.learning import Controller, Rule
from analogsim.learning.rule import Copy
from analogsim.network import LeakyReLU, Network, Stack
from analogsim.port import LayerUpdate, Observation, Periphery
from device_models import DeviceProfile

STEPS = 3
"""That move weights."""
NETWORK = Network.mlp([5, 7, 6, 3], LeakyReLU(0.1))
_LONGEST_LOOK = 1000


def bench_of(devices: DeviceProfile | None = None, **options: Any) -> Bench:
    """Chips of some devices, or of usual ones: 1 % of read noise, 8 bits; a `network` in place of the usual one."""
    return make_bench(options.pop("network", NETWORK), devices or profile(read=1, bits=8), **options)


def convolutional() -> Network:
    """With pooling and dropout, and a convolution whose patches do not overlap."""
    stack = Stack((1, 5, 4))
    stack.conv(2, 3, 1, 1, LeakyReLU(0.1))
    stack.max_pool(2, 1)
    stack.dropout(0.3)
    stack.conv(3, 2, 2, 0, LeakyReLU(0.1))
    stack.dense(3)
    return Network(tuple(stack.layers))


def generators(chips: Sequence[int]) -> list[torch.Generator]:
    """One for each chip, by its number."""
    return [torch.Generator().manual_seed(chip) for chip in chips]


def controller_on(
    made: Bench, rule: Rule, chips: Sequence[int] = (0, 1), rate: float = 0.01, **more: Any
) -> Controller:
    """Of these chips of a population, by plain gradient descent."""
    return Controller(made.rig, rule, made.weights, torch.optim.SGD, rate, generators=generators(chips), **more)


def looks(rule: Rule) -> int:
    """Steps before the first that moves weights."""
    for step in range(_LONGEST_LOOK):
        if rule.teaches(step):
            return step
    raise RuleError(f"`teaches` is false for the first {_LONGEST_LOOK} steps: it moves nothing")


def trained(made: Bench, rule: Rule, chips: Sequence[int] = (0, 1), **more: Any) -> Controller:
    """After the steps in which a rule only looks, and some that move weights."""
    controller = controller_on(made, rule, chips, **more)
    for _ in range(looks(rule) + STEPS):
        controller.step()
    return controller


def need(kept: bool, otherwise: str) -> None:
    """Raise RuleError with what is otherwise the case."""
    if not kept:
        raise RuleError(otherwise)


def close(a: Sequence[Tensor], b: Sequence[Tensor], rtol: float, atol: float) -> bool:
    """Whether all of them are equal up to rounding."""
    return all(torch.allclose(x, y, rtol=rtol, atol=atol) for x, y in zip(a, b, strict=True))


def same(a: Any, b: Any) -> bool:
    """Bit for bit; what is not a number equals itself."""
    if isinstance(a, tuple):
        return type(a) is type(b) and len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.dtype == b.dtype and torch.equal(a.isnan(), b.isnan()) and torch.equal(a.nan_to_num(), b.nan_to_num())
    return type(a) is type(b) and a == b


def cloned(value: Any) -> Any:
    """With tensors of its own."""
    if isinstance(value, tuple):
        parts = [cloned(each) for each in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return value.clone() if isinstance(value, Tensor) else value


def require_moves(controller: Controller, made: Bench) -> None:
    """Raise RuleError where a layer's weights are those of the beginning."""
    pairs = zip(controller.copy.weights, made.weights, strict=True)
    still = [index for index, (w, start) in enumerate(pairs) if torch.equal(w, start)]
    need(not still, f"{STEPS} steps moved no weight of layer {', '.join(map(str, still))}")


def seen_in_a_step(made: Bench, rule: Rule) -> tuple[Copy, Observation | None, list[Observation]]:
    """The controller's record, the baseline and the probes of a step."""
    rig, plan = made.rig, rule.plan(NETWORK)
    copy = Copy(NETWORK, tuple(made.weights), Periphery((None,) * NETWORK.depth), rig.limits)
    rig.next_batch()
    baseline = None if plan.baseline is None else rig.run((plan.baseline,))[0].clone()
    return copy, baseline, [each.clone() for each in rig.run(plan.probes, plan.samples)] if plan.probes else []


def update_of(
    rule: Rule, copy: Copy, baseline: Observation | None, probes: Sequence[Observation], state: Any
) -> tuple[tuple[LayerUpdate, ...], Any]:
    """A rule's updates by these observations, and its next state."""
    estimate = rule.estimate(baseline, probes, NETWORK)
    vector = rule.output_vector(baseline, estimate, copy, state)
    deltas = None
    if vector is not None:
        deltas = _sent_back(vector, rule.activities(baseline, estimate).pre_activations, copy.weights)
    return rule.update(baseline, estimate, deltas, copy, state)


def _sent_back(vector: Tensor, pre_activations: Sequence[Tensor], weights: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Backwards through the true weights: a chip would draw new noise."""
    deltas = [vector]
    for index in range(NETWORK.depth - 1, 0, -1):
        v = deltas[0] @ weights[index][:, :, : NETWORK.layers[index].fan_in]
        deltas.insert(0, v * NETWORK.layers[index - 1].activation.derivative(pre_activations[index - 1]))
    return tuple(deltas)


def slots(seen: Observation, batch: slice) -> Observation:
    """An observation with these batch elements only."""

    def cut(layers: tuple[Tensor, ...] | None) -> tuple[Tensor, ...] | None:
        return None if layers is None else tuple(each[:, :, batch] for each in layers)

    return seen._replace(
        loss=seen.loss[:, :, batch],
        inputs=cut(seen.inputs),
        pre_activations=cut(seen.pre_activations),
        injected=cut(seen.injected),
        output_error=None if seen.output_error is None else seen.output_error[:, :, batch],
        signals=cut(seen.signals),
    )
