"""The answer in sentences: which rule leads on a device, and how much noise each survives there."""

from __future__ import annotations

from analogsim.outcomes import Axis
from analogsim.report.page.cells import Device, Level
from analogsim.report.page.estimate import Scores, significant
from analogsim.report.page.goal import REFERENCE, finite_reference, goal_said
from analogsim.report.page.said import Part, Sentence, listed_strong, plural, say, strong
from analogsim.report.page.standing import Ranking, Standing
from analogsim.report.page.view import View
from analogsim.report.words import listed
from analogsim.statistics import Bounds, End, Window

_NAMED = 6  # arms that a sentence names


def lead(view: View, ranking: Ranking) -> Sentence:
    """Which rule to put on a device: the leader, or those that the tests do not tell from it."""
    scores, leaders, ranked = Scores(view.accurate), ranking.leaders, ranking.ranked
    if not ranked:
        reasons = [f"{each.rule.title}: {each.why}" for each in ranking.standings if each.why]
        only = "all that has results are comparisons" if not reasons else "; ".join(reasons)
        return say(f"No rule can be ranked here: {only}.")
    names, first = [standing.rule.title for standing in leaders], leaders[0]
    jobs = [job for standing in leaders for job in standing.jobs]
    over = over_said(view, ranking)
    mean = f"a {'mean ' * (view.noise is not None or bool(view.sampled))}{scores.what}"
    if len(ranked) == 1:
        text = f" is the only candidate with results, with {mean} of {scores.sentence(first.score)}{over}."
        return say(strong(names[0]), text, jobs=jobs)
    if ranking.chips == 1:
        rest = ", ".join(f"{each.rule.title} has {scores.said(each.score.mean)}" for each in ranked[1:3])
        text = (
            f" is ahead, with {mean} of {scores.said(first.score.mean)}{over}; {rest}. One {view.replicates[:-1]} of "
            "each allows no test."
        )
        return say(strong(names[0]), text, jobs=jobs)
    if len(leaders) > 1:
        found = listed([scores.said(standing.score.mean) for standing in leaders])
        text = f" share the lead, with {mean} of {found}{over}: the tests tell no difference between them."
        return say(*listed_strong(names), text, jobs=jobs)
    behind = ranked[1].behind
    assert behind is not None
    gap = f"{scores.number(abs(behind.difference.mean))}{scores.points} {'more' if view.accurate else 'less'}"
    text = f" leads, with {mean} of {scores.sentence(first.score)}{over}, {gap} than {ranked[1].rule.title}"
    return say(strong(names[0]), f"{text}{p_said(behind.adjusted, ' (', ')')}.", jobs=jobs)


def over_said(view: View, ranking: Ranking) -> str:
    """What a score is a mean over: ` over 0.1 % to 30 % read noise sigma (log scale) and 16 sampled points`."""
    parts = [part for part in (_over_noise(view, ranking), _over_points(view, ranking)) if part]
    return f" over {listed(parts)}" if parts else ""


def _over_points(view: View, ranking: Ranking) -> str:
    if not view.sampled:
        return ""
    if ranking.chips < view.points:
        return f"{ranking.chips} of {view.points} sampled points, those that all have"
    return plural(view.points, "sampled point")


def _over_noise(view: View, ranking: Ranking) -> str:
    if view.noise is None:
        return ""
    positive = [level for level in ranking.levels if level.number]
    several = len(positive) > 1
    text = plural(len(ranking.levels), "noise level")
    if several:
        first, last = (level_said(view.noise, level) for level in (positive[0], positive[-1]))
        text = noise_said(view.noise, f"{first} to {last}")
    some = f"{len(ranking.levels)} of {len(view.levels)} levels, those that all have"
    notes = "; ".join(["log scale"] * several + [some] * (len(ranking.levels) < len(view.levels)))
    return f"{text}{f' ({notes})' if notes else ''}"


def p_said(p: float | None, before: str = "", after: str = "") -> str:
    """`p = 0.03`; empty where there was no test."""
    if p is None:
        return ""
    return f"{before}{'p < 0.001' if p < 0.001 else f'p = {p:.2g}'}{after}"


