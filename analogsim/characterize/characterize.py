"""From a profile to its page."""

from __future__ import annotations

import torch

from analogsim.characterize.lab import Lab, microsiemens
from analogsim.characterize.page import Page, Panel
from analogsim.characterize.registry import PANELS
from device_models import DeviceProfile, ProfileError


def characterize(profile: DeviceProfile, devices: int = 1000, seed: int = 0) -> Page:
    """Measure a profile on simulated devices.

    Args:
        profile: to measure; every parameter has one value.
        devices: how many to simulate at each point.
        seed: of all random numbers: the same seed gives the same page.

    Raises:
        ProfileError: a parameter differs from chip to chip.
        ValueError: no devices.
    """
    if devices < 1:
        raise ValueError(f"at least one device must be simulated (got {devices})")
    try:
        profile.build(1, torch.device("cpu"), torch.float64)
    except ProfileError as error:
        raise ProfileError(f"profile {profile.name}: a page shows one kind of device: {error}") from None
    lab = Lab(profile, devices, seed)
    measured = {name: panel(lab) for name, panel in PANELS.items()}
    panels = {name: found for name, found in measured.items() if isinstance(found, Panel)}
    absent = {name: found.sentence for name, found in measured.items() if not isinstance(found, Panel)}
    figures = [*_data_sheet(profile), *(figure for panel in panels.values() for figure in panel.figures)]
    return Page(
        name=profile.name,
        description=" ".join(profile.description.split()),
        references=tuple(entry.text for entry in profile.references),
        figures=tuple(figures),
        panels=panels,
        absent={name: sentence for name, sentence in absent.items() if sentence},
        devices=devices,
        seed=seed,
    )


def _data_sheet(profile: DeviceProfile) -> list[tuple[str, str]]:
    """What needs no measurement."""
    low, high, timing = profile.conductance.min, profile.conductance.max, profile.timing
    ratio = f", on/off {high / low:.3g}" if low > 0 else ""
    sheet = [("conductance", f"{microsiemens(low, 4)} to {microsiemens(high, 4)}{ratio}")]
    for name, converter in (("DAC", profile.dac), ("ADC", profile.adc)):
        if converter is not None:
            span = converter.range if isinstance(converter.range, str) else f"±{converter.range:g}"
            sheet.append((name, f"{converter.bits} bit, {span}"))
    sheet.append(("passes, steps", f"{_seconds(timing.pass_time)}, {_seconds(timing.step_time)} apart"))
    return sheet


def _seconds(value: float) -> str:
    unit, name = next((u, n) for u, n in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (0.0, "ns")) if value >= u)
    return f"{value / (unit or 1e-9):.3g} {name}"
