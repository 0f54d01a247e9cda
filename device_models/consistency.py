"""Settings of a profile that contradict each other, with the reason.

Only what cannot be is refused. Ranges of DAC and ADC never contradict each other: how large a column's signal gets
depends on the weights and on the gain of its amplifier, which a profile does not know.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from device_models.flicker_noise import FlickerNoise
from device_models.programming import ConstantProgramming
from device_models.units import format_quantity, values

if TYPE_CHECKING:
    from device_models.profile import DeviceProfile


def contradictions(profile: DeviceProfile) -> list[str]:
    """Every contradiction as `path: what is wrong (got x)`."""
    return [*_levels(profile), *_times(profile), *_references(profile)]


def _levels(profile: DeviceProfile) -> list[str]:
    found, g = [], profile.conductance
    if profile.granularity > g.max - g.min:
        found.append(
            f"granularity: must not be above the range of a device, {_siemens(g.max - g.min)}, or a device would have "
            f"a single level (got {_siemens(profile.granularity)})"
        )
    if profile.write_verify is not None and profile.programming is None:
        found.append("write_verify: there is no programming noise to verify; give `programming` too")
    if profile.write_verify is not None and profile.update is not None and max(values(profile.update.write_noise)) > 0:
        found.append(
            "write_verify: a device with `update.write_noise` is elsewhere after its write than where it was verified; "
            "leave out one of them"
        )
    if profile.half_select is not None and profile.update is None:
        found.append("half_select: it is pulses that disturb, and there are none; give `update`, or leave it out")
    if profile.slices is not None and profile.update is not None:
        found.append("slices: digits are programmed, pulses cannot carry over; leave out `update` or `slices`")
    if profile.slices is not None:
        digit = (g.max - g.min) / (2 if profile.cell == "reference" else 1) / (profile.slices.base - 1)
        if profile.granularity / 2 > digit * (1 - 1e-6):
            found.append(
                f"granularity: half of it must lie below one step of a slice, {_siemens(digit)}, or a carry would be "
                f"lost (got {_siemens(profile.granularity)})"
            )
    if isinstance(profile.programming, ConstantProgramming):
        largest = max(values(profile.programming.sigma))
        if largest > g.max:
            found.append(
                f"programming.sigma: must not be above G_max, {_siemens(g.max)}, or a write would say nothing about "
                f"its target (got {_siemens(largest)})"
            )
    return found


def _times(profile: DeviceProfile) -> list[str]:
    found, timing = [], profile.timing
    for index, noise in enumerate(profile.read_noise):
        if not isinstance(noise, FlickerNoise):
            continue
        if noise.t_r > timing.pass_time * (1 + 1e-12):
            found.append(
                f"timing.pass_time: must not be below read_noise.{index}.t_r: the next pass cannot begin before a read "
                f"has ended (got {timing.pass_time:g} s and {noise.t_r:g} s)"
            )
        if noise.t0 < 2 * math.pi * timing.step_time:
            found.append(
                f"timing.step_time: must not be above read_noise.{index}.t0 / 2 pi: what a read draws would be slower "
                f"than any noise the law has (got {timing.step_time:g} s and {noise.t0:g} s)"
            )
    return found


def _references(profile: DeviceProfile) -> list[str]:
    known = [name for name in type(profile).model_fields if name not in ("name", "description", "references")]
    found = []
    for index, reference in enumerate(profile.references):
        strange = [path for path in reference.settings if path.split(".")[0] not in known]
        if strange:
            found.append(
                f"references.{index}.what: no setting is called {', '.join(map(repr, strange))}; "
                f"there are {', '.join(known)}"
            )
    return found


def _siemens(value: float) -> str:
    return format_quantity(float(f"{value:.6g}"), "S", "uS")