def farthest(view: View, ranking: Ranking) -> Sentence | None:
    """Which candidate reaches the share of the reference at the most noise; None where nobody can say."""
    candidates = [standing for standing in ranking.standings if standing.rule.candidate and standing.window is not None]
    if view.noise is None or not candidates:
        return None
    ends = {
        standing.rule.title: (standing, standing.window.high)
        for standing in candidates
        if standing.window is not None and standing.window.high is not None
    }
    if not ends:
        return say(f"No candidate reaches {goal_said(view)} at any noise level studied.")
    most = max(end.noise for _, end in ends.values())
    first = [title for title, (_, end) in ends.items() if end.noise == most]
    near = [title for title, (_, end) in ends.items() if title not in first and _within(end, ends[first[0]][1])]
    jobs = [job for title in first for job in ends[title][0].jobs]
    end = ends[first[0]][1]
    up_to = noise_said(view.noise, f"{end_said(view.noise, end)}{bounds_said(view.noise, end)}")
    beyond = ", the most that was studied" if end.open else ""
    also = f"; {listed(near)} may reach as far" if near else ""
    hold = "holds" if len(first) == 1 else "hold"
    text = f" {hold} {goal_said(view)} to the most noise, up to {up_to}{beyond}{also}."
    return say(*listed_strong(first), text, jobs=jobs)


def _within(end: End, other: End) -> bool:
    """Whether the confidence set of one end has the other in it, or of the other the one."""

    def holds(bounds: Bounds | None, noise: float) -> bool:
        if bounds is None:
            return False
        return (bounds.lower is None or bounds.lower <= noise) and (bounds.upper is None or noise <= bounds.upper)

    return holds(end.bounds, other.noise) or holds(other.bounds, end.noise)


def survives(view: View, device: Device, standing: Standing) -> Sentence:
    """How much noise a rule survives on a device."""
    name, found, jobs = strong(standing.rule.title), standing.window, standing.jobs
    if view.noise is None:
        return say(name, *_without_noise(view, device, standing), jobs=jobs)
    if found is None:
        return say(name, *_without_window(view, standing), jobs=jobs)
    reference = finite_reference(view, device)
    assert reference is not None
    asked = f" {goal_said(view, Scores(view.accurate).said(reference))}"
    if found.low is None or found.high is None:
        doubt = "; its interval allows it" if found.certain is False else ""
        return say(
            name, f" reaches{asked} at no noise level studied{doubt}; it is best {_peak(view, standing)}.", jobs=jobs
        )
    gaps = ", with gaps in between" if found.gaps else ""
    doubt = "; its intervals leave open whether it does" if found.certain is False else ""
    return say(name, f" reaches{asked} ", *_window(view.noise, found), f"{gaps}{doubt}.", jobs=jobs)


def _window(axis: Axis, found: Window) -> list[str | Part]:
    """`from 0.2 % [0.1, 0.3] to 3.4 % [3.0, 3.9] read noise sigma`; open ends in words."""
    low, high = found.low, found.high
    assert low is not None and high is not None
    first, last = end_said(axis, low), end_said(axis, high)
    start, end = bounds_said(axis, low), bounds_said(axis, high)
    if low.open and high.open:
        every = "every level studied" if not found.gaps else "the lowest and the highest level studied"
        return ["at ", strong(every), f", {noise_said(axis, f'{first} to {last}{end}')}"]
    before, after = _around(axis)
    if low.open:
        return [f"up to {before}", strong(last), f"{end}{after}"]
    beyond = ", the most that was studied" if high.open else ""
    return [f"from {before}", strong(first), f"{start} to ", strong(last), f"{end}{after}{beyond}"]


def noise_said(axis: Axis, quantity: str) -> str:
    """`3.4 % read noise sigma`; of numbers without a unit `read noise scale 3.4`."""
    before, after = _around(axis)
    return f"{before}{quantity}{after}"


def _around(axis: Axis) -> tuple[str, str]:
    return ("", f" {axis.title}") if axis.unit else (f"{axis.title} ", "")


def level_said(axis: Axis, level: Level) -> str:
    """`0.3 %`."""
    return level.place or "" if level.number is None else f"{level.number:g}\u00a0{axis.unit}".rstrip("\u00a0")


def before_first(axis: Axis, end: End) -> float | None:
    """The first level above zero, of an end between zero and it: where it lies there is the interpolation's guess."""
    numbers = axis.numbers or ()
    first = min((number for number in numbers if number > 0), default=0.0)
    return first if numbers and numbers[0] == 0 < end.noise < first else None


