"""The answer in sentences: who leads, how much noise is survived, and what is not known."""

import random
import re
from collections.abc import Callable, Mapping

import pytest

from analogsim.outcomes import Axis, StudyFolder
from analogsim.report.page.sentences import absent, bounds_said, end_said, farthest, lead, survives, without_results
from analogsim.report.page.standing import rankings
from analogsim.report.page.view import view
from analogsim.statistics import Bounds, End

NOISE = "chip.profile.read_noise.0.sigma"
LEVELS = ("0 %", "0.1 %", "1 %", "10 %")


def at(*values: float, spread: float = 0.0005, salt: str = "") -> Callable[..., float]:
    """An accuracy at each level."""

    def value(place: Mapping[str, str], numbers: random.Random) -> float:
        own = random.Random(f"{salt}{numbers.random()}") if salt else numbers
        return values[LEVELS.index(place[NOISE])] + own.uniform(-spread, spread)

    return value


def flat(value: float) -> Callable[..., float]:
    return lambda place, numbers: value + numbers.uniform(-0.001, 0.001)


def said(folder: StudyFolder) -> dict[str, list[str]]:
    """By device: the lead, who comes farthest, each rule in order of rank, and what is missing; plain spaces."""
    seen = view(folder)
    found = {}
    for ranking in rankings(seen):
        sentences = [lead(seen, ranking), farthest(seen, ranking)]
        sentences += [survives(seen, ranking.device, standing) for standing in ranking.standings]
        sentences += absent(seen, ranking.device)
        found[ranking.device.label] = [each.text.replace("\u00a0", " ") for each in sentences if each]
    return found


def masked(sentence: str) -> str:
    """Without what depends on chips: intervals and p."""
    sentence = re.sub(r" \[[^]]*\]", " [..]", sentence)
    return re.sub(r"p [=<] [\d.e-]+", "p", sentence)


def test_a_leader_windows_and_open_ends(studies) -> None:
    arms = {
        "bp": studies.arm(at(0.95, 0.95, 0.95, 0.95), oracle=("output_error",)),
        "good": studies.arm(at(0.92, 0.92, 0.92, 0.5)),
        "needs": studies.arm(at(0.2, 0.2, 0.93, 0.90)),
        "short": studies.arm(at(0.9, 0.5, 0.3, 0.3)),
        "weak": studies.arm(at(0.5, 0.6, 0.3, 0.3)),
    }
    [told] = said(studies(arms, [studies.noise(*LEVELS)], reference=flat(0.96))).values()
    goal = "90 % of digital BP's accuracy (96.0 %)"
    assert [masked(each) for each in told] == [
        "good leads, with a mean test accuracy of 81.5 % [..] over 0.1 % to 10 % read noise sigma (log scale), "
        "7.5 points more than needs (p).",
        "needs holds 90 % of digital BP to the most noise, up to 10 % read noise sigma, the most that was studied.",
        f"good reaches {goal} up to 1.36 % [..] read noise sigma.",
        f"needs reaches {goal} from 0.812 % [..] to 10 % read noise sigma, the most that was studied.",
        f"weak reaches {goal} at no noise level studied; it is best at 0.1 %, with 60.0 % [..].",
        f"short reaches {goal} up to less than 0.1 % read noise sigma.",
        f"bp (oracle) reaches {goal} at every level studied, 0 % to 10 % read noise sigma.",
    ]


def test_the_numbers_are_in_the_sentence(studies) -> None:
    arms = {"np": studies.arm(at(0.9, 0.9, 0.9, 0.3, spread=0.03))}
    [told] = said(studies(arms, [studies.noise(*LEVELS)], reference=flat(0.96))).values()
    low, noise, high = (
        float(re.findall(r"up to ([\d.]+) % \[([\d.]+), ([\d.]+)\]", told[-1])[0][at]) for at in (1, 0, 2)
    )
    assert low < noise < high
    crossing = 10 ** ((0.9 - 0.9 * 0.96) / (0.9 - 0.3))  # log noise is linear between 1 % and 10 %
    assert low < crossing < high
    assert told[0].startswith("np is the only candidate with results, with a mean test accuracy of ")


