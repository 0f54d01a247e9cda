"""Verdicts: which numbers are compared, how chips are paired, and what an interval decides."""

import math

import numpy as np
import pytest

from analogsim.claims import Claim, judge, parse, read_verdicts, write_verdicts
from analogsim.claims.arithmetic import evaluate, spread
from analogsim.claims.decide import above, inside
from analogsim.claims.tree import Comparison
from analogsim.errors import RunError
from analogsim.results import StageResult, interval

EPOCHS = (0.0, 1.0, 2.0, 5.0)


@pytest.fixture
def one(invented):
    """An arm `a` of two chips that tell the functions apart."""
    first = {
        "test_accuracy": (0.1, 0.9, 0.8, 0.7),
        "test_loss": (2.0, 0.5, 0.25, 1.0),
        "train_loss": (None, 1.5, 1.0, 1.25),
        "angle": ((90.0, 80.0), (70.0, None), (60.0, 40.0), (50.0, 30.0)),
        "weight_norm": ((1.0, 2.0), (3.0, 4.0), (5.0, 6.0), (4.0, 5.0)),
    }
    second = {**first, "test_accuracy": (0.1, None, 0.95, None), "test_loss": (2.0, None, 0.25, None)}
    chips = [
        invented.chip({"chip": 0}, first, EPOCHS),
        invented.chip({"chip": 1}, second, EPOCHS, diverged=True),
    ]
    return invented.run({"a": invented.arm("a", chips)})


@pytest.mark.parametrize(
    ("quantity", "first", "second"),
    [
        ("initial(a.test_accuracy)", 0.1, 0.1),
        ("final(a.test_accuracy)", 0.7, 0.0),  # a missing accuracy is 0
        ("best(a.test_accuracy)", 0.9, 0.95),
        ("least(a.test_accuracy)", 0.1, 0.0),
        ("most(a.test_accuracy)", 0.9, 0.95),
        ("at(a.test_accuracy, 2)", 0.8, 0.95),
        ("at(a.test_accuracy, 4)", 0.8, 0.95),  # the last evaluation that is not after it
        ("at(a.test_accuracy, 0)", 0.1, 0.1),
        ("reach(a.test_accuracy, 90 %)", 1.0, 2.0),
        ("reach(a.test_accuracy, 91 %)", math.inf, 2.0),
        ("reach(a.test_loss, 0.5)", 1.0, 2.0),
        ("best(a.test_loss)", 0.25, 0.25),
        ("epoch_of_best(a.test_accuracy)", 1.0, 2.0),
        ("epoch_of_best(a.test_loss)", 2.0, 2.0),
        ("epoch_of_best(a.angle, layer=1)", 5.0, 5.0),
        ("most(a.test_loss)", 2.0, math.inf),  # a missing loss is infinite
        ("least(a.train_loss)", 1.0, 1.0),
        ("most(a.train_loss)", 1.5, 1.5),  # the first evaluation has none
        ("angle(a)", 40.0, 40.0),
        ("angle(a, layer=1)", 30.0, 30.0),
        ("at(a.angle, 1)", 70.0, 70.0),  # the mean over the layers that have one
        ("best(a.angle)", 40.0, 40.0),
        ("final(a.weight_norm, layer=-1)", 5.0, 5.0),
        ("most(a.weight_norm, layer=0)", 5.0, 5.0),
        ("diverged(a)", 0.0, 1.0),
        ("2 * final(a.weight_norm, layer=0) / 4 - 1", 1.0, 1.0),
        ("abs(log(initial(a.weight_norm, layer=0)) - 3)", 3.0, 3.0),
    ],
)
def test_quantities(quantity: str, first: float, second: float, one, invented) -> None:
    [link] = invented.verdict(f"{quantity} < 1000", one).links
    assert link.chips == 2
    expected = (first + second) / 2
    if math.isinf(expected):
        assert link.left.mean == expected
        assert link.left.half is None
    else:
        assert link.left.mean == pytest.approx(expected, abs=1e-12)
        assert link.left.half == pytest.approx(interval([first, second])[1], abs=1e-9)
    assert link.difference.mean == pytest.approx(expected - 1000)
    assert (link.right.mean, link.right.half) == (1000, None)


