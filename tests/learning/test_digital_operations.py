"""What rules compute digitally: counts against the matrix products that they are seen to form."""

from __future__ import annotations

import functools
import operator

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from analogsim.learning import RULES, Controller, Decorrelation, WeightDecay, WeightNormalisation
from analogsim.learning.choice import Choice
from analogsim.learning.digital import cholesky, lu, outer_products
from analogsim.network import Dense, Identity, LeakyReLU, Network, Stack
from analogsim.port import Access

SIZES, BATCH = [30, 40, 50, 10], 16
NETWORK = Network.mlp(SIZES, LeakyReLU(0.1))
COLUMNS = (40, 50, 10)


def _formed(lab, rule, decorrelation=None) -> int:
    """Operations of the matrix products of one update of one chip, from observations to directions."""
    profile, everything = lab.profile(read=1), functools.reduce(operator.or_, Access)
    made = lab.bench(SIZES, profile, activation=LeakyReLU(0.1), batch=BATCH, oracle=everything)
    controller = Controller(made.rig, rule, made.weights, torch.optim.SGD, 0.01, decorrelation)
    made.rig.next_batch()
    seen = controller._observe(made.rig.run, None)
    vector = rule.output_vector(seen.baseline, seen.estimate, controller.copy, controller.state)
    deltas = None if vector is None else made.rig.backward(vector, *rule.activities(seen.baseline, seen.estimate))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        updates, _ = rule.update(seen.baseline, seen.estimate, deltas, controller.copy, controller.state)
        for update in updates:
            update.direction()
    return counter.get_total_flops()


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("bp", {"backward": "copy"}),
        ("bp", {}),
        ("fa", {}),
        ("dfa", {}),
        ("reinforce", {}),
        ("np", {}),
        ("anp", {}),
        ("synthetic_gradient", {}),
        ("synthetic_gradient", {"form": "dfa", "backward": "copy"}),
        ("matching", {}),
        ("identified", {}),
    ],
)
@pytest.mark.parametrize("decorrelated", [(), (1, 2)])
def test_counts_hold_the_products_and_little_more(lab, name, settings, decorrelated) -> None:
    """What goes with units alone, 40 times fewer than the weights, stays below a tenth."""
    rule = RULES[name](**settings)
    formed = _formed(lab, rule, Decorrelation(layers=decorrelated) if decorrelated else None)
    counted = sum(rule.digital_operations(NETWORK, BATCH, decorrelated))
    assert formed <= counted <= 1.1 * formed


@pytest.mark.parametrize("form", ["fa", "dfa"])
def test_learned_feedback_takes_the_way_back_and_as_much_again(lab, form) -> None:
    """The simulation forms what B sends back a second time, for the residuals: a chip's controller would keep it."""
    rule = RULES["learned_feedback"](form=form)
    again = sum(RULES[form]().own_operations(NETWORK, BATCH, ()))
    counted = sum(rule.digital_operations(NETWORK, BATCH))
    assert _formed(lab, rule) == pytest.approx(counted + again, rel=0.1)


def test_by_default_a_rule_forms_outer_products() -> None:
    rule = RULES["bp"]()
    products = tuple(2 * BATCH * (n + 1) * m for n, m in zip(SIZES, COLUMNS, strict=False))
    assert rule.digital_operations(NETWORK, BATCH) == products
    assert rule.digital_operations(NETWORK, BATCH, product=False) == (0, 0, 0)


def test_a_convolution_forms_them_at_every_position() -> None:
    stack = Stack((2, 6, 6))
    stack.conv(3, 3)
    assert outer_products(Network(tuple(stack.layers)), 5) == (2 * 5 * 16 * 3 * 19,)


