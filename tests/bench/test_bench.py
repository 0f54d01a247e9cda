"""The benchmark's cases at tiny sizes: what rows hold. No test depends on how fast anything is."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from analogsim.bench import CASES, Row, chosen, head, objects, populations, tables
from analogsim.bench.growth import Growth, Series, power
from analogsim.bench.parts import Parts
from analogsim.bench.populations import Group, Populations
from analogsim.bench.reads import Reads
from analogsim.bench.registry import Entry
from analogsim.bench.row import timed
from analogsim.bench.start import Start
from analogsim.bench.steps import LEARNERS, Steps
from analogsim.bench.timing import Times, in_turn
from analogsim.errors import AnalogsimError

CPU = torch.device("cpu")
TINY = {
    "mvm": Reads(widths=(8, 16), batches=(3, 1), tiles=(8,), repeats=2, seconds=0),
    "parts": Parts(widths=(8,), batch=32, repeats=2, seconds=0),
    "step": Steps(sizes=(6, 5, 3), batch=4, tile=8, repeats=2),
    "populations": Populations((Group((6, 5, 3), 4, (2, 3)),), ("anp",), 2, 0),
    "growth": Growth((Series("width", (2, 3, 5), batch=4, depth=1, ends=(4, 3)),), "anp", 2, 0),
    "start": Start(("import analogsim", "analogsim --help"), repeats=1),
}


@pytest.fixture(scope="module")
def measured() -> dict[str, list[Row]]:
    return {name: list(case.rows(CPU)) for name, case in TINY.items()}


def test_every_case_has_a_tiny_form_here() -> None:
    assert list(TINY) == list(CASES)
    for name, entry in CASES.items():
        assert type(entry.full) is type(entry.quick) is type(TINY[name])


@pytest.mark.parametrize("name", CASES)
def test_rows_are_of_their_case_and_valid_json(name: str, measured: dict[str, list[Row]]) -> None:
    assert measured[name]
    for row in measured[name]:
        assert row.case == name
        assert row.device == "cpu"
        data = json.loads(json.dumps(row.to_data(), allow_nan=False))
        assert {"case", "width", "batch", "tile", "chips", "device", "precision", "ratio"} <= set(data)
        assert Row(**{**data, "quartiles": None if data["quartiles"] is None else tuple(data["quartiles"])}) == row
        assert row.ratio > 0
        assert row.seconds is not None
        assert row.seconds > 0
        if row.quartiles is not None:
            assert 0 < row.quartiles[0] <= row.ratio <= row.quartiles[1]


def test_reads_are_of_every_width_tile_noise_batch_and_precision(measured: dict[str, list[Row]]) -> None:
    found = [(row.width, row.tile, row.what, row.batch, row.precision) for row in measured["mvm"]]
    tiles = [(8, 8), (16, 16), (16, 8)]
    assert found == [
        (width, tile, noise, batch, precision)
        for width, tile in tiles
        for noise in objects.NOISES
        for batch in (3, 1)
        for precision in ("exact", "fast")
    ]


def test_steps_are_of_every_learner_beside_plain_torch(measured: dict[str, list[Row]]) -> None:
    fused, *rest = measured["step"]
    assert fused.precision is None
    assert [(row.what, row.precision) for row in rest] == [
        (name, precision) for name in LEARNERS for precision in ("exact", "fast")
    ]
    assert {row.beside for row in measured["step"]} == {"torch, BP with Adam"}
    assert {row.layers for row in rest} == {"6-5-3"}


def test_a_population_is_told_by_chip(monkeypatch: pytest.MonkeyPatch) -> None:
    times = {"1": Times([2.0]), "2": Times([3.0]), "3": Times([9.0])}
    monkeypatch.setattr(populations, "in_turn", lambda acts, *_, **__: {name: times[name] for name in acts})
    rows = list(TINY["populations"].rows(CPU))
    assert [(row.precision, row.chips, row.ratio) for row in rows] == [
        ("exact", 2, 0.75),
        ("exact", 3, 1.5),
        ("fast", 2, 0.75),
        ("fast", 3, 1.5),
    ]


def test_growth_has_an_exponent_and_leaves_out_what_grows(measured: dict[str, list[Row]]) -> None:
    for row in measured["growth"]:
        assert row.width is None
        assert (row.batch, row.depth, row.chips, row.samples) == (4, 1, 1, 1)
        assert row.grows_with == "weights"
        assert row.exponent is not None and math.isfinite(row.exponent)
        assert row.error is not None and row.error >= 0


@pytest.mark.parametrize("along", ["chips", "batch", "samples", "width", "depth"])
def test_a_series_grows_along_one_size_only(along: str) -> None:
    series = Series(along, (1, 2, 3), ends=(4, 3))
    assert [getattr(series.at(size), along) for size in series.sizes] == [1, 2, 3]
    assert replace(series.at(7), **{along: getattr(series, along)}) == series


def test_weights_of_a_series_count_biases() -> None:
    assert Series("depth", (1, 2, 3), width=5, depth=2, ends=(4, 3)).weights == 5 * 5 + 6 * 5 + 6 * 3


def test_power_finds_the_exponent_of_a_law() -> None:
    exponent, error = power([1, 2, 4, 8], [3.0 * size**1.7 for size in (1, 2, 4, 8)])
    assert exponent == pytest.approx(1.7, abs=1e-12)
    assert error == pytest.approx(0, abs=1e-7)


def test_power_has_the_standard_error_of_least_squares() -> None:
    x, noise = [0.0, 1.0, 2.0, 3.0], [0.1, -0.2, 0.05, 0.05]
    exponent, error = power([math.exp(each) for each in x], [math.exp(each) for each in noise])
    slope = -0.002 / 1 + sum((a - 1.5) * b for a, b in zip(x, noise, strict=True)) / 5 + 0.002
    left = sum((b - slope * (a - 1.5)) ** 2 for a, b in zip(x, noise, strict=True))
    assert exponent == pytest.approx(slope, rel=1e-9)
    assert error == pytest.approx(math.sqrt(left / 2 / 5), rel=1e-9)


@pytest.mark.parametrize("sizes", [[1, 2], [2, 2, 2]])
def test_power_refuses_too_few_sizes(sizes: list[float]) -> None:
    with pytest.raises(ValueError, match="three sizes"):
        power(sizes, [1.0] * len(sizes))


def test_acts_are_timed_in_turn() -> None:
    calls = []
    found = in_turn({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 3, CPU, warm=1)
    assert "".join(calls) == "abababab"
    assert [len(times.seconds) for times in found.values()] == [3, 3]
    many = in_turn({"a": lambda: None}, 2, CPU, seconds=1e9)
    assert len(many["a"].seconds) == 500
    with pytest.raises(ValueError, match=r"repeats = 0"):
        in_turn({}, 0, CPU)


def test_on_a_gpu_an_act_is_timed_by_events_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            calls.append("record")

        def elapsed_time(self, end: "Event") -> float:
            assert end is not self
            return 250.0  # milliseconds

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: calls.append("wait"))
    found = in_turn({"a": lambda: calls.append("act")}, 1, torch.device("cuda"), warm=0)
    assert calls == ["wait", "record", "act", "record", "wait"]
    assert found["a"].seconds == [0.25]


def test_a_ratio_and_its_quartiles_are_turn_by_turn() -> None:
    row = timed(
        Times([2.0, 4.0, 9.0]),
        Times([1.0, 1.0, 3.0]),
        0.5,
        case="mvm",
        what="a",
        beside="b",
        device="cpu",
        precision=None,
    )
    assert row.ratio == 1.5
    assert (row.seconds, row.beside_seconds) == (4.0, 1.0)
    assert row.quartiles == (1.25, 1.75)  # of ratios 2, 4, 3, halved


def test_plain_torch_learns_its_batch_and_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    plain = objects.Plain((6, 5, 3), 4, CPU)
    with torch.no_grad():
        first = torch.nn.functional.cross_entropy(plain._net(plain._x), plain._y)
    for _ in range(50):
        plain.step()
    with torch.no_grad():
        last = torch.nn.functional.cross_entropy(plain._net(plain._x), plain._y)
    assert last < first
    assert torch.equal(torch.get_rng_state(), before)


def test_precision_and_tile_reach_the_chip(monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    chip = objects.Chip

    def made(*args: Any, **settings: Any) -> Any:
        given.append((settings["products"], settings["tile"]))
        return chip(*args, **settings)

    monkeypatch.setattr(objects, "Chip", made)
    exact, fast = (objects.layer(8, 4, "proportional read noise", each, CPU) for each in ("exact", "fast"))
    objects.learner((6, 5, 3), 4, "anp", CPU, "fast", tile=3)
    assert given == [("exact", 4), ("fast", 4), ("fast", 3)]
    assert exact.profile == fast.profile
    assert torch.equal(exact.oracle.weights[0], fast.oracle.weights[0])


def test_a_learners_step_changes_its_copy() -> None:
    controller = objects.learner((6, 5, 3), 4, "anp", CPU, chips=2)
    before = [w.clone() for w in controller.copy.weights]
    controller.step()
    assert controller.copy.weights[0].shape[0] == 2
    assert not torch.equal(before[0], controller.copy.weights[0])


def test_head_names_machine_and_versions() -> None:
    found = json.loads(json.dumps(head(CPU)))
    assert found["hardware"] == found["processor"]
    assert found["threads"] == torch.get_num_threads()
    assert found["versions"]["torch"] == torch.__version__
    assert {"date", "cores", "compiled_loops", "matrix_units", "float32_products"} <= set(found)


def test_cases_are_chosen_by_name_once() -> None:
    assert chosen(["start", "mvm", "start"], False) == [CASES["start"].full, CASES["mvm"].full]
    assert chosen([], True) == [entry.quick for entry in CASES.values()]
    with pytest.raises(AnalogsimError, match=r"mwm is no case of the benchmark; the cases are mvm, parts"):
        chosen(["mvm", "mwm"], False)


def test_tables_have_a_line_for_each_row(measured: dict[str, list[Row]]) -> None:
    made = tables([row for rows in measured.values() for row in rows])
    assert [table.row_count for table in made] == [len(rows) for rows in measured.values()]


def test_the_command_prints_a_table_and_writes_rows(
    command: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(CASES, "mvm", Entry(TINY["step"], Reads((4,), (2,), (), ("no noise",), 1, 0)))
    before = torch.get_num_threads()
    out = tmp_path / "bench.json"
    assert command("bench", "mvm", "--quick", "--threads", "1", "--out", str(out)) == 0
    assert torch.get_num_threads() == before
    printed, told = capsys.readouterr()
    assert "mvm: ratio to torch.mm" in printed
    assert "mvm 2: no noise, ratio" in told
    found = json.loads(out.read_text())
    assert found["head"]["threads"] == 1
    assert len(found["rows"]) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["nonsense"],
            "nonsense is no case of the benchmark; the cases are mvm, parts, step, populations, growth, start",
        ),
        (["--device", "tpu"], "--device tpu: not a known device"),
        (["mvm", "--out", "/nowhere/at/all.json"], "there is no folder /nowhere/at"),
    ],
)
def test_errors_are_one_message_before_anything_is_measured(
    arguments: list[str], message: str, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("bench", *arguments) == 2
    out, err = capsys.readouterr()
    assert message in err
    assert len(err.splitlines()) == 1
    assert not out
