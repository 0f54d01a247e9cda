"""How results are sorted: devices, levels, rules and their settings."""

import random
from collections.abc import Mapping

from analogsim.outcomes import StudyFolder
from analogsim.report.page.cells import Rule
from analogsim.report.page.view import View, view

LEVELS = ("0 %", "1 %", "10 %")


def _cells(seen: View, rule: Rule) -> dict[tuple[str, str | None], tuple[str, float, int]]:
    """By device and level: the best arm, its mean, and how many settings there are."""
    return {
        (device.label, level.place): (cell.best.arm, round(cell.best.score.mean, 6), len(cell.settings))
        for device in seen.devices
        for level, cell in seen.cells(rule, device)
    }


def test_devices_are_the_points_of_the_settings_and_levels_those_of_noise(studies) -> None:
    axes = [studies.profiles("pcm", "reram"), studies.bits(6, 8), studies.noise(*LEVELS), studies.seeds(2)]
    seen = view(studies({"np": studies.arm(lambda place, _: 0.9)}, axes))
    assert [device.label for device in seen.devices] == [
        "pcm, adc bits 6", "pcm, adc bits 8", "reram, adc bits 6", "reram, adc bits 8",
    ]  # fmt: skip
    assert [(level.place, level.number) for level in seen.levels] == [("0 %", 0.0), ("1 %", 1.0), ("10 %", 10.0)]
    [cell] = [cell for level, cell in seen.cells(Rule("np"), seen.devices[1]) if level.place == "1 %"]
    assert sorted(cell.best.values) == [(seed, chip) for seed in "01" for chip in range(4)]


def test_axes_of_one_place_are_told_of_a_single_device_alone(studies) -> None:
    arms = {"np": studies.arm(lambda place, _: 0.9)}
    [device] = view(studies(arms, [studies.profiles("pcm"), studies.bits(8)])).devices
    assert device.label == "pcm, adc bits 8"
    assert [each.label for each in view(studies(arms, [studies.profiles("pcm"), studies.bits(6, 8)])).devices] == [
        "adc bits 6",
        "adc bits 8",
    ]


def test_the_best_setting_stands_for_a_family_at_each_point(studies) -> None:
    def at(high: str) -> object:
        return lambda place, _: 0.8 if place[studies.NOISE] == high else 0.5

    arms = {name: studies.arm(at(level), family="NP") for name, level in (("low", "0 %"), ("high", "10 %"))}
    seen = view(studies(arms, [studies.noise(*LEVELS)]))
    assert _cells(seen, Rule("NP")) == {
        ("", "0 %"): ("low", 0.8, 2),
        ("", "1 %"): ("low", 0.5, 2),
        ("", "10 %"): ("high", 0.8, 2),
    }


def test_and_of_losses_the_lowest(studies) -> None:
    arms = {"a": studies.arm(lambda *_: 0.5, family="NP"), "b": studies.arm(lambda *_: 0.4, family="NP")}
    seen = view(studies(arms, making={"accurate": False}))
    assert not seen.accurate
    assert _cells(seen, Rule("NP")) == {("", None): ("b", 0.4, 2)}


def test_oracles_of_a_family_are_a_rule_of_their_own(studies) -> None:
    arms = {
        "np": studies.arm(lambda *_: 0.5, family="A"),
        "best": studies.arm(lambda *_: 0.9, family="A", oracle=("clean_pass",)),
    }
    seen = view(studies(arms))
    assert [(rule.title, rule.candidate) for rule in seen.rules] == [("A", True), ("A (oracle)", False)]
    assert _cells(seen, Rule("A")) == {("", None): ("np", 0.5, 1)}


def test_places_on_an_axis_of_one_arm_are_its_settings_and_no_devices(studies) -> None:
    sigma = studies.axis("arms.np.sigma", "np sigma", "0.1", "1", arm="np", numbers=(0.1, 1.0))
    arms = {
        "np": studies.arm(lambda place, _: 0.7 if place["arms.np.sigma"] == "1" else 0.6),
        "anp": studies.arm(lambda *_: 0.65),
    }
    seen = view(studies(arms, [studies.profiles("pcm", "reram"), sigma]))
    assert [device.label for device in seen.devices] == ["pcm", "reram"]
    assert _cells(seen, Rule("np")) == {(device, None): ("np (sigma 1)", 0.7, 2) for device in ("pcm", "reram")}
    assert _cells(seen, Rule("anp")) == {(device, None): ("anp", 0.65, 1) for device in ("pcm", "reram")}


