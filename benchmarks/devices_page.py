"""The tables of docs/danp-on-real-devices.md, from what same_eyes.py and reproduce.py have left in docs/results.

    python benchmarks/devices_page.py

Each table stands between two comments, `<!-- begin NAME -->` and `<!-- end NAME -->`; the text around them stays.
"""

from __future__ import annotations

import re
from pathlib import Path

from reproduction.findings import Paper, found

from analogsim.results import interval, marked

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "danp-on-real-devices.md"
TABLES = ROOT / "docs" / "results" / "same-eyes" / "table.md"
DEVICES = ("reram", "pcm")


def page(text: str) -> str:
    """The page with its tables made anew.

    Raises:
        ValueError: the page lacks the place of a table, or has it more than once.
    """
    for name, body in {"small": small(TABLES.read_text()), "cifar": cifar(found())}.items():
        place = re.compile(rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
        text, count = place.subn(lambda at, body=body: f"{at[1]}\n{body}\n\n{at[2]}", text)
        if count != 1:
            raise ValueError(f"{PAGE}: must have one `<!-- begin {name} -->` with its end (found {count})")
    return text


def small(tables: str) -> str:
    """Accuracies on digits and MNIST, of the tables of the same-eyes study."""
    made = []
    for device in DEVICES:
        for data, title in (("digits", "digits"), ("mnist", "MNIST")):
            _, _, rest = tables.partition(f"## {data}, {device}\n\n")
            made.append(
                f"**{title} on `{device}`** (in brackets the learning rate)\n\n{rest.partition(chr(10) * 2)[0]}"
            )
    return "\n\n".join(made)


def cifar(papers: list[Paper]) -> str:
    """Peak accuracies on CIFAR-10 of the arms that were run."""
    known = {paper.name: paper for paper in papers}
    both = [known[f"dalm-on-{device}"] for device in DEVICES]
    arms = [arm for arm in both[0].scenario.arms if any(arm in paper.held for paper in both)]
    if not arms:
        return "Not run yet."
    lines = ["| arm | " + " | ".join(f"`{device}`" for device in DEVICES) + " |", "|---|---|---|"]
    lines += [f"| {_title(arm, both)} | " + " | ".join(_peak(paper, arm) for paper in both) + " |" for arm in arms]
    told = "Peak test accuracy in percent, mean over chips with half its 95 % interval; epochs and chips:"
    return told + "\n\n" + "\n".join(lines)


def _title(arm: str, papers: list[Paper]) -> str:
    return marked(arm, next(paper.held[arm].result.arms[arm].marks for paper in papers if arm in paper.held))


def _peak(paper: Paper, arm: str) -> str:
    if arm not in paper.held:
        return "not run yet"
    chips = paper.held[arm].result.arms[arm].chips
    mean, half = interval([chip.best.test_accuracy or 0.0 for chip in chips])
    spread = "" if half is None else f" ± {100 * half:.1f}"
    return f"{100 * mean:.1f}{spread} ({paper.epochs(arm)}; {len(chips)})"


def main() -> None:
    PAGE.write_text(page(PAGE.read_text()))
    print(f"{PAGE}: tables made")


if __name__ == "__main__":
    main()