@pytest.mark.parametrize(
    ("claim", "why"),
    [
        ("final(b.test_accuracy) > 0.5", "b has no result"),
        ("at(a.test_accuracy, 6) > 0.5", "a was trained for 5 epochs, and at(a.test_accuracy, 6) asks for a later one"),
        ("final(a.update_variance) > 1", "update_variance was not measured"),
        ("final(a.angle, layer=2) > 1", "there is no layer 2"),
        ("final(a[lr=0.1].test_loss) > 1", "a has no axis lr"),
        ("final(a.test_loss) > 1 > final(b.test_loss)", "b has no result"),
    ],
)
def test_what_was_not_run(claim: str, why: str, one, invented) -> None:
    found = invented.verdict(claim, one)
    assert (found.verdict, found.why, found.links) == ("not run", why, ())


@pytest.mark.parametrize("step", [0.02, 0.01, 0.002])
def test_differences_are_paired_by_chip(step: float, invented) -> None:
    """Chips differ by far more than arms do: paired, the difference is plain."""
    low = np.linspace(0.2, 0.8, 6)
    high = low + 0.01 + step * np.array([0.1, -0.2, 0.3, -0.3, 0.2, -0.1])
    run = invented.simple(low=low.tolist(), high=high.tolist())
    [link] = invented.verdict("final(high.test_accuracy) > final(low.test_accuracy)", run).links
    mean, half = interval((high - low).tolist())
    assert link.difference.mean == pytest.approx(mean)
    assert link.difference.half == pytest.approx(half)
    assert link.verdict == "holds"
    assert link.share
    assert link.left.half > mean  # unpaired there is nothing to see


@pytest.mark.parametrize(
    ("claim", "word"),
    [
        ("final(high.test_accuracy) > final(low.test_accuracy)", "holds"),
        ("final(high.test_accuracy) >= final(low.test_accuracy)", "holds"),
        ("final(high.test_accuracy) < final(low.test_accuracy)", "fails"),
        ("final(high.test_accuracy) <= final(low.test_accuracy)", "fails"),
        ("final(high.test_accuracy) > final(like.test_accuracy)", "not decided"),
        ("final(high.test_accuracy) > final(low.test_accuracy) > 0.1", "holds"),
        ("final(high.test_accuracy) > final(like.test_accuracy) > final(low.test_accuracy)", "not decided"),
        ("final(high.test_accuracy) > final(like.test_accuracy) > 0.9", "fails"),
        ("0.1 < final(low.test_accuracy) < 0.5", "holds"),
        ("within(final(high.test_accuracy), 0.6, 0.1)", "holds"),
        ("within(final(high.test_accuracy), 0.6, 0.001)", "not decided"),
        ("within(final(high.test_accuracy), 0.9, 0.1)", "fails"),
        ("within(final(high.test_accuracy), final(like.test_accuracy), 0.1)", "holds"),
        ("within(final(high.test_accuracy), final(low.test_accuracy), 0.1)", "fails"),
    ],
)
def test_verdicts(claim: str, word: str, invented) -> None:
    run = invented.simple(low=[0.2, 0.21, 0.22, 0.19], high=[0.6, 0.62, 0.59, 0.6], like=[0.61, 0.6, 0.6, 0.6])
    assert invented.verdict(claim, run).verdict == word


@pytest.mark.parametrize(("operator", "word"), [("<", "fails"), (">", "fails"), ("<=", "holds"), (">=", "holds")])
def test_equal_values_satisfy_what_allows_equality(operator: str, word: str, invented) -> None:
    run = invented.simple(a=[0.5, 0.6, 0.7], b=[0.5, 0.6, 0.7])
    claim = f"final(a.test_accuracy) {operator} final(b.test_accuracy)"
    assert invented.verdict(claim, run).verdict == word


def test_one_chip_decides_nothing(invented) -> None:
    run = invented.simple(a=[0.5], b=[0.6])
    for claim in ("final(b.test_accuracy) > final(a.test_accuracy)", "within(final(a.test_accuracy), 0.5, 0.1)"):
        found = invented.verdict(claim, run)
        assert (found.verdict, found.why) == ("not decided", "one chip only")
    assert found.links[0].difference.mean == pytest.approx(0.0)
    assert found.links[0].difference.half is None


INF = math.inf