def test_and_so_are_those_on_an_axis_that_some_arms_have_by_themselves(studies) -> None:
    rates = studies.axis("lr", "lr", "0.1", "0.2", coordinate="lr", coordinates=("0.1", "0.2"))
    arms = {
        "np": studies.arm(lambda place, _: 0.7 if place["lr"] == "0.2" else 0.6),
        "anp": studies.arm(lambda *_: 0.65, without=("lr",)),
    }
    seen = view(studies(arms, [studies.profiles("pcm"), rates]))
    assert [device.label for device in seen.devices] == ["pcm"]
    assert _cells(seen, Rule("np")) == {("pcm", None): ("np", 0.7, 2)}
    [(_, cell)] = seen.cells(Rule("np"), seen.devices[0])
    assert cell.best.own == (("lr", "0.2"),)


def test_an_arm_without_noise_is_the_same_at_every_level(studies) -> None:
    arms = {"np": studies.arm(lambda *_: 0.7), "digital": studies.arm(lambda *_: 0.8, without=(studies.NOISE,))}
    seen = view(studies(arms, [studies.noise(*LEVELS)]))
    assert _cells(seen, Rule("digital")) == {("", level): ("digital", 0.8, 1) for level in LEVELS}


def test_what_is_not_finite_counts_as_no_accuracy_or_as_an_infinite_loss(studies) -> None:
    def half(place: Mapping[str, str], numbers: random.Random) -> float | None:
        return None if numbers.random() < 0.5 else 0.8

    broken = sum(random.Random(f"0/{chip}").random() < 0.5 for chip in range(4))
    assert 0 < broken < 4
    for accurate, mean in ((True, 0.8 * (4 - broken) / 4), (False, float("inf"))):
        seen = view(studies({"np": studies.arm(half)}, making={"accurate": accurate}))
        [(_, cell)] = seen.cells(Rule("np"), seen.devices[0])
        assert cell.best.score.mean == mean
        assert cell.best.diverged == broken


def test_the_reference_is_that_of_the_same_network(studies) -> None:
    layers = studies.axis("network.layers", "layers", "[64, 10]", "[256, 10]", shared=True)
    axes = [layers, studies.profiles("pcm", "reram")]
    folder = studies(
        {"np": studies.arm(lambda *_: 0.9)},
        axes,
        reference=lambda place, _: 0.95 if place["network.layers"] == "[64, 10]" else 0.97,
    )
    seen = view(folder)
    assert [round(seen.reference(device).score.mean, 6) for device in seen.devices] == [0.95, 0.95, 0.97, 0.97]
    assert [rule.title for rule in seen.rules] == ["np"], "the reference is no rule"


def test_jobs_without_results_are_told_by_device(studies) -> None:
    arms = {"np": studies.arm(lambda *_: 0.9), "anp": studies.arm(lambda *_: 0.9)}
    folder = studies(arms, [studies.profiles("pcm", "reram")], failed={"np-reram": "no memory"}, missing=["anp-pcm"])
    seen = view(folder)
    assert sorted(seen.states.values()) == ["done", "done", "failed", "waiting"]
    assert [[rule.title for rule in seen.present(device)] for device in seen.devices] == [["np"], ["anp"]]
    assert [[job.arm for job in seen.planned(device)] for device in seen.devices] == [["np", "anp"], ["np", "anp"]]


def test_a_job_that_ends_while_results_are_read_is_not_done_yet(studies) -> None:
    class Growing(StudyFolder):
        def results(self):
            yield from list(super().results())[:1]

    folder = studies({"np": studies.arm(lambda *_: 0.9), "anp": studies.arm(lambda *_: 0.9)})
    assert list(view(Growing(folder.path)).states.values()) == ["done", "begun"]
