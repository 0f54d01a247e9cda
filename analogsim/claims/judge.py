"""Claims against results."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from analogsim.claims.arithmetic import difference, evaluate, mean, spread
from analogsim.claims.claim import Claim
from analogsim.claims.decide import Word, above, inside
from analogsim.claims.quantities import Key, NotThereError, values
from analogsim.claims.tree import Comparison, Expression, Order, Quantity, Statement, Within, is_share, quantities
from analogsim.claims.verdict import Estimate, Link, Verdict, Verdicts
from analogsim.results import Curve, Result


def judge(claims: Iterable[Claim], result: Result, curves: Sequence[Curve], quick: bool = False) -> Verdicts:
    """The verdicts on claims.

    Sides are paired by chip: same seed, same number, same place on the axes of which no point is named. The differences
    of a chip at several points are averaged first, because they share its random numbers; what is left, one difference
    for each chip, has a Student interval.

    Args:
        claims: of the scenario.
        result, curves: of its run.
        quick: whether that was a short look.
    """
    found = tuple(_verdict(claim, result, curves) for claim in claims)
    return Verdicts(name=result.name, quick=quick, claims=found)


def _verdict(claim: Claim, result: Result, curves: Sequence[Curve]) -> Verdict:
    told = claim.model_dump()
    try:
        links = tuple(_links(claim.tree, result, curves))
    except NotThereError as error:
        return Verdict(**told, verdict="not run", why=str(error))
    word: Word = "holds"
    for worse in ("not decided", "fails"):
        word = worse if any(link.verdict == worse for link in links) else word
    why = "; ".join(dict.fromkeys(link.why for link in links if link.why and link.verdict == word))
    return Verdict(**told, verdict=word, why=why, links=links)


def _links(tree: Statement, result: Result, curves: Sequence[Curve]) -> list[Link]:
    if isinstance(tree, Within):
        return [_link(tree, tree.x, tree.target, None, result, curves)]
    pairs = zip(tree.operands, tree.operators, tree.operands[1:], strict=False)
    return [_link(Comparison((x, y), (o,)), x, y, o, result, curves) for x, o, y in pairs]


def _link(
    tree: Statement, left: Expression, right: Expression, order: Order | None, result: Result, curves: Sequence[Curve]
) -> Link:
    known = {quantity: values(quantity, result, curves) for quantity in quantities(tree)}
    keys = [key for key in next(iter(known.values())) if all(key in each for each in known.values())]
    if not keys:
        raise NotThereError(f"the chips of {tree} make no pairs")

    def of_chip(side: Expression, key: Key) -> float:
        return evaluate(side, lambda quantity: known[quantity][key])

    x, y = ([of_chip(side, key) for key in keys] for side in (left, right))
    x, y, gaps = (_by_chip(keys, each) for each in (x, y, [difference(a, b) for a, b in zip(x, y, strict=True)]))
    tolerance = None
    if isinstance(tree, Within):
        tolerance = evaluate(tree.tolerance, _no_quantity)
        word, why = inside(gaps, tolerance)
    else:
        assert order is not None
        word, why = above(gaps if order[0] == ">" else [-gap for gap in gaps], strict=order in ("<", ">"))
    share = bool(is_share(left) if is_share(right) is None else is_share(right) and is_share(left) is not False)
    return Link(
        statement=str(tree),
        verdict=word,
        why=why,
        left=_estimate(x, left),
        right=_estimate(y, right),
        difference=_estimate(gaps),
        tolerance=tolerance,
        chips=len(gaps),
        share=share,
    )


def _by_chip(keys: Sequence[Key], found: Sequence[float]) -> list[float]:
    """One value for each chip, the mean over the points at which it stands."""
    chips: dict[object, list[float]] = {}
    for key, value in zip(keys, found, strict=True):
        chips.setdefault(key[:2], []).append(value)
    return [mean(each) for each in chips.values()]


def _estimate(found: Sequence[float], of: Expression | None = None) -> Estimate:
    """Of one value for each chip; `of` what they are of: a number has no interval."""
    middle = found[0] if len(set(found)) == 1 else mean(found)
    if not math.isfinite(middle):
        return Estimate(mean=None if math.isnan(middle) else middle, half=None)
    if of is not None and not any(quantities(of)):
        return Estimate(mean=middle, half=None)
    half = spread(found)[1]
    return Estimate(mean=middle, half=half if half is None or len(set(found)) > 1 else 0.0)


def _no_quantity(quantity: Quantity) -> float:
    raise ValueError(f"{quantity}: a tolerance is made of numbers only")
