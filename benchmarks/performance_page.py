"""The tables of docs/performance.md, from the result files of `analogsim bench`, benchmarks/peers.py and dalm_steps.py.

    python benchmarks/performance_page.py

Each table stands between two comments, `<!-- begin NAME -->` and `<!-- end NAME -->`; the text around them stays.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE, RESULTS = ROOT / "docs" / "performance.md", ROOT / "docs" / "results"
FILES = {
    "CPU": "bench-cpu.json",
    "another CPU": "bench-cpu-vnni.json",
    "GPU": "bench-cuda.json",
    "peers": "peers-cpu.json",
    "authors": "dalm-steps.json",
}

Data = dict[str, Any]
PRECISIONS = ("exact", "fast")


def results(folder: Path = RESULTS) -> dict[str, Data]:
    """Those files that are there, by the names of `FILES`."""
    found = {name: folder / file for name, file in FILES.items()}
    return {name: json.loads(path.read_text()) for name, path in found.items() if path.is_file()}


def page(text: str, files: Mapping[str, Data]) -> str:
    """The page with its tables made anew.

    Raises:
        ValueError: the page lacks the place of a table, or has it more than once.
    """
    for name, made in tables(files).items():
        place = re.compile(rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
        body = f"\n{made}\n\n"
        text, count = place.subn(lambda found, body=body: found[1] + body + found[2], text)
        if count != 1:
            raise ValueError(f"docs/performance.md must have one `<!-- begin {name} -->` with its end (found {count})")
    return text


def tables(files: Mapping[str, Data]) -> dict[str, str]:
    """Markdown by the name of its place."""
    made = {case: "\n\n".join(_devices(files, case, table)) for case, table in CASES.items()}
    heads = [_head(name, files[name]["head"]) for name in FILES if name in files]
    return {
        "machines": "\n".join(heads) or "- not measured",
        **made,
        "peers": _peers(files.get("peers")),
        "authors": _authors(files.get("authors")),
    }


def _devices(files: Mapping[str, Data], case: str, table: Callable[[list[Data]], str]) -> Iterable[str]:
    for device in ("CPU", "another CPU") if case == "start" else ("CPU", "another CPU", "GPU"):
        rows = [row for row in files[device]["rows"] if row["case"] == case] if device in files else []
        if rows or device != "another CPU":
            yield f"**{device}**\n\n{table(rows)}" if rows else f"**{device}**: not measured"


def _head(name: str, head: Data) -> str:
    versions = ", ".join(f"{key} {value}" for key, value in head["versions"].items() if value)
    loops = "loops compiled" if head["compiled_loops"] else "loops not compiled"
    units = "fast products of bytes" if head["matrix_units"] else "no fast products of bytes"
    machine = f"{head['hardware']}, {head['cores']} cores, {head['threads']} threads"
    return f"- {name}: {machine}, {head['system']}; {versions}; {loops}, {units}; {head['date']}"


def _mvm(rows: list[Data]) -> str:
    batches = sorted({row["batch"] for row in rows}, reverse=True)
    heads = [f"B {batch}, {each}" for batch in batches for each in PRECISIONS]
    lines: dict[tuple[Any, ...], dict[Any, str]] = {}
    for row in rows:
        cells = lines.setdefault((row["what"], row["width"], row["tile"]), {})
        cells[row["batch"], row["precision"]] = f"{row['ratio']:.2f}"
    keys = [(batch, each) for batch in batches for each in PRECISIONS]
    body = [[*map(str, line), *(cells.get(key, "") for key in keys)] for line, cells in lines.items()]
    return _markdown(["noise", "width", "tile", *heads], body)


def _parts(rows: list[Data]) -> str:
    widths = sorted({row["width"] for row in rows})
    ratios = {(row["what"], row["width"]): f"{row['ratio']:.3f}" for row in rows}
    body = [
        [name, *(ratios.get((name, width), "") for width in widths)] for name in dict.fromkeys(n for n, _ in ratios)
    ]
    return _markdown(["part", *(f"width {width}" for width in widths)], body)


def _by_precision(names: Mapping[str, str], cell: Callable[[Data], str]) -> Callable[[list[Data]], str]:
    """Lines of the same `names`, a column for each precision; what has none stands in the first."""

    def made(rows: list[Data]) -> str:
        lines: dict[tuple[Any, ...], dict[str, str]] = {}
        for row in rows:
            cells = lines.setdefault(tuple(row[key] for key in names.values()), {})
            cells[row["precision"] or PRECISIONS[0]] = cell(row)
        body = [[*map(str, line), *(cells.get(each, "") for each in PRECISIONS)] for line, cells in lines.items()]
        return _markdown([*names, *PRECISIONS], body)

    return made


def _spread(row: Data) -> str:
    low, high = row["quartiles"]
    return f"{row['ratio']:.2f} ({low:.2f} to {high:.2f})"


def _timed(row: Data) -> str:
    return f"{_spread(row)}, {1e3 * row['seconds']:.3g} ms"


def _power(row: Data) -> str:
    return f"{row['exponent']:.2f} ± {row['error']:.2f}; {row['last_exponent']:.2f}"


def _start(rows: list[Data]) -> str:
    return _markdown(["command", "ratio to `import torch`"], [[f"`{row['what']}`", _timed(row)] for row in rows])


def _peers(data: Data | None) -> str:
    if data is None:
        return "Not measured."
    rows = [
        [
            f"{row['system']} {row['version'] or ''}".strip(),
            row["what"],
            row["state"] if row["ratio"] is None else f"{row['ratio']:.3g}",
        ]
        for row in data["rows"]
    ]
    sizes = {(row["width"], row["batch"]) for row in data["rows"]}
    told = ", ".join(f"{width} x {width}, batch {batch}" for width, batch in sorted(sizes))
    return f"{told}:\n\n" + _markdown(["system", "what is simulated", "ratio to `torch.mm`"], rows)


def _authors(data: Data | None) -> str:
    if data is None:
        return "Not measured."
    rows = [
        [str(row["inputs"]), row["what"], f"{row['to_their_danp']:.2f}", f"{row['to_torch_bp']:.2f}"]
        for row in data["rows"]
    ]
    heads = ["inputs", "step", "ratio to the authors' DANP", "ratio to BP in plain torch"]
    return f"tensorflow {data['tensorflow']}:\n\n" + _markdown(heads, rows)


def _markdown(heads: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (heads, ["---"] * len(heads), *rows))


CASES: dict[str, Callable[[list[Data]], str]] = {
    "mvm": _mvm,
    "parts": _parts,
    "step": _by_precision({"learner": "what"}, _timed),
    "populations": _by_precision({"network": "layers", "batch": "batch", "learner": "what", "chips": "chips"}, _spread),
    "growth": _by_precision({"series": "what", "grows with": "grows_with"}, _power),
    "start": _start,
}
"""How the rows of each case become a table."""


def main() -> None:
    text = page(PAGE.read_text(), results())
    PAGE.write_text(text)
    print(f"{PAGE}: tables of {', '.join(results()) or 'nothing'}")


if __name__ == "__main__":
    main()
