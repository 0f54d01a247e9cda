"""Arms with different axes: one has several learning rates, another has one."""

import json
from pathlib import Path

import pytest

from analogsim.cli.run import show
from analogsim.report.axis import accuracy_against, only_axis
from analogsim.report.curves import learning_curves
from analogsim.report.summary import standings
from analogsim.results import Result, write_result

LOW, HIGH = {"lr": 0.01}, {"lr": 0.1}


@pytest.fixture(params=[False, True], ids=["one rate first", "many rates first"])
def result(request: pytest.FixtureRequest, made) -> Result:
    plain = made.arm(({}, [0.8, 0.82]), family="NP")
    rates = made.arm((LOW, [0.7, 0.72]), (HIGH, [0.9, 0.92]), family="ANP")
    other = made.arm((LOW, [0.75, 0.77]), family="other")
    arms = {"plain": plain, "rates": rates, "other": other}
    return made.result(dict(reversed(arms.items())) if request.param else arms)


def test_standings_have_the_points_of_all_arms(result: Result) -> None:
    found = {str(point): {s.arm: (s.final[0], s.leads) for s in line} for point, line in standings(result)}
    assert found == {
        "{}": {"plain": (pytest.approx(0.81), True)},
        str(LOW): {"rates": (pytest.approx(0.71), False), "other": (pytest.approx(0.76), True)},
        str(HIGH): {"rates": (pytest.approx(0.91), True)},
    }


def test_learning_curves_have_a_panel_for_each_and_all_arms_in_the_legend(result: Result, made, tmp_path: Path) -> None:
    learning_curves(result, made.curves(result), [tmp_path / "curves.svg"])
    text = (tmp_path / "curves.svg").read_text()
    for words in ("lr 0.01", "lr 0.1", "NP", "ANP", "other"):
        assert f"<!-- {words} -->" in text or f">{words}</text>" in text, words


def test_a_family_has_one_colour_in_all_panels(made, tmp_path: Path) -> None:
    arms = {
        "a": made.arm((LOW, [0.8, 0.82]), family="A"),
        "b": made.arm((LOW, [0.7, 0.72]), (HIGH, [0.7, 0.72]), family="B"),
    }
    result = made.result(arms)
    learning_curves(result, made.curves(result), [tmp_path / "curves.svg"])
    text = (tmp_path / "curves.svg").read_text()
    colours = [line for line in text.splitlines() if "stroke-width: 1.6" in line]
    strokes = [line.split("stroke: ")[1].split(";")[0] for line in colours]
    assert len(set(strokes)) == 2
    assert strokes.count(strokes[0]) == 2, "a line and an entry of the legend"
    assert strokes.count(strokes[1]) == 3, "two lines and an entry of the legend"


def test_the_figure_against_the_axis_has_a_tick_for_arms_without_it(result: Result, tmp_path: Path) -> None:
    assert only_axis(result) == "lr"
    accuracy_against(result, "lr", [tmp_path / "axis.svg"])
    text = (tmp_path / "axis.svg").read_text()
    for words in ("-", "0.01", "0.1", "NP", "ANP", "other"):
        assert f">{words}</text>" in text, words


def test_there_is_no_such_figure_where_two_points_share_a_place(made) -> None:
    level = [{"chip.profile.read_noise.0.sigma": each} for each in ("0 %", "1 %")]
    both = made.arm(*((point, [0.8, 0.82]) for point in level))
    one_rate = made.arm(*(({**point, **LOW}, [0.8, 0.82]) for point in level))
    assert only_axis(made.result({"both": both})) is not None
    assert only_axis(made.result({"both": both, "one rate": one_rate})) is None


def test_a_run_of_both_is_shown(result: Result, made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_result(result, tmp_path / "result.json")
    lines = [json.dumps(curve.model_dump(mode="json")) + "\n" for curve in made.curves(result)]
    (tmp_path / "metrics.jsonl").write_text("".join(lines))
    show(tmp_path, as_json=False)
    out = capsys.readouterr().out
    for number in ("81.00 ± 12.71", "71.00 ± 12.71", "76.00 ± 12.71", "91.00 ± 12.71", "5.00 ± 0.00"):
        assert number in out, number