@pytest.mark.parametrize(
    ("gains", "strict", "word"),
    [
        ([INF, INF], True, "holds"),  # all infinite: an interval of no width
        ([-INF, -INF, -INF], False, "fails"),
        ([INF, 1.0, 2.0], True, "not decided"),  # three signs decide nothing
        ([INF, 1.0, 2.0, 1.0, 3.0], True, "not decided"),
        ([INF, 1.0, 2.0, 1.0, 3.0, INF], True, "holds"),  # 2^-6 is below 2.5 %
        ([-INF, -1.0, -2.0, -1.0, -3.0, -INF], True, "fails"),
        ([INF, 1.0, 2.0, 1.0, 3.0, 0.0], True, "not decided"),  # 0 is on nobody's side
        ([INF, -INF], True, "not decided"),
        ([math.nan, 1.0, 1.0], True, "not decided"),
        ([0.0, 0.0], True, "fails"),
        ([0.0, 0.0], False, "holds"),
    ],
)
def test_infinite_differences(gains: list[float], strict: bool, word: str) -> None:
    found, why = above(gains, strict)
    assert found == word
    assert bool(why) == (word == "not decided")


@pytest.mark.parametrize(
    ("differences", "word"),
    [
        ([INF, INF], "fails"),
        ([INF, 0.0, 0.0], "not decided"),
        ([math.nan, 0.0], "not decided"),
        ([0.1, 0.1], "holds"),
        ([0.2, 0.2], "fails"),
        ([0.0, 0.2], "not decided"),
    ],
)
def test_infinite_differences_within(differences: list[float], word: str) -> None:
    assert inside(differences, 0.1)[0] == word


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1/0", INF),
        ("-1/0", -INF),
        ("0/0", None),
        ("log(0)", -INF),
        ("log(0-1)", None),
        ("1/0-1/0", None),
        ("0*(1/0)", None),
    ],
)
def test_arithmetic_never_raises(text: str, value: float | None) -> None:
    tree = parse(f"{text} < best(a.x)")
    assert isinstance(tree, Comparison)
    found = evaluate(tree.operands[0], lambda quantity: 0.0)
    assert math.isnan(found) if value is None else found == value


def test_two_that_never_arrive_are_not_told_apart(invented) -> None:
    run = invented.simple(a=[0.2, 0.2], b=[0.2, 0.2])
    for order in ("<", "<=", ">"):
        found = invented.verdict(f"reach(a.test_accuracy, 90 %) {order} reach(b.test_accuracy, 90 %)", run)
        assert (found.verdict, found.why) == ("not decided", "2 of 2 chips have no value")
        assert found.links[0].difference.mean is None
        assert found.links[0].left.mean == INF
    undefined = invented.verdict("reach(a.test_accuracy, 90 %) / reach(b.test_accuracy, 90 %) < 2", run)
    assert (undefined.verdict, undefined.why) == ("not decided", "2 of 2 chips have no value")


@pytest.mark.parametrize("size", [1e-300, 1e-160, 1.0, 1e160, 1e300])
def test_numbers_of_any_size_have_intervals(size: float) -> None:
    """Squares that overflow or vanish change no verdict."""
    for gains, word in (([1.0, 2.0, 1.5], "holds"), ([-1.0, -2.0, -1.5], "fails"), ([1.0, -2.0, 1.5], "not decided")):
        assert above([size * gain for gain in gains], strict=True)[0] == word
    middle, half = spread([size * gain for gain in (1.0, 2.0, 1.5)])
    expected = interval([1.0, 2.0, 1.5])
    assert middle / size == pytest.approx(expected[0], rel=1e-12)
    assert half is not None and half / size == pytest.approx(expected[1], rel=1e-12)


def test_the_rounding_of_decimals_decides_nothing(invented) -> None:
    """0.46 - 0.44 is 0.02 and 2e-17 more."""
    run = invented.simple(a=[0.46, 0.46, 0.46], b=[0.44, 0.44, 0.44])
    for claim in (
        "final(a.test_accuracy) - final(b.test_accuracy) <= 2 %",
        "final(a.test_accuracy) - final(b.test_accuracy) >= 2 %",
        "within(final(a.test_accuracy), final(b.test_accuracy), 2 %)",
    ):
        assert invented.verdict(claim, run).verdict == "holds"
    assert invented.verdict("final(a.test_accuracy) - final(b.test_accuracy) < 2 %", run).verdict == "fails"


