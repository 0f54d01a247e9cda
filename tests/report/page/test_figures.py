"""Figures inside a page: their ids, their colours, their numbers, and where things stand in them."""

import itertools
import json
import math
import re
from xml.etree import ElementTree

import pytest

from analogsim.report.page.curves import noise_curves
from analogsim.report.page.figure import limits
from analogsim.report.page.goal import goal
from analogsim.report.page.learning import MOST_LEVELS, histories, learning_curves
from analogsim.report.page.maps import heat_maps, second_axis
from analogsim.report.page.points import rule_points
from analogsim.report.page.scale import scale
from analogsim.report.page.tones import CONTRAST, DARK, INK, LIGHT, contrast, look, palette
from analogsim.report.page.view import view
from analogsim.report.style import COLOURS
from analogsim.results import Curve, Metrics, StageResult, write_result
from analogsim.statistics import Interval

LEVELS = ("0 %", "1 %", "10 %")


@pytest.fixture(scope="module")
def folder(studies):
    arms = {
        "bp": studies.arm(lambda *_: 0.95, oracle=("output_error",)),
        "np": studies.arm(lambda place, numbers: 0.8 + 0.01 * int(place["chip.overrides.adc.bits"]) * numbers.random()),
    }
    axes = [studies.profiles("pcm", "reram"), studies.bits(4, 8), studies.noise(*LEVELS)]
    making = {"epochs": (0.0, 1.0, 2.0)}
    return studies(arms, axes, reference=lambda *_: 0.96, missing=["np-reram-8"], making=making)


@pytest.fixture(scope="module")
def blocks(folder):
    seen = view(folder)
    return [noise_curves(seen), heat_maps(seen), *learning_curves(seen, histories(folder, seen))]


def svgs(blocks) -> list[str]:
    return [each.svg for block in blocks for each in (*block.panels, *block.legend)]


def test_ids_do_not_collide_and_references_are_kept(blocks) -> None:
    found: list[str] = []
    for svg in svgs(blocks):
        ids = re.findall(r' id="([^"]+)"', svg)
        used = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)|aria-labelledby="([^"]+)"', svg)
        assert {name for names in used for name in names if name} == set(ids)
        found += ids
    assert len(set(found)) == len(found)


def test_figures_take_the_colours_and_the_font_of_the_page(blocks) -> None:
    for svg in svgs(blocks):
        root = ElementTree.fromstring(svg)
        assert root.find("title") is not None
        assert root.attrib["role"] == "img"
        assert INK not in svg
        assert not [colour for colour in COLOURS if colour in svg]
        assert "font-family" not in svg
        assert not {"style", "metadata", "script"} & {element.tag for element in root.iter()}
        for text in root.iter("text"):
            assert "fill:currentColor" in text.attrib["style"] or re.search(
                r"fill:#(0b0b0b|fafafa)", text.attrib["style"]
            )
    assert "var(--c0)" in blocks[0].panels[0].svg


@pytest.mark.parametrize("ground", [LIGHT, DARK])
def test_colours_stand_out_from_both_grounds_and_from_each_other(ground: str) -> None:
    tones = palette(ground)
    assert list(tones) == [f"--c{index}" for index in range(7)]
    assert all(contrast(tone, ground) >= CONTRAST[ground] for tone in tones.values())
    assert len(set(tones.values())) == 7


def test_contrast_is_that_of_the_guidelines() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.005)  # the lightest grey of level AA


def test_more_rules_than_colours_differ_in_line_and_marker() -> None:
    assert len({look(index, candidate=True) for index in range(21)}) == 21
    assert len({look(index, candidate=True).colour for index in range(7)}) == 7
    lines = {look(index, candidate=True).line for index in range(21)}
    assert {look(index, candidate=False).line for index in range(21)}.isdisjoint(lines), "comparisons have their own"


def test_zero_noise_stands_apart_on_a_log_axis(studies) -> None:
    drawn = scale(studies.noise("0 %", "0.1 %", "1 %", "10 %"))
    assert drawn.at[1:] == pytest.approx((-1, 0, 1))
    assert drawn.at[0] < -1
    assert drawn.gap == (drawn.at[0], drawn.at[1])
    assert [label for _, label in drawn.ticks] == ["0", "0.1", "1", "10"]
    assert drawn.title == "read noise sigma, %"
    assert scale(studies.noise("1", "10", unit="")).gap is None
    assert len(scale(studies.noise(*(f"{level} %" for level in range(1, 30)))).ticks) <= 8


