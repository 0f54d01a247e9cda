"""`analogsim cost`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analogsim.cli.run import Arms, Json, Settings
from analogsim.errors import AnalogsimError

if TYPE_CHECKING:
    from analogsim.study.prices import Prices

_BUSIEST = 3


def cost(
    scenario: Annotated[str, typer.Argument(help="Name of a packaged scenario, or path of a .yaml file.")],
    settings: Settings = None,
    arms: Arms = None,
    gantt: Annotated[
        Path | None, typer.Option("--gantt", metavar="FILE", help="Draw one step: a .png or .svg file; takes --arm.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Tell what a learning step and an inference take on the scenario's chips, without running it."""
    from analogsim.study.scenario import load_scenario, only_arms
    from analogsim.study.schema import Scenario

    loaded = load_scenario(scenario, settings or [])
    if not isinstance(loaded, Scenario):
        raise AnalogsimError(f"{loaded.name}: has no chips, so no step of it takes time or energy")
    if gantt is not None and (len(arms or ()) != 1 or gantt.suffix not in (".png", ".svg")):
        raise AnalogsimError(f"--gantt {gantt}: draws one arm into a .png or .svg file; give one --arm and such a name")
    if gantt is not None:
        from analogsim._files import require_writable

        require_writable(gantt, "--gantt")
    if arms:
        loaded = only_arms(loaded, arms)
    found = _priced(loaded)
    if not found:
        raise AnalogsimError(
            f"scenario {loaded.name}: not all of its device profiles have `costs`; for an example see "
            "`analogsim profiles show noisy`"
        )
    if gantt is not None:
        from analogsim.report.gantt import step_gantt

        [(arm, prices)] = found.items()
        step_gantt(prices.step.spans, f"{loaded.name}, {arm}: one learning step", [gantt])
    if as_json:
        typer.echo(json.dumps({name: _data(prices) for name, prices in found.items()}, indent=1))
        return
    from rich.console import Console

    from analogsim.report.table import inference_table, step_table

    console = Console()
    told = {name: _data(prices) for name, prices in found.items()}
    console.print(step_table(told), crop=False)
    console.print(inference_table(told), crop=False)
    for name, prices in found.items():
        busy = sorted(prices.step.occupancy.items(), key=lambda each: -each[1])[:_BUSIEST]
        parts = ", ".join(f"{part} {share:.0%}" for part, share in busy)
        console.print(f"{name}: busiest in a step: {parts}", soft_wrap=True, highlight=False, markup=False)
    if gantt is not None:
        console.print(f"figure: {gantt}", soft_wrap=True, highlight=False)


def _priced(scenario: Any) -> dict[str, Prices]:
    """Prices of the last stage that learns of each arm, where there are any."""
    from analogsim.study.check import check
    from analogsim.study.prices import prices_of
    from analogsim.study.run import load_data
    from analogsim.study.stages import last_learning, stages_of

    data = load_data(scenario)
    check(scenario, data)
    network = scenario.network.build(data.input_shape)
    found = {}
    for name, arm in scenario.arms.items():
        plans = stages_of(scenario, arm)
        prices = prices_of(scenario, plans, last_learning(plans), network)
        if prices is not None:
            found[name] = prices
    return found


def _data(prices: Prices) -> dict[str, Any]:
    step, inference = prices.step, prices.inference
    return {
        "passes": prices.shape.passes,
        "step": {
            "seconds": step.latency,
            "joules": dict(step.joules),
            "operations": step.operations._asdict(),
            "occupancy": dict(step.occupancy),
        },
        "inference": {
            "seconds": inference.latency,
            "interval": inference.interval,
            "joules": inference.energy,
            "operations": inference.operations._asdict(),
        },
    }
