"""`analogsim rules check`: does a rule keep what every rule keeps?"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from analogsim.cli.run import Json
from analogsim.errors import AnalogsimError

if TYPE_CHECKING:
    from analogsim.conformance.judge import Outcome
    from analogsim.learning import Rule


def check(
    name: Annotated[str, typer.Argument(help="Name of a rule.")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting of the rule, such as samples=3. Repeatable."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run a rule on small chips and say what it keeps of what every rule keeps; exit code 1 if anything fails."""
    rule = _rule(name, settings or [])
    import torch

    from analogsim.conformance.judge import judge

    torch.set_num_threads(1)  # tensors are tiny
    outcomes = []
    for outcome in judge(rule):
        outcomes.append(outcome)
        if not as_json:
            typer.echo(_line(outcome))
    failed = sum(outcome.fault is not None for outcome in outcomes)
    if as_json:
        typer.echo(json.dumps([asdict(outcome) for outcome in outcomes], indent=1))
    else:
        asked = [outcome for outcome in outcomes if outcome.not_asked is None]
        typer.echo(f"{failed} of {len(asked)} checks fail" if failed else f"all {len(asked)} checks hold")
    if failed:
        raise typer.Exit(1)


def _line(outcome: Outcome) -> str:
    if outcome.not_asked is not None:
        return f"-      {outcome.check}: not asked, {outcome.not_asked}"
    if outcome.fault is None:
        return f"holds  {outcome.check}: {outcome.says}"
    return f"FAILS  {outcome.check}: {outcome.says}\n       {outcome.fault}"


def _rule(name: str, settings: list[str]) -> Rule:
    from pydantic import ValidationError

    from analogsim.learning import DECORRELATED, RULES
    from analogsim.study.settings import parse_setting, put
    from device_models.errors import bulleted, faults

    if name in DECORRELATED:
        raise AnalogsimError(f"{name} is {DECORRELATED[name]} with decorrelation; check {DECORRELATED[name]}")
    if name not in RULES:
        raise AnalogsimError(f"no rule is called {name!r}; there are {', '.join(RULES)}")
    given: dict[str, object] = {}
    for setting in settings:
        put(given, *parse_setting(setting))
    try:
        return RULES[name].model_validate(given)
    except ValidationError as error:
        found = faults(error, lambda path: path, RULES[name])
        raise AnalogsimError(bulleted(f"rule {name} cannot be used:", found)) from None