def test_curves_have_a_panel_for_each_device_and_say_what_is_missing(blocks, folder) -> None:
    curves = blocks[0]
    assert [panel.title for panel in curves.panels] == [
        "pcm, adc bits 4", "pcm, adc bits 8", "reram, adc bits 4", "reram, adc bits 8",
    ]  # fmt: skip
    assert [panel.note for panel in curves.panels] == ["", "", "", "without results here: np"]
    assert [entry.title.replace("\u00a0", " ") for entry in curves.legend] == [
        "bp (oracle)", "np", "digital BP", "90 % of digital BP",
    ]  # fmt: skip
    jobs = {job.id: job for job in folder.plan.jobs}
    places = [{jobs[each].place.get("chip.profile") for each in panel.jobs} for panel in curves.panels]
    assert places == [{None, "pcm"}, {None, "pcm"}, {None, "reram"}, {None, "reram"}]


def test_a_map_for_each_rule_and_remaining_point(blocks, folder) -> None:
    maps = blocks[1]
    axis = second_axis(view(folder))
    assert axis is not None
    assert axis.title == "adc bits", "numbers before names"
    assert [panel.title for panel in maps.panels] == [
        "bp (oracle) · pcm",
        "bp (oracle) · reram",
        "np · pcm",
        "np · reram",
    ]
    texts = [text.text for text in ElementTree.fromstring(maps.panels[3].svg).iter("text")]
    assert texts.count("–") == len(LEVELS), "a row without results"
    head, *rows = maps.table
    for row in (dict(zip(head, each, strict=True)) for each in rows):
        if row["rule"] == "bp":
            assert row["mean"] == pytest.approx(0.95)
    means = [f"{100 * row[head.index('mean')]:.1f}" for row in rows if row[:1] == ["np"] and row[2] == "pcm"]
    shown = [text.text for text in ElementTree.fromstring(maps.panels[2].svg).iter("text")]
    assert set(means) <= set(shown), "numbers are printed in the cells"


def test_learning_curves_are_means_over_the_chips_of_a_point(blocks, folder) -> None:
    learning = blocks[2]
    assert learning.title == "pcm, adc bits 4"
    assert [panel.title for panel in learning.panels] == [f"read noise sigma {level}" for level in LEVELS]
    head, *rows = learning.table
    noise, rule, epochs = (head.index(name) for name in ("chip.profile.read_noise.0.sigma", "rule", "epochs"))
    found = {(row[noise], row[rule], row[epochs]): row for row in rows}
    [job] = [job for job in folder.plan.jobs if job.id.endswith("np-pcm-4")]
    lines = (folder.job(job) / "metrics.jsonl").read_text().splitlines()
    for line, (level, place) in itertools.product(lines, enumerate(LEVELS)):
        chips = json.loads(line)["chips"][4 * level : 4 * level + 4]
        row = found[place, "np", chips[0]["epoch"]]
        assert row[head.index("mean")] == pytest.approx(sum(chip["test_accuracy"] for chip in chips) / 4)
        assert row[head.index("chips")] == 4


def staged(folder, programmed: list[bool], evaluations: list[tuple[int, float, list[float]]]) -> None:
    """Turn the one arm of a study into one of stages, with these evaluations: stage, epoch, accuracy of each chip."""
    [job] = folder.plan.jobs
    result = folder.result(job)
    arm = result.arms[job.arm]
    stages = tuple(
        StageResult(
            rule="np",
            profile="made up",
            ex_situ=any(programmed[number + 1 :]),
            programmed=new,
            decorrelated=False,
            oracle=(),
            steps=50,
            passes_per_step=2,
            chips=(),
        )
        for number, new in enumerate(programmed)
    )
    arms = {job.arm: arm.model_copy(update={"stages": stages})}
    write_result(result.model_copy(update={"arms": arms}), folder.job(job) / "result.json")
    curves = [
        Curve(
            arm=job.arm,
            stage=stage,
            step=int(50 * epoch),
            chips=tuple(Metrics(epoch=epoch, test_accuracy=a, test_loss=0.5, train_loss=None) for a in values),
        )
        for stage, epoch, values in evaluations
    ]
    lines = [json.dumps(curve.model_dump(mode="json")) + "\n" for curve in curves]
    (folder.job(job) / "metrics.jsonl").write_text("".join(lines), encoding="utf-8")


