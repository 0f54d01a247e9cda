"""Verdicts on claims, for a terminal."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from rich import box
from rich.table import Table
from rich.text import Text

from analogsim.claims import Estimate, Link, Verdict, Verdicts
from analogsim.report.words import listed

QUICK = "A quick look: its verdicts say nothing about what is claimed."

COLOURS = {"holds": "green", "fails": "red", "not decided": "yellow", "not run": "dim"}


def claims_table(verdicts: Verdicts, copies: str = "chips") -> Table:
    """One row for each claim: its verdict; what it says, what was found, and what was published.

    Args:
        verdicts: on the claims of a result.
        copies: what an arm has several of, see `analogsim.report.words`.
    """
    table = Table(box=box.SIMPLE_HEAD, caption_justify="left", pad_edge=False)
    table.add_column("verdict", no_wrap=True, min_width=len("not decided"))
    table.add_column("claim", overflow="fold")
    for verdict in verdicts.claims:
        lines = [Text(verdict.says, style="bold"), Text(verdict.claim)]
        lines += [Text(figures(link, copies)) for link in verdict.links]
        lines += [Text(verdict.why)] if verdict.why else []
        lines += [Text(told)] if (told := published(verdict)) else []
        table.add_row(Text(verdict.verdict, style=COLOURS[verdict.verdict]), Text("\n").join(lines))
    table.caption = (
        summary(verdicts)
        + f"\n± half the 95 % interval (Student's t), of differences paired by {copies[:-1]}."
        + (f"\n{QUICK}" if verdicts.quick else "")
    )
    return table


def summary(verdicts: Verdicts) -> str:
    """`3 of 4 claims hold; 1 not decided`."""
    count = Counter(verdict.verdict for verdict in verdicts.claims)
    total = len(verdicts.claims)
    others = (f"{count[word]} {told}" for word, told in _OTHERS.items() if count[word])
    return "; ".join([f"{count['holds']} of {total} claim{'s' if total > 1 else ''} hold", *others])


_OTHERS = {"fails": "fail", "not decided": "not decided", "not run": "not run"}


_SAID = {"holds": "holds", "fails": "fails", "not decided": "is not decided", "not run": "was not run"}


def counted(words: Iterable[str]) -> str:
    """Of a claim that is judged at several points: `holds at 2 of 4 points, fails at 1 and is not decided at 1`."""
    count = Counter(words)
    total = sum(count.values())
    found = [(said, count[word]) for word, said in _SAID.items() if count[word]]
    if len(found) == 1:
        return found[0][0] if total == 1 else f"{found[0][0]} at all {total} points"
    (first, number), *rest = found
    return listed([f"{first} at {number} of {total} points", *(f"{said} at {number}" for said, number in rest)])


def figures(link: Link, copies: str = "chips") -> str:
    """`44.2 ± 0.8 % against 28 ± 0.5 %: difference 16.2 ± 0.9 %, 8 chips`."""
    left, right, gap = (told(each, link.share) for each in (link.left, link.right, link.difference))
    room = f" (within {_number(link.tolerance, link.share)})" if link.tolerance is not None else ""
    number = f"{link.chips} {copies if link.chips > 1 else copies[:-1]}"
    return f"{left} against {right}: difference {gap}{room}, {number}"


def told(estimate: Estimate, share: bool) -> str:
    """`44.2 ± 0.8 %`; an infinite mean in words."""
    if estimate.mean is None:
        return "no value"
    if estimate.half is None:
        return _number(estimate.mean, share)
    scale, unit = (100, " %") if share else (1, "")
    mean, half = scale * estimate.mean, scale * estimate.half
    if not 1e-4 < half < 1e3:
        return f"{mean:.4g} ± {half:.2g}{unit}"
    digits = max(0, 1 - math.floor(math.log10(half)))  # two figures of the half width
    return f"{mean:.{digits}f} ± {half:.{digits}f}{unit}"


def published(verdict: Verdict) -> str:
    """`paper: 44.4 against 28.1 % (Dalm et al., Table 3)`; empty where nothing is cited."""
    if verdict.paper is None:
        return f"source: {verdict.source}" if verdict.source else ""
    return f"paper: {verdict.paper}" + (f" ({verdict.source})" if verdict.source else "")


def _number(value: float | None, share: bool) -> str:
    if value is None:
        return "no value"
    if math.isinf(value):
        return "infinite" if value > 0 else "-infinite"
    return f"{100 * value:.4g} %" if share else f"{value:.4g}"