def test_numbers_without_a_unit_follow_what_they_are_of(studies) -> None:
    noise = studies.noise(*(level.split()[0] for level in LEVELS), unit="")
    arms = {"np": studies.arm(lambda place, numbers: at(0.9, 0.9, 0.9, 0.3)({NOISE: f"{place[NOISE]} %"}, numbers))}
    [told] = said(studies(arms, [noise], reference=flat(0.96))).values()
    assert " over read noise sigma 0.1 to 10 (log scale)." in told[0]
    assert masked(told[2]).endswith(" up to read noise sigma 1.15 [..].")


def test_ties_are_named(studies) -> None:
    arms = {
        "a": studies.arm(at(0.9, 0.9, 0.9, 0.5, spread=0.05, salt="a")),
        "b": studies.arm(at(0.9, 0.9, 0.9, 0.5, spread=0.05, salt="b")),
        "c": studies.arm(at(0.9, 0.9, 0.5, 0.3)),
    }
    [told] = said(studies(arms, [studies.noise(*LEVELS)], reference=flat(0.96), making={"chips": 8})).values()
    assert re.fullmatch(
        r"(a and b|b and a) share the lead, with a mean test accuracy of [78]\d\.\d % and [78]\d\.\d % over 0.1 % to "
        r"10 % read noise sigma \(log scale\): the tests tell no difference between them\.",
        told[0],
    )
    assert re.search(r"(a|b) holds 90 % of digital BP to the most noise, .*; (a|b) may reach as far\.", told[1])


def test_one_chip_allows_no_test(studies) -> None:
    arms = {"a": studies.arm(at(0.9, 0.9, 0.9, 0.5)), "b": studies.arm(at(0.8, 0.8, 0.8, 0.5))}
    [told] = said(studies(arms, [studies.noise(*LEVELS)], reference=flat(0.96), making={"chips": 1})).values()
    assert told[0].startswith("a is ahead, with a mean test accuracy of ")
    assert told[0].endswith("One chip of each allows no test.")
    assert "[" not in "".join(told), "no intervals"


def test_without_a_reference_the_best_and_the_last_level_are_told(studies) -> None:
    [told] = said(studies({"a": studies.arm(at(0.5, 0.9, 0.6, 0.2))}, [studies.noise(*LEVELS)])).values()
    assert len(told) == 2
    assert masked(told[1]) == "a is best at 0.1 %, with 90.0 % [..]; at 10 % it has 20.0 % [..]."
    assert "digital BP" not in "".join(told)


def test_without_noise_the_end_is_compared(studies) -> None:
    arms = {"a": studies.arm(flat(0.9)), "b": studies.arm(flat(0.8))}
    told = said(studies(arms, [studies.profiles("pcm", "reram")], reference=flat(0.96)))
    assert list(told) == ["pcm", "reram"]
    assert masked(told["pcm"][0]).startswith(
        "a leads, with a test accuracy of 90.0 % [..], 10.0 points more than b (p)"
    )
    assert re.fullmatch(r"b ends with 80\.\d % \[..\], 83\.\d % of digital BP's 96\.\d %\.", masked(told["pcm"][2]))


def test_of_losses_less_is_better(studies) -> None:
    arms = {"a": studies.arm(at(0.1, 0.1, 0.1, 0.4)), "b": studies.arm(at(0.2, 0.2, 0.2, 0.4))}
    making = {"accurate": False}
    [told] = said(studies(arms, [studies.noise(*LEVELS)], reference=flat(0.1), making=making)).values()
    assert masked(told[0]).startswith("a leads, with a mean test loss of 0.1")
    assert " less than b (p)." in masked(told[0])
    assert re.match(
        r"a reaches 1\.11 × digital BP's loss \(0\.\d+\) up to 1\.\d+ % \[..\] read noise sigma\.", masked(told[2])
    )
    assert masked(told[3]).startswith("b reaches 1.11 × digital BP's loss (0.")
    assert "at no noise level studied" in told[3]