@pytest.mark.parametrize(
    ("programmed", "epochs"),
    [
        ([True, True], {1.0: 0.3, 2.0: 0.5}),  # the second stage has chips of its own
        ([True, False], {0.0: 0.1, 1.0: 0.3, 2.0: 0.5}),  # it goes on with those of the first
    ],
)
def test_stages_show_the_chips_that_an_arm_ends_on_once_an_epoch(
    studies, programmed: list[bool], epochs: dict[float, float]
) -> None:
    """Four chips in either stage; the end of the first and the beginning of the second have the same epoch."""
    folder = studies({"np": studies.arm(lambda *_: 0.5)}, making={"epochs": (0.0, 1.0)})
    evaluations = [(0, 0.0, [0.1] * 4), (0, 1.0, [0.9] * 4), (1, 1.0, [0.2, 0.3, 0.3, 0.4]), (1, 2.0, [0.5] * 4)]
    staged(folder, programmed, evaluations)
    [history] = histories(folder, view(folder)).values()
    assert {epoch: each.mean for epoch, each in history.items()} == pytest.approx(epochs)
    assert {each.n for each in history.values()} == {4}


def test_many_levels_are_thinned_out(studies) -> None:
    levels = [f"{level} %" for level in range(1, 15)]
    making = {"epochs": (0.0, 1.0), "chips": 1}
    folder = studies({"np": studies.arm(lambda *_: 0.9)}, [studies.noise(*levels)], making=making)
    seen = view(folder)
    [block] = learning_curves(seen, histories(folder, seen))
    assert len(block.panels) == MOST_LEVELS
    assert (block.panels[0].title, block.panels[-1].title) == ("read noise sigma 1 %", "read noise sigma 14 %")
    assert block.caption == "6 of 14 noise levels are in the CSV file alone."
    assert len({row[0] for row in block.table[1:]}) == 14


def test_one_evaluation_is_no_curve_and_a_missing_noise_axis_no_map(studies) -> None:
    folder = studies({"np": studies.arm(lambda *_: 0.9)}, [studies.profiles("pcm", "reram"), studies.bits(4, 8)])
    seen = view(folder)
    assert learning_curves(seen, histories(folder, seen)) == []
    assert heat_maps(seen) is None
    assert noise_curves(seen) is None
    points = rule_points(seen)
    assert points is not None
    assert len(points.panels) == 4
    assert points.columns == 2, "two lines of two"


def test_a_loss_is_to_be_at_most_so_many_times_that_of_the_reference(studies) -> None:
    for accurate, expected in ((True, 0.9 * 0.5), (False, 0.5 / 0.9)):
        seen = view(studies({"np": studies.arm(lambda *_: 0.5)}, making={"accurate": accurate}))
        assert goal(seen, 0.5) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("scores", "accurate", "expected"),
    [
        ([Interval(0.18, 0.11, 0.25, 5), Interval(0.183, 0.12, 0.24, 5)], True, (10.16, 25.84)),  # whole intervals
        ([Interval(0.5, -0.3, 1.3, 2)], True, (0.0, 101.0)),  # an accuracy ends at 0 and 100 %
        (
            [Interval(2.0, 1.9, 2.1, 5), Interval(1.0, -50.0, 52.0, 2)],
            False,
            (0.0, 3.18),
        ),  # as much again
        ([Interval(0.5, None, None, 1), Interval(math.inf, None, None, 1)], True, (47.5, 52.5)),
        ([], False, (0.0, 1.06)),
    ],
)
def test_axes_of_scores_have_room_for_intervals(scores, accurate, expected) -> None:
    assert limits(scores, accurate) == pytest.approx(expected)
