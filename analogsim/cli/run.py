"""`analogsim run`."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from analogsim.claims import Verdicts
    from analogsim.results import Result
    from analogsim.study.schema import Scenario

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Check = Annotated[bool, typer.Option("--check", help="Exit with code 1 if a claim of the scenario fails.")]


def run(
    scenario: Annotated[str, typer.Argument(help="Name of a packaged scenario, or path of a .yaml file.")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Override a setting, such as train.epochs=5. Repeatable."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A short look: apply the scenario's `quick` settings.")
    ] = False,
    arms: Annotated[
        list[str] | None, typer.Option("--arm", metavar="NAME", help="Run this arm only. Repeatable.")
    ] = None,
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
    show(folder.path, loaded, as_json, check)


def require_claims(scenario: Scenario, check: bool) -> None:
    """Refuse `--check` where it would let everything pass.

    Raises:
        ScenarioError: the scenario makes no claims, or is a quick look at one.
    """
    from analogsim.errors import ScenarioError

    if check and not scenario.claims:
        raise ScenarioError(f"--check: scenario {scenario.name} makes no claims; add a section `claims`")
    if check and scenario.excerpt.quick:
        raise ScenarioError("--check: a quick look decides nothing about claims; leave out --check or --quick")


def show(folder: Path, scenario: Scenario, as_json: bool, check: bool) -> None:
    """Draw a finished run's figures where they are not there yet, judge its claims, and print tables.

    Args:
        folder: of the run.
        scenario: of it.
        as_json: print JSON instead.
        check: exit with code 1 if a claim fails.
    """
    from rich.console import Console

    from analogsim.claims import judge, write_verdicts
    from analogsim.report.axis import accuracy_against, only_axis
    from analogsim.report.claims import claims_table
    from analogsim.report.curves import learning_curves
    from analogsim.report.diagnostics import measured_metrics, metric_curves
    from analogsim.report.later import accuracy_over_time
    from analogsim.report.summary import axis_label, classified
    from analogsim.report.table import final_table, later_table, stages_table, standings_table
    from analogsim.results import read_curves, read_result

    result, curves = read_result(folder / "result.json"), read_curves(folder / "metrics.jsonl")
    figures = [folder / "figures" / f"learning_curves.{kind}" for kind in ("png", "svg")]
    if not all(figure.exists() for figure in figures):
        learning_curves(result, curves, folder / "figures")
    for name in measured_metrics(curves):
        files = [folder / "figures" / f"{name}.{kind}" for kind in ("png", "svg")]
        if not all(file.exists() for file in files):
            metric_curves(result, curves, name, files)
    axis = only_axis(result)
    if axis is not None:
        what = "accuracy" if classified(result) else "loss"
        name = f"{what}_against_{axis_label(axis).replace(' ', '_')}"
        figures = [folder / "figures" / f"{name}.{kind}" for kind in ("png", "svg")]
        if not all(figure.exists() for figure in figures):
            accuracy_against(result, axis, figures)
    if any(arm.later for arm in result.arms.values()):
        figures = [folder / "figures" / f"accuracy_over_time.{kind}" for kind in ("png", "svg")]
        if not all(figure.exists() for figure in figures):
            accuracy_over_time(result, figures)
    verdicts = judge(scenario.claims, result, curves, scenario.excerpt.quick) if scenario.claims else None
    if verdicts is not None:
        write_verdicts(verdicts, folder / "claims.json")
    failed = check and verdicts is not None and bool(verdicts.failed)
    if as_json:
        typer.echo(json.dumps(_summary(result, folder, verdicts), indent=1, allow_nan=False))
        raise typer.Exit(int(failed))
    console = Console()
    families = any(arm.family for arm in result.arms.values())
    console.print(standings_table(result) if families else final_table(result))
    if any(arm.stages for arm in result.arms.values()):
        console.print(stages_table(result))
    if any(arm.later for arm in result.arms.values()):
        console.print(later_table(result))
    if verdicts is not None:
        console.print(claims_table(verdicts))
    console.print(f"run folder: {folder}", soft_wrap=True, highlight=False)
    console.print(f"figure:     {figures[0]}", soft_wrap=True, highlight=False)
    raise typer.Exit(int(failed))


def _summary(result: Result, folder: Path, verdicts: Verdicts | None) -> dict[str, object]:
    from dataclasses import asdict

    from analogsim.report.summary import rows

    told = {} if verdicts is None else {"claims": verdicts.model_dump(mode="json")["claims"], "quick": verdicts.quick}
    found = [_finite(asdict(row)) for row in rows(result)]
    return {"name": result.name, "folder": str(folder), "rows": found, **told}


def _finite(value: Any) -> Any:
    """The same with None in place of numbers that are not finite, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