def test_a_loss_that_is_not_finite_is_not_ranked(studies) -> None:
    arms = {
        "a": studies.arm(flat(0.1)),
        "b": studies.arm(lambda place, numbers: None if numbers.random() < 0.5 else 0.05),
    }
    [told] = said(studies(arms, making={"accurate": False})).values()
    assert told[0].startswith("a is the only candidate with results")
    seen = view(studies(arms, making={"accurate": False}))
    [ranking] = rankings(seen)
    assert [(each.rule.name, each.rank, each.why) for each in ranking.standings] == [
        ("a", 1, ""),
        ("b", None, "its loss is not finite on some chips"),
    ]


def test_what_is_missing_is_said(studies) -> None:
    arms = {name: studies.arm(at(0.9, 0.9, 0.9, 0.5)) for name in ("a", "b", "c")}
    axes = [studies.profiles("pcm", "reram"), studies.noise(*LEVELS)]
    told = said(studies(arms, axes, failed={"a-reram": "no memory"}, missing=["b-reram"]))
    assert told["reram"][-1] == "1 of 3 rules has results here, but not of all jobs (a failed; b not begun)."
    assert not any("jobs" in each for each in told["pcm"])


def test_a_rule_that_lacks_levels_is_ranked_over_those_that_all_have(studies) -> None:
    """Noise is not folded here, so a level may be missing."""
    noise = studies.noise(*LEVELS).model_copy(update={"coordinate": None, "coordinates": ()})
    arms = {"a": studies.arm(at(0.9, 0.9, 0.9, 0.5)), "b": studies.arm(at(0.8, 0.8, 0.8, 0.5))}
    [told] = said(studies(arms, [noise], missing=["b-10-"])).values()
    assert "over 0.1 % to 1 % read noise sigma (log scale; 3 of 4 levels, those that all have)" in told[0]
    seen = view(studies(arms, [noise], missing=["b-10-", "b-1-", "b-0.1-"]))
    [ranking] = rankings(seen)
    assert [(each.rule.name, each.why) for each in ranking.standings] == [
        ("a", ""),
        ("b", "it has results at 1 of 4 noise levels"),
    ]
    assert len(ranking.levels) == 4


def test_only_oracles_are_no_ranking(studies) -> None:
    [told] = said(studies({"bp": studies.arm(flat(0.9), oracle=("output_error",))})).values()
    assert told[0] == "No rule can be ranked here: all that has results are comparisons."


def test_devices_without_results_are_named_together(studies) -> None:
    axes = [studies.profiles("pcm", "reram", "other"), studies.bits(4, 8)]
    arms = {name: studies.arm(flat(0.9)) for name in "abcdefgh"}
    late = [f"{name}-{profile}" for name in arms for profile in ("reram", "other")] + [
        f"{name}-pcm-8" for name in "bcdefgh"
    ]
    seen = view(studies(arms, axes, missing=late))
    found = without_results(seen)
    assert found is not None
    assert found.text == (
        "No result yet on reram, adc bits 4; reram, adc bits 8; other, adc bits 4; other, adc bits 8."
    )
    [told] = absent(seen, seen.devices[1])
    assert told.text == "1 of 8 rules has results here, but not of all jobs (b, c, d, e, f and 2 more not begun)."
    assert without_results(view(studies(arms))) is None


@pytest.mark.parametrize(
    ("levels", "noise", "said", "bounds"),
    [
        ((0.0, 0.3, 3.0), 0.1, "less than 0.3\u00a0%", ""),  # where between them is the interpolation's guess
        ((0.0, 0.3, 3.0), 0.3, "0.3\u00a0%", " [0.25, 0.40]"),
        ((0.0, 0.3, 3.0), 1.0, "1.0\u00a0%", " [0.25, 0.40]"),
        ((0.1, 0.3, 3.0), 0.2, "0.20\u00a0%", " [0.25, 0.40]"),
    ],
)
def test_an_end_between_zero_and_the_first_level_is_no_number(
    levels: tuple[float, ...], noise: float, said: str, bounds: str
) -> None:
    places = tuple(map(str, levels))
    axis = Axis(name="x", title="noise", kind="noise", places=places, numbers=levels, unit="%")
    end = End(noise, open=False, bounds=Bounds(0.25, 0.40))
    assert end_said(axis, end) == said
    assert bounds_said(axis, end) == bounds