def _swept(invented, offset: float, chips: int, seeds: tuple[int, ...] = (0, 1)):
    """An arm on axes of noise and seed: chips differ by much, points by little."""
    draw = np.random.default_rng(0)
    own = draw.normal(0.5, 0.1, (len(seeds), chips))
    return [
        invented.chip(
            {"seed": seed, "chip.profile.read_noise.0.sigma": sigma, "chip": number},
            {"test_accuracy": (0.1, own[at, number] + offset + effect)},
            (0.0, 1.0),
        )
        for at, seed in enumerate(seeds)
        for sigma, effect in (("1 %", 0.0), ("10 %", -0.05))
        for number in range(chips)
    ]


def test_points_are_named_and_paired(invented) -> None:
    arms = {name: invented.arm(name, _swept(invented, offset, 3)) for name, offset in (("a", 0.0), ("b", 0.02))}
    run = invented.run(arms, seed={"each": [0, 1]})
    [link] = invented.verdict("final(a[sigma=1 %].test_accuracy) > final(a[sigma=10 %].test_accuracy)", run).links
    assert link.chips == 6
    assert link.difference.mean == pytest.approx(0.05)
    assert link.verdict == "holds"
    [link] = invented.verdict(
        "final(a[sigma=0.01, seed=1].test_accuracy) < final(b[sigma=0.1].test_accuracy)", run
    ).links
    assert link.chips == 3  # those of seed 1
    assert link.difference.mean == pytest.approx(0.03)
    assert link.verdict == "fails"


def test_points_of_a_chip_count_once(invented) -> None:
    """They share its random numbers: a chip at two points is one, not two."""
    arms = {name: invented.arm(name, _swept(invented, offset, 3)) for name, offset in (("a", 0.0), ("b", 0.02))}
    [link] = invented.verdict("final(a.test_accuracy) < 0.9", invented.run(arms)).links
    assert link.chips == 6
    found = [chip.final.test_accuracy for chip in arms["a"][0].chips]
    by_chip = [(found[6 * s + n] + found[6 * s + 3 + n]) / 2 for s in range(2) for n in range(3)]
    assert link.left.half == pytest.approx(interval(by_chip)[1])


def test_only_common_chips_make_pairs(invented) -> None:
    run = invented.simple(a=[0.1, 0.2, 0.3], b=[0.2, 0.3])
    [link] = invented.verdict("final(a.test_accuracy) < final(b.test_accuracy)", run).links
    assert link.chips == 2
    assert link.left.mean == pytest.approx(0.15)


def test_stages_on_other_chips_do_not_count(invented) -> None:
    """An arm of stages is looked at from the programming of the chips that it ends on."""
    chips = [
        invented.chip({"chip": n}, {"test_accuracy": (0.1, 0.99, 0.6, 0.7), "train_loss": (None, 9, None, 1)}, EPOCHS)
        for n in range(2)
    ]
    stage = {"rule": "bp", "profile": "ideal", "decorrelated": False, "oracle": (), "steps": 1, "passes_per_step": 1}
    stages = tuple(
        StageResult.model_validate({**stage, "ex_situ": new, "programmed": True, "chips": ()}) for new in (True, False)
    )
    arm, curves = invented.arm("a", chips, stages=stages)
    curves = [curve.model_copy(update={"stage": at // 2}) for at, curve in enumerate(curves)]
    run = invented.run({"a": (arm, curves)})
    for quantity, value in {"initial": 0.6, "best": 0.7, "least": 0.6}.items():
        [link] = invented.verdict(f"{quantity}(a.test_accuracy) > 0", run).links
        assert link.left.mean == pytest.approx(value)
    assert invented.verdict("most(a.train_loss) > 0", run).links[0].left.mean == 1


def test_the_file_repeats_and_holds_infinite_numbers(invented, tmp_path) -> None:
    run = invented.simple(a=[0.2, 0.2, 0.95], b=[0.2, 0.2, 0.2])
    claims = [
        Claim(claim="reach(a.test_accuracy, 90 %) < reach(b.test_accuracy, 90 %)", says="sooner", paper="1"),
        Claim(claim="final(c.test_accuracy) > 1", says="not run", source="nowhere"),
    ]
    verdicts = judge(claims, *run, quick=True)
    path = tmp_path / "claims.json"
    write_verdicts(verdicts, path)
    assert read_verdicts(path) == verdicts
    before = path.read_bytes()
    write_verdicts(read_verdicts(path), path)
    assert path.read_bytes() == before
    assert b"NaN" not in before and b"Infinity" not in before
    path.write_text("{")
    with pytest.raises(RunError, match="damaged"):
        read_verdicts(path)
