"""docs/performance.md: its tables are those of the result files."""

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
_MODULE = runpy.run_path(str(ROOT / "benchmarks" / "performance_page.py"))
page, results, tables = _MODULE["page"], _MODULE["results"], _MODULE["tables"]
HEAD = {
    "hardware": "A machine",
    "cores": 2,
    "threads": 1,
    "system": "Linux x86_64",
    "versions": {"torch": "2.0", "cuda": None},
    "compiled_loops": True,
    "matrix_units": False,
    "date": "2026-01-02",
}


def _row(case: str, precision: str | None, ratio: float, **fields: Any) -> dict[str, Any]:
    empty = dict.fromkeys(("width", "batch", "tile", "chips", "layers", "grows_with", "exponent", "last_exponent"))
    told = {"case": case, "what": "a", "beside": "b", "precision": precision, "ratio": ratio, "error": 0.25}
    return {**empty, **told, "seconds": 0.002, "beside_seconds": 0.001, "quartiles": [1.0, 3.0], **fields}


ROWS = [
    *(
        _row("mvm", each, ratio, width=8, batch=batch, tile=4)
        for batch in (1, 10)
        for each, ratio in (("exact", 2.0 + batch), ("fast", 1.0))
    ),
    _row("parts", None, 0.3, what="numbers", width=8),
    _row("parts", None, 0.1, what="numbers", width=16),
    _row("step", None, 1.0, what="plain"),
    _row("step", "exact", 2.0, what="anp"),
    _row("step", "fast", 1.5, what="anp"),
    _row("populations", "fast", 0.5, layers="4-2", batch=3, chips=7),
    _row("growth", "exact", 9.0, grows_with="chips", exponent=0.75, last_exponent=0.9),
    _row("start", None, 0.2, what="analogsim --help"),
]


def test_the_page_has_the_tables_of_the_result_files() -> None:
    text = (ROOT / "docs" / "performance.md").read_text()
    assert page(text, results()) == text, "run `python benchmarks/performance_page.py`"


def test_result_files_of_the_page_are_of_all_cases() -> None:
    rows = results()["CPU"]["rows"]
    assert {row["case"] for row in rows} == {"mvm", "parts", "step", "populations", "growth", "start"}
    assert all(row["ratio"] > 0 for row in rows)


def test_tables_of_a_file() -> None:
    made = tables({"CPU": {"head": HEAD, "rows": ROWS}})
    assert made["machines"] == (
        "- CPU: A machine, 2 cores, 1 threads, Linux x86_64; torch 2.0; loops compiled, no fast products of "
        "bytes; 2026-01-02"
    )
    assert "| noise | width | tile | B 10, exact | B 10, fast | B 1, exact | B 1, fast |" in made["mvm"]
    assert "| a | 8 | 4 | 12.00 | 1.00 | 3.00 | 1.00 |" in made["mvm"]
    assert "| part | width 8 | width 16 |" in made["parts"]
    assert "| numbers | 0.300 | 0.100 |" in made["parts"]
    assert "| plain | 1.00 (1.00 to 3.00), 2 ms |  |" in made["step"]
    assert "| anp | 2.00 (1.00 to 3.00), 2 ms | 1.50 (1.00 to 3.00), 2 ms |" in made["step"]
    assert "| 4-2 | 3 | a | 7 |  | 0.50 (1.00 to 3.00) |" in made["populations"]
    assert "| a | chips | 0.75 ± 0.25; 0.90 |  |" in made["growth"]
    assert "| `analogsim --help` | 0.20 (1.00 to 3.00), 2 ms |" in made["start"]
    for case in ("mvm", "parts", "step", "populations", "growth"):
        assert made[case].endswith("**GPU**: not measured")
    assert made["peers"] == "Not measured."


def test_what_was_not_measured_is_said() -> None:
    made = tables({})
    assert made["machines"] == "- not measured"
    assert made["mvm"] == "**CPU**: not measured\n\n**GPU**: not measured"


def test_peers_tell_their_state() -> None:
    rows = [
        {"system": "one", "version": "1.2", "what": "x", "ratio": 2.345, "state": "measured", "width": 8, "batch": 4},
        {
            "system": "two",
            "version": None,
            "what": "y",
            "ratio": None,
            "state": "not installed",
            "width": 8,
            "batch": 4,
        },
    ]
    made = tables({"peers": {"head": HEAD, "rows": rows}})["peers"]
    assert made.startswith("8 x 8, batch 4:\n")
    assert "| one 1.2 | x | 2.35 |" in made or "| one 1.2 | x | 2.34 |" in made
    assert "| two | y | not installed |" in made


def test_tables_are_replaced_and_text_stays(tmp_path: Path) -> None:
    file = {"CPU": {"head": HEAD, "rows": ROWS}}
    (tmp_path / "bench-cpu.json").write_text(json.dumps(file["CPU"]))
    assert results(tmp_path) == file
    places = "".join(f"before {name}\n<!-- begin {name} -->\nold\n<!-- end {name} -->\n" for name in tables(file))
    once = page(places, file)
    assert "old" not in once
    assert page(once, file) == once
    for name, made in tables(file).items():
        assert f"before {name}\n<!-- begin {name} -->\n\n{made}\n\n<!-- end {name} -->\n" in once


def test_a_page_without_a_place_is_refused() -> None:
    with pytest.raises(ValueError, match=r"begin mvm.*found 0"):
        page("<!-- begin machines -->\n<!-- end machines -->\n", {})
