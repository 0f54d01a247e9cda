"""`analogsim profiles`, `scenarios`, `rules`: what there is, and what each is."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analogsim.cli.run import Json
from analogsim.errors import AnalogsimError

if TYPE_CHECKING:
    from analogsim.learning import Rule
    from device_models import DeviceProfile

profiles = typer.Typer(help="Device profiles: what a crossbar technology is.", no_args_is_help=True)
scenarios = typer.Typer(help="Scenarios: what `analogsim run` runs.", no_args_is_help=True)
rules = typer.Typer(help="Learning rules: what each needs to see.", no_args_is_help=True)


@profiles.command("list")
def list_profiles(as_json: Json = False) -> None:
    """Packaged device profiles."""
    from device_models import load_profile, preset_names

    found = [load_profile(name) for name in preset_names()]
    _print_list([{"name": profile.name, "description": profile.description} for profile in found], as_json)


@profiles.command("show")
def show_profile(
    name: Annotated[str, typer.Argument(help="Name of a packaged profile, or path of a .yaml file.")],
    as_yaml: Annotated[bool, typer.Option("--yaml", help="The profile in full: a file to start from.")] = False,
    as_json: Json = False,
    cite: Annotated[bool, typer.Option("--citation", help="BibTeX of the works that its figures are from.")] = False,
) -> None:
    """What a profile's devices do, at a few conductances, and where each figure comes from."""
    from device_models import load_profile
    from device_models._yaml import dump_yaml

    if as_yaml + as_json + cite > 1:
        raise AnalogsimError("--yaml, --json and --citation are three forms of an answer; ask for one of them")
    profile = load_profile(name)
    if as_json:
        typer.echo(json.dumps(profile.to_data(), indent=1))
    elif as_yaml:
        typer.echo(dump_yaml(profile.to_data()), nl=False)
    elif cite:
        from device_models.summary import citation

        typer.echo(citation(profile) or f"profile {profile.name} cites no published work", err=not citation(profile))
    else:
        _print_profile(profile)


def _print_profile(profile: DeviceProfile) -> None:
    import shutil
    import textwrap

    from device_models.summary import Row, assumptions, levels, sources, summary

    width = min(120, max(60, shutil.get_terminal_size((100, 24)).columns))

    def write(rows: Sequence[Row]) -> None:
        for before, row in zip((None, *rows), rows, strict=False):
            head = "" if before is not None and before.about == row.about else row.about
            if len(head) > 18:
                typer.echo(f"  {head}")
                head = ""
            for line in textwrap.wrap(row.text, width - 22):
                typer.echo(f"  {head:<18}  {line}")
                head = ""

    rows = summary(profile)
    figures = [row for row in rows if row.values]
    typer.echo("\n".join([profile.name, *textwrap.wrap(profile.description, width), ""]))
    write([row for row in rows if not row.values])
    if figures:
        texts = [f"{row.about}: {row.text}" for row in figures]
        wide, columns = (
            max(map(len, texts)),
            [max(map(len, each)) for each in zip(levels(profile), *(r.values for r in figures), strict=True)],
        )
        typer.echo("")
        for text, values in zip(
            ("of a device at", *texts), (levels(profile), *(r.values for r in figures)), strict=True
        ):
            cells = (f"{value:>{size}}" for value, size in zip(values, columns, strict=True))
            typer.echo(f"  {text:<{wide}}  {'  '.join(cells)}")
    for title, found in (("sources", sources(profile)), ("assumed", assumptions(profile))):
        if found:
            typer.echo(f"\n{title}")
            write(found)


@profiles.command("plot")
def plot_profile(
    name: Annotated[str, typer.Argument(help="Name of a packaged profile, or path of a .yaml file.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the page.")] = Path("."),
    devices: Annotated[int, typer.Option("--devices", help="Devices to simulate at each point.")] = 1000,
    seed: Annotated[int, typer.Option("--seed", help="Of all random numbers.")] = 0,
    as_json: Json = False,
) -> None:
    """A page of curves, measured on simulated devices: PNG and SVG; with --json the numbers, too."""
    from analogsim.characterize import characterize, draw_page
    from device_models import load_profile

    for option, value, least in (("--devices", devices, 1), ("--seed", seed, 0)):
        if value < least:
            raise AnalogsimError(f"{option}: must not be below {least} (got {value})")
    profile = load_profile(name)
    stem = re.sub(r"[^\w.-]+", "-", profile.name)
    files = [out / f"{stem}.{kind}" for kind in ("png", "svg")]
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):  # before the work, not after it
            pass
        page = characterize(profile, devices, seed)
        draw_page(page, files)
    except OSError as error:
        raise AnalogsimError(f"{out}: cannot be written: {error.strerror}; choose another folder with -o") from None
    if as_json:
        typer.echo(json.dumps({**page.to_data(), "files": [str(file) for file in files]}, indent=1))
        return
    for figure, value in page.figures:
        typer.echo(f"{figure}: {value}")
    for sentence in page.absent.values():
        typer.echo(sentence)
    typer.echo(f"page: {files[0]}, {files[1]}")


