"""`analogsim profiles fit`: from a lab's own measurements to a device profile."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analogsim.cli.run import Json
from analogsim.errors import AnalogsimError

if TYPE_CHECKING:
    from device_models.fit import Estimate, Measured


def fit(
    tables: Annotated[list[Path], typer.Argument(help="CSV tables; docs/measurements.md says which columns.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Profile to write, .yaml; a figure is written beside it.")],
    base: Annotated[str | None, typer.Option("--base", help="Profile from which comes what was not measured.")] = None,
    g_max: Annotated[str | None, typer.Option("--g-max", help="Largest conductance, such as '25 uS'.")] = None,
    t0: Annotated[
        str | None, typer.Option("--t0", help="Time after a write at which drift begins, such as '20 s'.")
    ] = None,
    t_r: Annotated[
        str | None, typer.Option("--t-r", help="Duration of a read, such as '250 ns', for 1/f noise.")
    ] = None,
    degree: Annotated[
        int | None, typer.Option("--degree", min=0, max=8, help="Degree of the programming polynomial; else by AIC.")
    ] = None,
    read_noise: Annotated[
        str | None,
        typer.Option("--read-noise", help="additive, proportional, both, polynomial or flicker; else by AIC."),
    ] = None,
    drift: Annotated[str | None, typer.Option("--drift", help="constant or logarithmic; else by AIC.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
    as_json: Json = False,
) -> None:
    """Fit a device profile to measurements: programming spread, drift, read noise, pulse response."""
    files = _files(out, force)
    from device_models.fit import fit_profile
    from device_models.fit.measured import Settings
    from device_models.fit.read_noise import MODELS

    _choose("--read-noise", read_noise, MODELS)
    _choose("--drift", drift, ("constant", "logarithmic"))
    settings = Settings(
        g_max=_quantity("--g-max", g_max, "S", "25 uS"),
        t0=_quantity("--t0", t0, "s", "20 s"),
        t_r=_quantity("--t-r", t_r, "s", "250 ns"),
        degree=degree,
        read_noise=read_noise,
        drift=drift,
    )
    measured = fit_profile(tables, out.stem, base, settings)
    _write(measured, files)
    if as_json:
        typer.echo(json.dumps(_plain(measured, files), indent=1))
    else:
        _show(measured, files)


def _files(out: Path, force: bool) -> list[Path]:
    """Profile and figures; refused before anything is fitted where they are there already, or cannot be."""
    from analogsim._files import require_writable

    if out.suffix not in (".yaml", ".yml"):
        raise AnalogsimError(f"-o {out}: must end in .yaml")
    require_writable(out, "-o")
    files = [out, out.with_suffix(".png"), out.with_suffix(".svg")]
    there = [str(file) for file in files if file.exists()]
    if there and not force:
        raise AnalogsimError(f"-o {out}: {', '.join(there)} exists; choose another name, or --force to overwrite")
    return files


def _choose(option: str, value: str | None, choices: tuple[str, ...]) -> None:
    if value is not None and value not in choices:
        raise AnalogsimError(f"{option} {value}: not a known choice; choose {', '.join(choices)}")


def _quantity(option: str, text: str | None, si: str, example: str) -> float | None:
    from device_models.units import parse_quantity

    if text is None:
        return None
    try:
        value = parse_quantity(text, si, example)
    except ValueError as error:
        raise AnalogsimError(f"{option}: {error}") from None
    if value <= 0:
        raise AnalogsimError(f"{option}: must be positive (got {text!r})")
    return value


def _write(measured: Measured, files: list[Path]) -> None:
    import matplotlib as mpl

    from analogsim._files import write_text
    from analogsim.report.style import COLOURS, STYLE, save
    from device_models._yaml import dump_yaml
    from device_models.fit.figure import draw

    with mpl.rc_context(STYLE):
        save(draw(measured.fits, measured.profile.name, (COLOURS[0], COLOURS[2])), files[1:])
    write_text(files[0], dump_yaml(measured.profile.to_data()))


def _plain(measured: Measured, files: list[Path]) -> dict[str, Any]:
    fits = []
    for each in measured.fits:
        plain = asdict(each)
        plain.pop("picture")
        fits.append(plain)
    return {
        "profile": measured.profile.to_data(),
        "range": [asdict(each) for each in measured.range],
        "fits": fits,
        "warnings": list(measured.warnings),
        "files": [str(file) for file in files],
    }


def _show(measured: Measured, files: list[Path]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console = Console(width=110)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for title in ("parameter", "estimate ± se", "95 % interval", "unit", "flag"):
        table.add_column(title, overflow="fold")
    every = [*measured.range, *(estimate for fit in measured.fits for estimate in fit.estimates)]
    for each in every:
        table.add_row(each.path, *_digits(each), each.unit, each.flag)
    console.print(table)
    for each in every:
        if each.note:
            _line(console, f"{each.path}: {each.note}")
    for fit in measured.fits:
        devices = "" if fit.devices is None else f" on {fit.devices} devices"
        _line(console, f"{fit.part}: {fit.model} ({fit.rule}), {fit.points} points{devices}")
        for check in fit.checks:
            _line(console, f"  {check.name}: p = {check.p:.2g}")
        for warning in fit.warnings:
            _line(console, f"  warning: {warning}")
    for warning in measured.warnings:
        _line(console, f"warning: {warning}")
    _line(console, f"written: {', '.join(str(file) for file in files)}")


def _line(console: Any, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _digits(each: Estimate) -> tuple[str, str]:
    """An estimate with as many digits as its error allows, and its interval."""
    if each.low is None or each.high is None:
        return f"{each.value:.4g}", ""
    if not each.se:
        return f"{each.value:.4g}", f"{each.low:.3g} to {each.high:.3g}"
    import math

    places = max(0, 1 - math.floor(math.log10(each.se)))
    return f"{each.value:.{places}f} ± {each.se:.{places}f}", f"{each.low:.{places}f} to {each.high:.{places}f}"
