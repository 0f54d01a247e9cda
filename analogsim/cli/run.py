"""`analogsim run`."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from analogsim.claims import Verdicts
    from analogsim.results import Curve, Result
    from analogsim.study.kinds import AnyScenario

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Override a setting, such as train.epochs=5. Repeatable."),
]
Arms = Annotated[list[str] | None, typer.Option("--arm", metavar="NAME", help="Use this arm only. Repeatable.")]
Check = Annotated[bool, typer.Option("--check", help="Exit with code 1 if a claim of the scenario fails.")]


def run(
    scenario: Annotated[str, typer.Argument(help="Name of a packaged scenario, or path of a .yaml file.")],
    settings: Settings = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A short look: apply the scenario's `quick` settings.")
    ] = False,
    arms: Arms = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
    out: Annotated[Path, typer.Option("--out", help="Where the run folder is made.")] = Path("runs"),
    check: Check = False,
    as_json: Json = False,
) -> None:
    """Run a scenario: train every arm on the same chips, write a run folder, print a table and verdicts on claims."""
    from analogsim.cli.progress import Progress
    from analogsim.study.run import choose_device
    from analogsim.study.run import run as run_scenario
    from analogsim.study.scenario import load_scenario, only_arms

    chosen = choose_device(device)
    loaded = load_scenario(scenario, settings or [], quick)
    if arms:
        loaded = only_arms(loaded, arms)
    require_claims(loaded, check)
    with Progress(len(loaded.arms)) as progress:
        folder = run_scenario(loaded, out, chosen, progress)
    show(folder.path, as_json, loaded, check)


def require_claims(scenario: AnyScenario, check: bool) -> None:
    """Refuse `--check` where it would let everything pass.

    Raises:
        ScenarioError: the scenario makes no claims, none about the arms that are run, or is a quick look at one.
    """
    from analogsim.claims.tree import quantities
    from analogsim.errors import ScenarioError

    if check and not scenario.claims:
        raise ScenarioError(f"--check: scenario {scenario.name} makes no claims; add a section `claims`")
    if check and scenario.excerpt.quick:
        raise ScenarioError("--check: a quick look decides nothing about claims; leave out --check or --quick")
    left_out = set(scenario.excerpt.left_out)
    if check and all(left_out & {quantity.arm for quantity in quantities(claim.tree)} for claim in scenario.claims):
        raise ScenarioError(f"--check: every claim of {scenario.name} speaks of an arm that is left out; add --arm")


def show(folder: Path, as_json: bool, scenario: AnyScenario | None = None, check: bool = False) -> None:
    """Draw a finished run's figures where they are not there yet, judge its claims, and print its tables.

    Args:
        folder: of the run.
        as_json: print JSON instead of tables.
        scenario: whose claims are judged, of the run.
        check: exit with code 1 if a claim fails.
    """
    from analogsim.claims import judge, write_verdicts
    from analogsim.results import read_curves, read_result

    result, curves = read_result(folder / "result.json"), read_curves(folder / "metrics.jsonl")
    figure = _draw(result, curves, folder / "figures")
    verdicts = None
    if scenario is not None and scenario.claims:
        verdicts = judge(scenario.claims, result, curves, scenario.excerpt.quick)
        write_verdicts(verdicts, folder / "claims.json")
    if as_json:
        typer.echo(json.dumps(_summary(result, folder, verdicts), indent=1, allow_nan=False))
    else:
        _print(result, curves, verdicts)
        typer.echo(f"run folder: {folder}")
        typer.echo(f"figure:     {figure}")
    if check and verdicts is not None and verdicts.failed:
        raise typer.Exit(1)


def _draw(result: Result, curves: list[Curve], folder: Path) -> Path:
    """Draw the figures that are not in the folder yet; the one that tells most."""
    from analogsim.report.axis import accuracy_against, only_axis
    from analogsim.report.cost import accuracy_for_cost, drawable
    from analogsim.report.curves import learning_curves
    from analogsim.report.diagnostics import measured_metrics, metric_curves
    from analogsim.report.lives import accuracy_over_time, looks
    from analogsim.report.summary import axis_label, classified

    drawings: dict[str, Callable[[list[Path]], object]] = {
        name: partial(metric_curves, result, curves, name) for name in measured_metrics(curves)
    }
    if drawable(result, curves):
        drawings["accuracy_for_cost"] = partial(accuracy_for_cost, result, curves)
    drawings["learning_curves"] = partial(learning_curves, result, curves)
    axis = only_axis(result)
    if axis is not None:
        what = "accuracy" if classified(result) else "loss"
        name = f"{what}_against_{axis_label(axis).replace(' ', '_')}"
        drawings[name] = partial(accuracy_against, result, axis)
    if any(look.accuracy for arm in result.arms.values() for look in looks(arm)):
        drawings["accuracy_over_time"] = partial(accuracy_over_time, result)
    files: list[Path] = []
    for name, draw in drawings.items():
        files = [folder / f"{name}.{kind}" for kind in ("png", "svg")]
        if not all(file.exists() for file in files):
            draw(files)
    return files[0]


def _print(result: Result, curves: list[Curve], verdicts: Verdicts | None) -> None:
    from rich.console import Console

    from analogsim.report.claims import claims_table
    from analogsim.report.cost import comparable, costs
    from analogsim.report.lives import looks, requests
    from analogsim.report.table import (
        cost_table,
        equal_table,
        final_table,
        lives_table,
        stages_table,
        standings_table,
        traffic_table,
    )
    from analogsim.report.words import words

    console = Console()
    families = any(arm.family for arm in result.arms.values())
    console.print(standings_table(result) if families else final_table(result), crop=False)
    if any(arm.stages for arm in result.arms.values()):
        console.print(stages_table(result), crop=False)
    if comparable(result):
        console.print(cost_table(result, curves), crop=False)
        if len(costs(result, curves)) > 1:
            console.print(equal_table(result, curves), crop=False)
    if any(looks(arm) for arm in result.arms.values()):
        console.print(lives_table(result), crop=False)
    if any(list(requests(arm)) for arm in result.arms.values()):
        console.print(traffic_table(result), crop=False)
    for note in result.notes:
        console.print(f"note: {note}", soft_wrap=True, highlight=False, markup=False)
    if verdicts is not None:
        console.print(claims_table(verdicts, words(result).copies), crop=False)


def _summary(result: Result, folder: Path, verdicts: Verdicts | None = None) -> dict[str, object]:
    from dataclasses import asdict

    from analogsim.report.summary import rows

    told = {} if verdicts is None else {"claims": verdicts.model_dump(mode="json")["claims"], "quick": verdicts.quick}
    found = [_finite(asdict(row)) for row in rows(result)]
    return {"name": result.name, "folder": str(folder), "rows": found, "notes": list(result.notes), **told}


def _finite(value: Any) -> Any:
    """The same with None in place of numbers that are not finite, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
