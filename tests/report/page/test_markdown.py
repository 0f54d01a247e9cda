"""Markdown for an appendix: the page's sentences and tables, and nothing that Markdown would take for its own."""

import random
from collections.abc import Mapping

from analogsim.report.page import markdown
from analogsim.report.page.markdown import plain


def value(top: float):
    def at(place: Mapping[str, str], numbers: random.Random) -> float:
        return top - 0.05 * float(place["chip.profile.read_noise.0.sigma"].split()[0]) + 0.01 * numbers.random()

    return at


def test_it_has_the_sentences_and_tables_of_the_page(studies) -> None:
    arms = {
        "bp": studies.arm(value(0.95), oracle=("output_error",)),
        "np_0": studies.arm(value(0.9), family="NP"),
        "np_1": studies.arm(value(0.8), family="NP"),
        "anp": studies.arm(value(0.85)),
    }
    axes = [studies.profiles("pcm", "reram"), studies.noise("0 %", "1 %", "10 %")]
    folder = studies(arms, axes, reference=lambda *_: 0.97, failed={"anp-reram": "a | b\nc"})
    text = markdown(folder)
    page, html = studies.page(folder), text.replace("\\<", "<")
    for name, rows in studies.tables(page).items():
        left = ("test loss", "steps", "writes", "silent", "saturated") if name == "results" else ()
        heads = [head for head in rows[0] if head not in ("run", *left)]
        assert f"| {' | '.join(heads)} |" in text, name
        for row in rows if name != "failures" else ():
            assert f"| {' | '.join(row[head] for head in heads)} |" in html, name
    assert "### pcm\n\n**NP** leads, with a mean test accuracy of " in text
    assert "- **bp (oracle)** reaches 90\u00a0% of digital BP's accuracy (97.0\u00a0%) up to **" in text
    assert "a \\| b c" in text, "one row of the table of failures"
    assert text.count("\n## ") == len(set(text.split("\n## "))) - 1
    assert markdown(folder) == text


def test_tables_are_rectangles(studies) -> None:
    folder = studies(
        {"a|b": studies.arm(value(0.9))}, [studies.noise("0 %", "1 %")], name="# `x` | *y* <b>z</b> _w_ np_0_1"
    )
    text = markdown(folder)
    assert text.startswith("# \\# \\`x\\` \\| \\*y\\* \\<b\\>z\\</b\\> \\_w\\_ np_0_1: robustness study\n")
    for block in text.split("\n\n"):
        if block.startswith("| "):
            lines = block.strip().split("\n")
            assert len({line.replace("\\|", "").count("|") for line in lines}) == 1


def test_plain_text_is_no_markup() -> None:
    assert plain("[text](http://x.org)") == "[text]\\(http://x.org)"
    assert plain("- a list") == "\\- a list"
    assert plain("1. a list") == "1\\. a list"
    assert plain("0.1.0") == "0.1.0"
    assert plain("costs $5$") == "costs \\$5\\$"
    assert plain("two\n\n# lines") == "two # lines"
