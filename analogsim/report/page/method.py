"""How the numbers of a report came about."""

from __future__ import annotations

from analogsim.report.page.facts import method_said
from analogsim.report.page.goal import REFERENCE, goal_said
from analogsim.report.page.view import View
from analogsim.statistics.intervals import BOOTSTRAP_FROM
from analogsim.statistics.rank import EXACT_TO


def method(view: View) -> list[tuple[str, str]]:
    """Terms and what they mean here."""
    copies, axes, counted = view.words.copies, ", ".join(axis.title for axis in view.axes), view.replicates
    not_devices = "neither noise, nor sampled, nor seeds" if view.sampled else "neither noise nor seeds"
    found = [
        ("Device", f"One point of the axes that are {not_devices}{f': {axes}' if axes else ''}."),
        *([("Sampled points", sampled_said(view))] if view.sampled else []),
        (
            "Best setting",
            "Arms of one family are settings of one rule, and so are places on an axis that an arm has alone. At each "
            f"device and noise level the setting with the best mean{' over sampled points' * bool(view.sampled)} "
            "represents the rule. It is chosen by the very "
            "numbers that are shown, which favours rules with many settings; the table of costs counts them.",
        ),
        (
            "Comparisons",
            "Arms marked oracle use more than the hardware offers; what is marked ex situ or theory did not learn on "
            "the chip. They are drawn dashed, or hollow, stand beside the candidates and are never ranked.",
        ),
        (
            "Divergence",
            f"An accuracy that is not finite counts as 0; how many {copies} diverged is told in the table of results."
            if view.accurate
            else "A loss that is not finite is infinite: there is no mean, and the rule is not ranked on that device.",
        ),
        (
            "Ranks",
            f"{ranking_said(view)} Scores are over what all ranked rules have, noise levels and {counted}; a rule "
            f"with fewer than half of the levels{' or points' * bool(view.sampled)} of another is not ranked.",
        ),
        (
            "Intervals and tests",
            f"Intervals are of the mean over {counted}, at 95 %: Student's; from {BOOTSTRAP_FROM} {counted} on each "
            "bound is the farther one of Student's and the studentised bootstrap's; bands of learning curves are "
            f"always Student's. Tests are two-sided and paired: {copies} of equal seed and number are the same under "
            f"every rule{', and so are sampled points' * bool(view.sampled)}. Holm's correction is for all pairs of a "
            "device.",
        ),
    ]
    if view.noise is not None and any(view.reference(device) for device in view.devices):
        window = (
            f"Where the mean reaches {goal_said(view)}: backpropagation in a computer, on the same network and data. "
            "Between levels scores are linear in log noise; where an end lies between zero and the first level, "
            "nothing tells. In brackets is the 95 % confidence set of an end "
            f"(Fieller's), which may be open. Where noise is of the data, {REFERENCE} at its lowest level counts."
        )
        found.append(("Operating window", window))
    return found


def ranking_said(view: View) -> str:
    """What rules are ranked by."""
    what = "accuracy" if view.accurate else "loss"
    number = f"the {what} of each of the {view.words.copies}"
    if view.sampled:
        number = f"the mean {what} over the {view.words.copies} of each of the sampled points"
    over = ""
    if view.noise is not None:
        several = sum(bool(level.number) for level in view.levels) > 1
        over = (
            ", averaged over the logarithm of noise (the area under its curve; no noise at all is left out)"
            if several
            else ", averaged over levels"
        )
    return (
        f"Rules are ranked by {number}{over}. A rank is 1 + the number of rules that are better beyond chance: rules "
        "that the tests do not tell apart may share one."
    )


def sampled_said(view: View) -> str:
    """What is compared where settings were sampled, and what that lets one conclude."""
    drawn = (
        "Points were drawn independently of each other."
        if method_said(view) != "a Latin hypercube"
        else "Points are a Latin hypercube, spread more evenly than independent ones, so that means vary no more than "
        "intervals say (McKay, Beckman and Conover, Technometrics 1979; Stein, Technometrics 1987)."
    )
    return (
        "Conclusions are about settings from the ranges that were sampled, so it is points that count, not "
        f"{view.words.copies}: of each rule at each point the mean over its {view.words.copies}; rules are compared by "
        f"their differences at the same points. {drawn} Rank correlations are Spearman's, of {view.points} points at "
        f"most; up to {EXACT_TO} points their p is the share of all orders that are as extreme, from there on "
        "Student's. Holm's correction is for all rules and settings of a device. A setting that helps up to somewhere "
        "and harms beyond may have a rank correlation of 0: the figures show it."
    )
