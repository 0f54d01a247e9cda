"""Summaries, the table and the figure, from results made by hand."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from analogsim.report.axis import accuracy_against, only_axis
from analogsim.report.curves import learning_curves
from analogsim.report.summary import point_label, rows
from analogsim.report.table import final_table
from analogsim.results import ArmResult, ChipResult, Counts, Curve, Metrics, Result, interval


def _metrics(epoch: float, accuracy: float | None) -> Metrics:
    return Metrics(epoch=epoch, test_accuracy=accuracy, test_loss=0.5, train_loss=None)


def _loss(epoch: float, loss: float) -> Metrics:
    return Metrics(epoch=epoch, test_accuracy=None, test_loss=loss, train_loss=None)


def _result(oracle: tuple[str, ...] = (), silent: int = 0, diverged: bool = False, saturated: float = 0.0) -> Result:
    chips = []
    for level in ("0 %", "1 %"):
        for chip in range(3):
            final = _metrics(2, 0.9 + 0.01 * chip)
            chips.append(
                ChipResult(
                    coordinates={"chip.profile.read_noise.0.sigma": level, "chip": chip},
                    lr=0.001,
                    status="diverged" if diverged and chip == 0 else "finished",
                    final=final,
                    best=final,
                    counts=Counts(passes=4, device_writes=9, vectors=100, silent=silent, saturated=saturated),
                )
            )
    arm = ArmResult(rule="anp", decorrelated=False, oracle=oracle, steps=2, passes_per_step=2, chips=tuple(chips))
    return Result(name="made up", seed=0, arms={"first": arm})


def _text(result: Result) -> str:
    console = Console(width=120, record=True, file=None, quiet=True)
    with console.capture() as capture:
        console.quiet = False
        console.print(final_table(result))
    return capture.get()


def test_interval_is_students_t() -> None:
    values = np.random.default_rng(1).normal(size=9)
    mean, half = interval(values.tolist())
    low, high = stats.t.interval(0.95, 8, loc=values.mean(), scale=stats.sem(values))
    assert mean == pytest.approx((low + high) / 2, rel=1e-12)
    assert half == pytest.approx((high - low) / 2, rel=1e-9)
    assert interval([3.0]) == (3.0, None)


def test_a_row_for_each_point_with_mean_and_interval() -> None:
    found = rows(_result())
    assert [row.point for row in found] == [{"chip.profile.read_noise.0.sigma": level} for level in ("0 %", "1 %")]
    assert found[0].chips == 3
    assert found[0].final == pytest.approx(interval([0.9, 0.91, 0.92]))
    assert point_label(found[1].point) == "read noise sigma 1 %"


def test_the_table_marks_what_must_not_be_missed() -> None:
    plain = _text(_result())
    assert "91.00 ± 2.48" in plain
    assert "oracle" not in plain
    assert "silent" not in plain
    assert "saturated: " not in plain
    marked = _text(_result(oracle=("output_error",), silent=50, diverged=True, saturated=0.021))
    assert "first (oracle)" in marked
    assert "50%" in marked
    assert "2.1%" in marked
    assert "saturated: share of weights that stand at the end of the range" in marked
    assert "1 of 3" in marked


def test_the_figure_has_a_line_and_a_band_for_each_arm_and_repeats(tmp_path: Path) -> None:
    result = _result(oracle=("output_error",))
    curves = [
        Curve(arm="first", step=step, chips=tuple(_metrics(step, 0.1 * step + 0.01 * chip) for chip in range(6)))
        for step in range(3)
    ]
    (png, svg), again = ([tmp_path / folder / f"curves.{kind}" for kind in ("png", "svg")] for folder in ("a", "b"))
    learning_curves(result, curves, [png, svg])
    assert png.read_bytes().startswith(b"\x89PNG")
    text = svg.read_text()
    ElementTree.fromstring(text)
    assert "first (oracle)" in text
    assert "read noise sigma 1 %" in text
    learning_curves(result, curves, again)
    assert again[1].read_text() == text


def test_seeds_are_repeats_of_one_curve(tmp_path: Path) -> None:
    result = _result()
    arm = result.arms["first"]
    chips = [chip.model_copy(update={"coordinates": {"seed": at, "chip": 0}}) for at, chip in enumerate(arm.chips)]
    result = result.model_copy(update={"arms": {"first": arm.model_copy(update={"chips": chips})}})
    curves = [Curve(arm="first", step=0, chips=tuple(_metrics(0, 0.1 * at) for at in range(6)))]
    learning_curves(result, curves, [tmp_path / "curves.svg"])
    text = (tmp_path / "curves.svg").read_text()
    assert text.count('id="axes_') == 1
    assert ">seed 0<" not in text


@pytest.mark.parametrize(("last", "mean"), [(0.3, "mean"), (0.1, "geometric mean")])
def test_losses_that_fall_far_have_geometric_means(last: float, mean: str, tmp_path: Path) -> None:
    """A band of an arithmetic mean may reach below 0, which no logarithmic scale shows."""
    result = _result()
    arm = result.arms["first"]
    chips = [chip.model_copy(update={"final": _loss(2, last), "best": _loss(2, last)}) for chip in arm.chips]
    result = result.model_copy(update={"arms": {"first": arm.model_copy(update={"chips": chips})}})
    curves = [
        Curve(arm="first", step=step, chips=tuple(_loss(step, loss) for _ in range(6)))
        for step, loss in ((0, 1.0), (1, 0.5), (2, last))
    ]
    learning_curves(result, curves, [tmp_path / "curves.svg"])
    assert f": {mean} over chips" in (tmp_path / "curves.svg").read_text()


def test_an_axis_has_a_figure_of_its_own(tmp_path: Path) -> None:
    result = _result(oracle=("output_error",))
    assert only_axis(result) == "chip.profile.read_noise.0.sigma"
    files = [tmp_path / "figures" / f"axis.{kind}" for kind in ("png", "svg")]
    accuracy_against(result, "chip.profile.read_noise.0.sigma", files)
    text = files[1].read_text()
    for word in ("0 %", "1 %", "first (oracle)", "read noise sigma"):
        assert word in text
    assert list(files[0].parent.glob("*.part")) == []