def test_node_perturbation_goes_with_units() -> None:
    for name, each in (("np", 2), ("anp", 5), ("inp", 4)):
        counted = RULES[name]().digital_operations(NETWORK, BATCH, product=False)
        assert counted == tuple(each * BATCH * n for n in COLUMNS)
    centred = RULES["np"](samples=8).digital_operations(NETWORK, BATCH, product=False)
    assert centred == tuple(3 * 9 * BATCH * n for n in COLUMNS)
    diagonal, full = (
        RULES["canp"](covariance=each).own_operations(NETWORK, BATCH, ()) for each in ("diagonal", "full")
    )
    assert diagonal == tuple((5 * 2 + 1) * BATCH * n for n in COLUMNS)
    assert full == tuple(3 * 2 * BATCH * n + 4 * BATCH * n * n + cholesky(n, BATCH) for n in COLUMNS)


def test_weight_perturbation_goes_with_weights_whatever_the_batch() -> None:
    weights = tuple((n + 1) * m for n, m in zip(SIZES, COLUMNS, strict=False))
    for batch, product in ((1, True), (100, False)):
        assert RULES["spsa"](samples=3).digital_operations(NETWORK, batch, product=product) == tuple(
            6 * n for n in weights
        )
    assert RULES["wp"](samples=3).digital_operations(NETWORK, 7) == tuple(12 * n for n in weights)


def test_regressions_solve_for_what_they_learn() -> None:
    nlms, rls = (RULES["identified"](estimator=each).own_operations(NETWORK, BATCH, ()) for each in ("nlms", "rls"))
    assert rls[0] == nlms[0] == 0  # the first layer has no model
    assert rls[1] - nlms[1] == BATCH * (2 * 41**2 - 2 * 41) + cholesky(41, 50) - 50 * 41
    ridge, sgd = (
        RULES["learned_feedback"](solver=each).own_operations(NETWORK, BATCH, ()) for each in ("ridge", "sgd")
    )
    way = 2 * BATCH * (40 * 50 + 40)
    taught = 2 * BATCH * 50
    assert sgd[1] == 2 * way + 2 * 40 * 50 + taught
    assert ridge[1] == way + taught + 2 * BATCH * 50 * (50 + 40) + cholesky(50, 40)
    turned = RULES["learned_feedback"](solver="ridge").own_operations(NETWORK, BATCH, (1,))
    assert turned[1] - ridge[1] == lu(40, BATCH) + 2 * BATCH * 40**2


@pytest.mark.parametrize(("batch", "share"), [(16, 1.0), (200, 1.0), (200, 0.1)])
def test_decorrelation_forms_two_products(batch, share) -> None:
    settings = Decorrelation(share=share, layers=(0,))
    network = Network((Dense(30, 5, Identity()), Dense(5, 5, Identity())))
    layer, x = network.layers[0], torch.randn(1, batch, 31)
    choice = Choice.of(layer, batch, share, [torch.Generator()], x.device)
    with FlopCounterMode(display=False) as counter:
        settings.update(torch.eye(30)[None], choice.vectors(layer, x, None))
    first, second = settings.digital_operations(network, batch)
    assert (first, second) == (counter.get_total_flops() + 4 * 30**2, 0)
    assert Choice.size(layer, batch, share) == sum(v.shape[1] for v in choice.vectors(layer, x, None))
    kept = Decorrelation(share=share, preserve_power=True, layers=(0,)).digital_operations(network, batch)
    assert kept[0] - first == 2 * 30**2 * Choice.size(layer, batch, share) + 30**2


def test_companions_of_weights_go_with_weights() -> None:
    assert WeightDecay(strength=0.1).digital_operations(NETWORK) == (2 * 30 * 40, 2 * 40 * 50, 2 * 50 * 10)
    assert WeightDecay(strength=0.1, biases=True).digital_operations(NETWORK)[0] == 2 * 31 * 40
    assert WeightNormalisation().digital_operations(NETWORK) == (3 * 30 * 40, 3 * 40 * 50, 3 * 50 * 10)


@pytest.mark.parametrize("name", RULES)
def test_every_rule_counts_for_every_layer(name) -> None:
    for decorrelated in ((), (0, 2)):
        counted = RULES[name]().digital_operations(NETWORK, BATCH, decorrelated)
        assert len(counted) == 3 and all(isinstance(each, int) and each > 0 for each in counted)
