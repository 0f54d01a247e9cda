"""Verdicts in terminals: nothing is cut off, and numbers read as people write them."""

import math

import pytest
from rich.console import Console

from analogsim.claims import Estimate, Link, Verdict, Verdicts
from analogsim.report.claims import claims_table, figures, summary, told

LONG = "final(an-arm-with-a-long-name.test_accuracy) > best(another-arm-with-a-longer-name[sigma=1 %].test_accuracy)"


def _verdicts(quick: bool = False) -> Verdicts:
    link = Link(
        statement=LONG,
        verdict="fails",
        left=Estimate(mean=0.4423, half=0.0081),
        right=Estimate(mean=0.28, half=None),
        difference=Estimate(mean=0.1623, half=0.0081),
        chips=8,
        share=True,
    )
    failing = Verdict(claim=LONG, says="a sentence of some length " * 5, verdict="fails", links=(link,), paper="44.4 %")
    missing = Verdict(claim=LONG, says="not there", verdict="not run", why="np has no result", source="Table 3")
    return Verdicts(name="x", claims=(failing, missing), quick=quick)


@pytest.mark.parametrize("width", [36, 80, 140])
def test_nothing_is_cut_off(width: int) -> None:
    console = Console(width=width)
    with console.capture() as capture:
        console.print(claims_table(_verdicts(quick=True)))
    text = capture.get()
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    squeezed = "".join(text.split())
    for words in (LONG, "fails", "not run", "np has no result", "source: Table 3", "paper: 44.4 %", "A quick look"):
        if width > 36 or len(words) < 12:  # longer ones are broken by the column before them
            assert "".join(words.split()) in squeezed, words


@pytest.mark.parametrize(
    ("mean", "half", "share", "text"),
    [
        (0.4423, 0.0081, True, "44.23 ± 0.81 %"),
        (0.4423, 0.12, True, "44 ± 12 %"),
        (0.4423, 0.015, True, "44.2 ± 1.5 %"),
        (0.4423, 0.0, True, "44.23 ± 0 %"),
        (0.4423, None, True, "44.23 %"),
        (61.3, 120.0, False, "61 ± 120"),
        (61.3, 5e4, False, "61.3 ± 5e+04"),
        (0.00123, 2e-5, False, "0.00123 ± 2e-05"),
        (math.inf, None, False, "infinite"),
        (None, None, True, "no value"),
    ],
)
def test_numbers(mean: float | None, half: float | None, share: bool, text: str) -> None:
    assert told(Estimate(mean=mean, half=half), share) == text


def test_figures_and_summary() -> None:
    verdicts = _verdicts()
    [link] = verdicts.claims[0].links
    assert figures(link) == "44.23 ± 0.81 % against 28 %: difference 16.23 ± 0.81 %, 8 chips"
    near = link.model_copy(update={"tolerance": 0.02, "chips": 1, "share": False})
    assert figures(near) == "0.4423 ± 0.0081 against 0.28: difference 0.1623 ± 0.0081 (within 0.02), 1 chip"
    assert summary(verdicts) == "0 of 2 claims hold; 1 fail; 1 not run"
    assert "quick" not in str(claims_table(verdicts).caption)