def end_said(axis: Axis, end: End) -> str:
    """`3.4 %`; a level that was studied as it was written; `less than 0.3 %` between zero and the first level."""
    first = before_first(axis, end)
    if first is not None:
        return f"less than {first:g}\u00a0{axis.unit}".rstrip("\u00a0")
    text = f"{end.noise:g}" if axis.numbers and end.noise in axis.numbers else significant(end.noise, _digits(end))
    return f"{text}\u00a0{axis.unit}".rstrip("\u00a0")


def bounds_said(axis: Axis, end: End) -> str:
    """` [3.0, 3.9]`; empty where there are none, and of an open end that surely lies beyond what was studied."""
    bounds, numbers = end.bounds, axis.numbers or (0.0,)
    if before_first(axis, end) is not None:
        return ""
    if bounds is None or (end.open and {bounds.lower, bounds.upper} <= {None, end.noise}):
        return ""
    low = (
        significant(bounds.lower, _digits(end)) if bounds.lower else "0" if not numbers[0] else f"below {numbers[0]:g}"
    )
    high = f"beyond {numbers[-1]:g}" if bounds.upper is None else significant(bounds.upper, _digits(end))
    return f" [{low}, {high}]"


def _digits(end: End) -> int:
    """Of its noise and its bounds: three where two would not tell them apart."""
    bounds = (end.bounds.lower, end.bounds.upper) if end.bounds else ()
    numbers = {end.noise, *(each for each in bounds if each is not None)}
    return 2 if len({significant(each) for each in numbers}) == len(numbers) else 3


def _peak(view: View, standing: Standing) -> str:
    """`at 1 %, with 85.0 %`."""
    sign, scores = 1.0 if view.accurate else -1.0, Scores(view.accurate)
    level, cell = max(standing.at, key=lambda each: sign * each[1].best.score.mean)
    assert view.noise is not None
    return f"at {level_said(view.noise, level)}, with {scores.sentence(cell.best.score)}"


def _without_window(view: View, standing: Standing) -> list[str]:
    """Where there is no window: the best and the last level."""
    scores = Scores(view.accurate)
    level, cell = standing.at[-1]
    assert view.noise is not None
    last = level_said(view.noise, level)
    return [f" is best {_peak(view, standing)}; at {last} it has {scores.sentence(cell.best.score)}."]


def _without_noise(view: View, device: Device, standing: Standing) -> list[str]:
    scores, reference = Scores(view.accurate), finite_reference(view, device)
    text = f" ends with {scores.sentence(standing.score)}{' on average' * bool(view.sampled)}"
    if not reference or standing.score.mean == float("inf"):
        return [f"{text}."]
    whose = f"{REFERENCE}'s {scores.said(reference)}"
    if view.accurate:
        return [f"{text}, {100 * standing.score.mean / reference:.1f}\u00a0% of {whose}."]
    return [f"{text}, {standing.score.mean / reference:.2f} times {whose}."]


def absent(view: View, device: Device) -> list[Sentence]:
    """Arms that were planned for a device and have no results of some jobs there, and how those stand."""
    words = {"failed": "failed", "begun": "not finished", "waiting": "not begun"}
    by_state: dict[str, list[str]] = {}
    for job in view.planned(device):
        if (state := view.states[job.id]) != "done":
            by_state.setdefault(words[state], []).append(job.arm)
    if not by_state:
        return []
    found = []
    for state, arms in by_state.items():
        counts = {arm: arms.count(arm) for arm in dict.fromkeys(arms)}
        told = [arm if count == 1 else f"{arm} ({plural(count, 'job')})" for arm, count in counts.items()]
        told = told if len(told) <= _NAMED else [*told[: _NAMED - 1], f"{len(told) - _NAMED + 1} more"]
        found.append(f"{listed(told)} {state}")
    present, rules = len(view.present(device)), len(view.rules) + len(view.waiting)
    have = "All rules have" if present == rules else f"{present} of {rules} rules {'has' if present == 1 else 'have'}"
    return [say(f"{have} results here, but not of all jobs ({'; '.join(found)}).")]


def without_results(view: View) -> Sentence | None:
    """Devices without any result; None: all have some."""
    found = [device.label for device in view.devices if not view.present(device)]
    if not found:
        return None
    return say(f"No result yet on {'; '.join(found)}." if found[0] else "No result yet.")