@scenarios.command("list")
def list_scenarios(as_json: Json = False) -> None:
    """Packaged scenarios."""
    from analogsim.study.packaged import descriptions

    _print_list([{"name": name, "description": text} for name, text in descriptions().items()], as_json)


@scenarios.command("show")
def show_scenario(
    name: Annotated[str, typer.Argument(help="Name of a packaged scenario, or path of a .yaml file.")],
    as_json: Json = False,
) -> None:
    """A scenario as runnable YAML, to save, change and run; with --json, resolved with every default."""
    from analogsim.study.packaged import scenario_text
    from analogsim.study.scenario import load_scenario, to_data

    resolved = to_data(load_scenario(name))
    typer.echo(json.dumps(resolved, indent=1) if as_json else scenario_text(name)[0], nl=as_json)


@scenarios.command("schema")
def scenario_schema() -> None:
    """The JSON schema of scenarios, for editors."""
    from pydantic import TypeAdapter

    from analogsim.study.kinds import AnyScenario

    typer.echo(json.dumps(TypeAdapter(AnyScenario).json_schema(), indent=1))


@rules.command("list")
def list_rules(as_json: Json = False) -> None:
    """Learning rules: what each needs from the hardware, its passes of a step, memory beyond the copy, paper."""
    from analogsim.learning import RULES

    found = [_rule(name) for name in RULES]
    if as_json:
        typer.echo(json.dumps(found, indent=1))
    else:
        _print_list([{"rule": rule["name"], "what it is": _in_short(rule)} for rule in found], False)
        typer.echo("L: layers with weights. A leading d (dbp, dnp, danp) adds decorrelation of layer inputs.")


@rules.command("show")
def show_rule(name: Annotated[str, typer.Argument(help="Name of a rule.")], as_json: Json = False) -> None:
    """A rule: its formula, what it needs, its settings."""
    from analogsim.learning import DECORRELATED, RULES

    plain = DECORRELATED.get(name, name)
    if plain not in RULES:
        raise AnalogsimError(f"no rule is called {name!r}; there are {', '.join([*RULES, *DECORRELATED])}")
    rule = RULES[plain]
    fields = rule.model_json_schema()["properties"]
    if as_json:
        typer.echo(json.dumps({**_rule(plain), "doc": rule.__doc__, "settings": fields}, indent=1))
        return
    import inspect

    typer.echo(f"{name}: {rule.title}" + (" with decorrelation" if name in DECORRELATED else ""))
    typer.echo(f"\n{inspect.getdoc(rule)}\n")
    for key, value in _rule(plain).items():
        if key not in ("name", "title"):
            typer.echo(f"{key}: {value}")
    typer.echo("\nsettings:")
    for key, field in fields.items():
        default = json.dumps(field.get("default"))
        typer.echo(f"  {key} (default {default}): {' '.join(field.get('description', '').split())}")


def _in_short(rule: dict[str, Any]) -> str:
    passes = rule["passes per step"]
    cost = f"{passes} pass{'' if passes == 1 else 'es'} a step"
    return "\n".join(
        [
            f"{rule['title']} ({rule['paper'].split(' (')[0]})",
            f"needs {rule['needs']}; {cost}",
            f"memory: {rule['memory']}",
            *([f"of the package {rule['package']}"] if "package" in rule else []),
            "",
        ]
    )


def _passes(rule: Rule) -> int | str:
    """Passes of a step: a number, or what it comes to with L layers, `2 L + 1`."""
    from analogsim.network import Network

    try:
        one, two = (rule.plan(Network.mlp([1] * (depth + 1))).passes for depth in (1, 2))
    except Exception:  # a rule of another package may not take such networks
        return "depends on the network"
    each, fixed = two - one, 2 * one - two
    if not each:
        return fixed
    return ("L" if each == 1 else f"{each} L") + (f" + {fixed}" if fixed else "")


def _rule(name: str) -> dict[str, Any]:
    from analogsim.learning import RULES, other_packages

    kind, other = RULES[name], other_packages().get(name)
    rule = kind()
    return {
        "name": name,
        "title": kind.title,
        "needs": ", ".join(rule.requires.names),
        "passes per step": _passes(rule),
        "memory": kind.memory,
        "paper": kind.paper,
        **({"package": f"{other.package} {other.version}"} if other else {}),
    }


def _print_list(entries: Sequence[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(list(entries), indent=1))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for key in entries[0]:
        table.add_column(key, no_wrap=key in ("name", "rule"), overflow="fold")
    for entry in entries:
        table.add_row(*(str(value) for value in entry.values()))
    Console().print(table)
