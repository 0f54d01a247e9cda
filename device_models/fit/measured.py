"""Several tables, one profile: what was measured replaces what a base profile says; the references tell them apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from device_models.effect import Timing
from device_models.errors import MeasurementError, ProfileError
from device_models.fit.drift import fit_drift
from device_models.fit.programming import fit_programming
from device_models.fit.pulses import bounds_of, fit_pulses
from device_models.fit.read_noise import fit_read_noise
from device_models.fit.result import ASSUMED, GIVEN, NOT_DETERMINED, Estimate, Fit, micro, seconds
from device_models.fit.tables import Table, read_table
from device_models.profile import DeviceProfile, load_profile

UNLIKELY = 0.01
"""A test of the model with a smaller p is a warning."""


_TABLES = {"programmed": "writes", "drift": "drift", "reads": "reads", "pulses": "pulses"}


@dataclass(frozen=True)
class Measured:
    """A profile and how it was found.

    Attributes:
        profile: with the fitted parts.
        fits: one for each part.
        range: the conductance range, whether given, of the base, or taken from the data.
        warnings: about the whole.
    """

    profile: DeviceProfile
    fits: tuple[Fit, ...]
    range: tuple[Estimate, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Settings:
    """What the tables do not say; see `fit_profile`."""

    g_max: float | None = None
    t0: float | None = None
    t_r: float | None = None
    degree: int | None = None
    read_noise: str | None = None
    drift: str | None = None


def fit_profile(
    paths: Sequence[Path], name: str, base: str | None = None, settings: Settings | None = None
) -> Measured:
    """Read tables, fit every part that they measure, and put a profile together.

    Args:
        paths: CSV files; several of one kind are fitted as one.
        name: of the profile.
        base: profile from which comes what was not measured.
        settings: what the tables do not say.

    Raises:
        MeasurementError: a table that cannot be used, or nothing that could be fitted.
        ProfileError: no such base, or values that a profile cannot hold.
    """
    given = settings or Settings()
    tables = [read_table(path) for path in paths]
    if len({Path(path).resolve() for path in paths}) < len(paths):
        raise MeasurementError("a table is named twice; its rows would count double")
    _require_use(tables, given)
    origin = None if base is None else load_profile(base)
    found = _range(tables, origin, base, given.g_max)
    g_max = float(f"{found[1].value / 1e6:.12g}")  # 25 uS, not 24.999999999999998
    fits = _fits(tables, found[0].value / 1e6, g_max, given)
    data: dict[str, Any] = {} if origin is None else origin.to_data()
    parts = {fit.part: fit.data for fit in fits}
    data.update(
        name=name,
        description=f"Fitted to measurements: {', '.join(parts)}."
        + (f" All else as in {origin.name}." if origin else ""),
        conductance={"min": micro(found[0].value / 1e6), "max": micro(g_max)},
        **parts,
        references=_references(fits, found, origin),
    )
    _leave_time_to_read(data, fits)
    warnings = list(_far_off(tables, g_max))
    try:
        profile = DeviceProfile.from_data(data, "the fitted profile")
    except ProfileError as error:
        raise ProfileError("\n".join([str(error), *warnings])) from None
    warnings += [
        f"{fit.part}: {check.name} p = {check.p:.2g}: {check.means}"
        for fit in fits
        for check in fit.checks
        if check.p < UNLIKELY
    ]
    return Measured(profile, tuple(fits), found, tuple(warnings))


def _require_use(tables: Sequence[Table], given: Settings) -> None:
    """Refuse what nothing would be fitted by: options of tables that are not there."""
    there = {table.kind for table in tables}
    for option, value, kinds in (
        ("--degree", given.degree, ("programmed",)),
        ("--drift", given.drift, ("drift",)),
        ("--read-noise", given.read_noise, ("reads",)),
        ("--t0", given.t0, ("drift", "reads")),
        ("--t-r", given.t_r, ("drift", "reads")),
    ):
        if value is not None and not there.intersection(kinds):
            wanted = " or ".join(_TABLES[kind] for kind in kinds)
            raise MeasurementError(f"{option}: no table of {wanted} is given, so it would do nothing; leave it out")


def _far_off(tables: Sequence[Table], g_max: float) -> Iterator[str]:
    """Warnings of tables whose conductances are far from the range, as with a wrong unit."""
    for table in tables:
        largest = float(table.numbers["conductance"].max())
        if largest > 3 * g_max or largest < g_max / 100:
            yield (
                f"{table.file}: its largest conductance is {1e6 * largest:.3g} uS, and that of the range "
                f"{1e6 * g_max:.3g} uS; is the unit of its column right?"
            )


def _leave_time_to_read(data: dict[str, Any], fits: Sequence[Fit]) -> None:
    """Passes cannot follow each other faster than reads last: where t_r is longer, the spacing becomes t_r."""
    duration = max((each.value for fit in fits for each in fit.estimates if each.path == "read_noise.t_r"), default=0.0)
    timing = Timing() if "timing" not in data else Timing.model_validate(data["timing"])
    if duration > timing.pass_time:
        data["timing"] = {"pass_time": seconds(duration), "step_time": seconds(max(duration, timing.step_time))}
        data["references"].append(
            {"what": "timing", "note": "assumed: passes follow each other as fast as reads allow"}
        )


def _fits(tables: Sequence[Table], g_min: float, g_max: float, given: Settings) -> list[Fit]:
    kinds = {
        kind: [table for table in tables if table.kind == kind] for kind in ("programmed", "drift", "reads", "pulses")
    }
    fits = []
    if kinds["programmed"]:
        fits.append(fit_programming(kinds["programmed"], g_max, given.degree))
    t0 = given.t0
    if kinds["drift"]:
        fits.append(fit_drift(kinds["drift"], g_max, t0=t0, t_r=given.t_r, law=given.drift))
        t0 = t0 if t0 is not None else next(each.value for each in fits[-1].estimates if each.path == "drift.t0")
    if kinds["reads"]:
        fits.append(fit_read_noise(kinds["reads"], g_max, t_r=given.t_r, t0=t0, model=given.read_noise))
    if kinds["pulses"]:
        fits.append(fit_pulses(kinds["pulses"], g_min, g_max))
    return fits


def _range(
    tables: Sequence[Table], origin: DeviceProfile | None, base: str | None, g_max: float | None
) -> tuple[Estimate, Estimate]:
    """The conductance range: given, of the base, or the largest conductance aimed at, or else seen."""
    low = Estimate("conductance.min", 0.0, unit="uS", flag=ASSUMED, note="0 where no base says otherwise")
    if origin is not None:
        low = Estimate("conductance.min", origin.conductance.min * 1e6, unit="uS", flag=GIVEN, note=f"of {base}")
    if g_max is not None:
        if g_max * 1e6 <= low.value:
            raise MeasurementError(
                f"--g-max: must lie above the smallest conductance, {low.value:g} uS (got {g_max * 1e6:g} uS)"
            )
        return low, Estimate("conductance.max", g_max * 1e6, unit="uS", flag=GIVEN)
    if origin is not None:
        return low, Estimate("conductance.max", origin.conductance.max * 1e6, unit="uS", flag=GIVEN, note=f"of {base}")
    vanish = bounds_of(tables) if all(table.kind == "pulses" for table in tables) else None
    if vanish is not None:
        note = "where steps vanish, on average over devices; taken as known by the errors of the other numbers"
        return (
            Estimate("conductance.min", vanish[0] * 1e6, unit="uS", note=note),
            Estimate("conductance.max", vanish[1] * 1e6, unit="uS", note=note),
        )
    for column, note in (
        ("target", "the largest target; --g-max says it"),
        ("conductance", "the largest conductance seen; --g-max says it"),
    ):
        values = [float(table.numbers[column].max()) for table in tables if column in table.numbers]
        if values and max(values) > 0:
            return low, Estimate("conductance.max", max(values) * 1e6, unit="uS", flag=NOT_DETERMINED, note=note)
    raise MeasurementError("all conductances are zero; there is nothing to fit")


def _references(fits: Sequence[Fit], found: tuple[Estimate, ...], origin: DeviceProfile | None) -> list[Any]:
    """Entries of `references`: what was fitted, what the data left open, and what the base says of the rest."""
    entries: list[Any] = [{"what": fit.part, "note": fit.origin} for fit in fits]
    every = [*found, *(each for fit in fits for each in fit.estimates)]
    left_open = [each.path for each in every if each.flag == NOT_DETERMINED]
    if left_open:
        entries.append(f"not determined by the data, left at a stated default: {', '.join(left_open)}")
    assumed = [each.path for each in every if each.flag == ASSUMED]
    if assumed:
        entries.append(f"assumed: {', '.join(assumed)}")
    fitted = {fit.part for fit in fits}
    for each in () if origin is None else origin.references:
        rest = [path for path in each.settings if path.split(".")[0] not in fitted]
        if rest or not each.settings:
            entry = {"what": ", ".join(rest), "cite": each.cite, "note": each.note}
            entries.append({key: value for key, value in entry.items() if value})
    return entries
