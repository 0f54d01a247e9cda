"""Chips whose loss is not finite, and numbers that a run does not have."""

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from analogsim.cli.run import show
from analogsim.report.summary import standings
from analogsim.report.table import standings_table
from analogsim.results import Result, write_result


def _behind(result: Result) -> dict[str, tuple[bool, bool]]:
    [(_, found)] = standings(result)
    return {s.arm: (s.leads, s.behind is not None) for s in found}


def _last_words(result: Result) -> dict[str, str]:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(standings_table(result))
    lines = [line.split() for line in capture.get().splitlines()]
    return {line[0]: line[-1] for line in lines if len(line) > 1 and line[1] in result.arms}


def test_no_difference_where_a_pair_is_not_finite(made) -> None:
    made.losses()
    numbers = {"good": [0.1, 0.2], "half": [0.1, None], "worse": [0.3, 0.5], "gone": [None, None]}
    result = made.result({name: made.arm(({}, values), family=name) for name, values in numbers.items()})
    assert _behind(result) == {
        "good": (True, False),
        "half": (False, False),
        "worse": (False, True),
        "gone": (False, False),
    }
    last = _last_words(result)
    assert (last["good"], last["half"], last["gone"]) == ("leads", "diverged", "diverged")
    assert last["worse"] == "0.64"  # t(0.975; 1) = 12.706, differences 0.2 and 0.3: 12.706 x 0.05


@pytest.mark.parametrize("values", [[None, None], [0.2, None]])
def test_nobody_leads_where_all_diverged(made, values: list[float | None]) -> None:
    made.losses()
    fit = {"oracle": made.arm(({}, [0.1, 0.1]), oracle=("output_error",), family="oracle")}
    arms = {name: made.arm(({}, values), family=name) for name in ("a", "b")}
    result = made.result({**fit, **arms})
    assert _behind(result) == dict.fromkeys(result.arms, (False, False))
    assert {name: _last_words(result)[name] for name in arms} == {"a": "diverged", "b": "diverged"}


def _refuse(constant: str) -> Any:
    raise AssertionError(f"{constant} is no JSON")


@pytest.mark.parametrize("accurate", [False, True])
def test_json_has_null_for_what_is_not_finite(
    made, accurate: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made.accurate = accurate
    result = made.result({"good": made.arm(({}, [0.1, 0.3])), "gone": made.arm(({}, [0.1, None]))})
    write_result(result, tmp_path / "result.json")
    lines = [json.dumps(curve.model_dump(mode="json")) + "\n" for curve in made.curves(result)]
    (tmp_path / "metrics.jsonl").write_text("".join(lines))
    show(tmp_path, as_json=True)
    good, gone = json.loads(capsys.readouterr().out, parse_constant=_refuse)["rows"]
    shown, absent = ("final", "loss") if accurate else ("loss", "final")
    assert good[shown][0] == pytest.approx(0.2)
    assert gone[shown] == [None, None]
    assert good[absent] == ([0.5, 0.0] if accurate else [None, None])
    assert (gone["chips"], gone["diverged"]) == (2, 1)
