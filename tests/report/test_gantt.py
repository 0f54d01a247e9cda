"""The Gantt figure of a step."""

import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from analogsim.report import gantt

BARS = [
    ("layer 0 array", "read", 0.0, 2e-6),
    ("layer 0 array", "write", 40e-6, 50e-6),
    ("layer 0 ADC", "read", 1e-6, 3e-6),
    ("learning", "loss", 1e-6, 1.4e-6),
    ("learning", "update", 3e-6, 40e-6),
]


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    def draw(bars) -> Figure:
        kept: list[Figure] = []
        save = gantt.save
        monkeypatch.setattr(gantt, "save", lambda figure, files: (kept.append(figure), save(figure, files)))
        files = [tmp_path / "step.png", tmp_path / "step.svg"]
        gantt.step_gantt(bars, "a step", files)
        assert imread(files[0]).ndim == 3 and files[1].stat().st_size > 0
        return kept[0]

    return draw


def test_a_line_for_each_part_and_a_unit_that_fits(drawn) -> None:
    figure = drawn(BARS)
    passes, whole = figure.axes
    assert [label.get_text() for label in passes.get_yticklabels()] == [
        "layer 0 array, 24 %",
        "layer 0 ADC, 4 %",
        "learning, 75 %",
    ]
    assert (passes.get_xlabel(), whole.get_xlabel()) == ("time, us", "time, us")
    assert passes.get_xlim() == pytest.approx((0, 3 * 1.4))
    assert whole.get_xlim() == pytest.approx((0, 50))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["read", "loss", "update", "write"]


def test_passes_that_fill_the_step_need_no_panel_of_their_own(drawn) -> None:
    (panel,) = drawn([("layer 0 array", "read", 0.0, 2e-9), ("learning", "update", 2e-9, 3e-9)]).axes
    assert panel.get_xlabel() == "time, ns"


def test_nothing_to_draw_is_no_fault(drawn) -> None:
    assert len(drawn([]).axes) == 1


def test_bars_join_over_gaps_that_cannot_be_seen() -> None:
    spans = [(0.0, 1.0), (1.05, 2.0), (4.0, 4.001)]
    assert gantt._joined(spans, 0.1) == [(0.0, 2.0, pytest.approx(1.95 / 2)), (4.0, 4.1, 1.0)]
