"""Tables in a terminal of 80 columns, and marks of comparisons in figures."""

from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from analogsim.report.diagnostics import metric_curves
from analogsim.report.table import final_table, lives_table, stages_table, standings_table
from analogsim.results import ArmResult, ChipOfStage, Counts, Life, Moment, Result, StageResult

LONG = "anp_with_a_name_of_its_own"
SIGMA = "chip.profile.read_noise.0.sigma"


def _stages(made) -> tuple[StageResult, ...]:
    counts = Counts(passes=4, device_writes=9, vectors=100, silent=0, saturated=0.0)
    chips = tuple(
        ChipOfStage(lr=0.1, status="finished", begin=made.metrics(a / 10), final=made.metrics(a), counts=counts)
        for a in (0.1, 0.95)
    )
    more = {"decorrelated": True, "oracle": (), "steps": 2, "passes_per_step": 20000, "chips": chips}
    programmed = {"profile": "a_profile_with_a_long_name_itself", "programmed": True}
    return (
        StageResult.model_validate({"rule": "mirrored_bp", "ex_situ": True, **programmed, **more}),
        StageResult.model_validate({"rule": "mirrored_bp", "ex_situ": False, **programmed, **more}),
    )


@pytest.fixture
def result(made) -> Result:
    point = {SIGMA: "1 %"}
    full = {"silent": 100, "saturated": 1.0, "oracle": ("output_error",), "passes_per_step": 20000}
    seen = {"accuracy": (0.1, 1.0), "joules": (1.0e-3, 1.2e-3)}
    lives = (Life(chips=(0, 1), moments=(Moment(seconds=2629800, event="evaluate", steps=100000, **seen),)),)
    wide: ArmResult = made.arm((point, [0.1] * 9 + [1.0]), family=LONG, lives=lives, **full)
    other: ArmResult = made.arm((point, [0.95, 0.1] * 5), family=f"{LONG}_2", stages=_stages(made))
    leader: ArmResult = made.arm((point, [0.99, 0.96] * 5), family="bp")
    chips = tuple(chip.model_copy(update={"status": "diverged"}) for chip in wide.chips)
    return made.result({LONG: wide.model_copy(update={"chips": chips}), f"{LONG}_2": other, "bp": leader})


@pytest.mark.parametrize("table", [final_table, standings_table, stages_table, lives_table])
def test_numbers_and_heads_are_whole_in_80_columns(table: object, result: Result) -> None:
    assert callable(table)
    drawn = table(result)
    assert isinstance(drawn, Table)
    console = Console(width=80)
    with console.capture() as capture:
        console.print(drawn)
    text = capture.get()
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    seen = 0
    for column in drawn.columns:
        if column.justify == "right":
            for cell in (str(column.header), *map(str, column.cells)):
                assert all(line in text for line in cell.split("\n")), cell
                seen += "±" in cell
    assert seen, "intervals, of which nothing may be cut off"
    squeezed = "".join(text.split())
    for column in drawn.columns:
        if column.justify == "left":
            for name in map(str, column.cells):
                assert name.replace(" ", "")[:4] in squeezed, name


def test_names_fold_and_lose_nothing(result: Result) -> None:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(final_table(result))
    lines = [line for line in capture.get().splitlines() if line.strip()]
    first = "".join(line[1:9].replace(" ", "") for line in lines)
    assert f"{LONG}(oracle)" in first
    assert f"{LONG}_2(exsitu)" in first
    assert "readnoisesigma1%" in first


def test_no_number_shrinks_where_even_folded_names_do_not_fit(result: Result) -> None:
    """The terminal then cuts the last columns off; those before them are as they were."""
    console = Console(width=60)
    with console.capture() as capture:
        console.print(final_table(result))
    lines = capture.get().splitlines()
    [wide] = [line.split() for line in lines if "19.00 ±" in line]
    assert wide[1:8] == ["19.00", "±", "20.36", "19.00", "0.500", "10", "20000"]
    assert len(wide[0]) == 6, "of a name, at the least"


def test_a_table_that_fits_keeps_its_gaps(made) -> None:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(final_table(made.result({"np": made.arm(({}, [0.9, 0.91, 0.92]))})))
    assert "91.00 ± 2.48   91.00   0.500" in capture.get()


def test_a_metric_marks_every_comparison(made, tmp_path: Path) -> None:
    arms = {
        "staged": made.arm(({}, [0.9, 0.8]), stages=_stages(made)),
        "both": made.arm(({}, [0.9, 0.8]), stages=_stages(made), oracle=("output_error",)),
        "plain": made.arm(({}, [0.9, 0.8])),
    }
    result = made.result(arms)
    metric_curves(result, made.curves(result, angle=(30.0, 40.0)), "angle", [tmp_path / "angle.svg"])
    text = (tmp_path / "angle.svg").read_text()
    for title in ("staged (ex situ)", "both (oracle, ex situ)", "plain"):
        assert f">{title}</text>" in text
    dashed = [line for line in text.splitlines() if "stroke-dasharray" in line and "stroke-width: 1.6" in line]
    assert len(dashed) == 2 * (2 + 1), "lines of two arms in two panels and in the legend"


def test_where_nothing_was_learned_a_metric_is_a_dot_for_each_arm(made, tmp_path: Path) -> None:
    """One panel for each layer that has the metric, arms by name; a bar is half a 95 % interval on either side."""
    result = made.result({name: made.arm(({}, [0.3, 0.4])) for name in ("np_1", "np_30")})
    curves = [curve for curve in made.curves(result, angle=(30.0, None, 40.0)) if curve.step == 0]
    metric_curves(result, curves, "angle", [tmp_path / "angle.svg"])
    text = (tmp_path / "angle.svg").read_text()
    counts = {each: text.count(f">{each}</text>") for each in ("layer 1", "layer 2", "layer 3", "np_1", "np_30")}
    assert counts == {"layer 1": 1, "layer 2": 0, "layer 3": 1, "np_1": 1, "np_30": 1}
    assert "angle of an update" in text
    assert "epochs" not in text
