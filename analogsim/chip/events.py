"""Events: what happens to chips in their lives beside reads and writes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from pydantic import TypeAdapter, ValidationError

from analogsim.chip.compensation import Compensation
from analogsim.chip.crossbar import Crossbar
from analogsim.chip.decorrelation import Decorrelators
from analogsim.chip.layers import build
from analogsim.chip.signal_path import SignalPath
from device_models import Device, DeviceProfile
from device_models.faults import Faults
from device_models.units import Each, Temperature


class Events:
    """Of a population of C chips.

    Attributes:
        temperature: kelvin, of each chip, since `set_temperature`; None: that of the profiles.
    """

    temperature: tuple[float, ...] | None = None
    chips: int
    profiles: tuple[DeviceProfile, ...]
    _layers: list[Crossbar]
    _decorrelators: Decorrelators
    _devices: tuple[Device, ...]
    _path: SignalPath
    _last: tuple[str, float] | None = None  # None: nothing is programmed yet

    def fail(self, faults: Faults, now: float) -> None:
        """Let further devices and lines die, in all crossbars, on top of those that are dead.

        Every call strikes devices of its own, drawn from streams of the chips that nothing else uses. Devices that are
        programmed later (`program`, crossbars of R that are made) have the faults of fabrication only.

        Args:
            faults: shares of all devices and lines that are struck; those that are stuck already stay as they are.
            now: seconds; not before the last write or event.

        Raises:
            ProfileError: `each` has another number of values than C.
        """
        self._note("failure", now)
        for _, crossbar in self.numbered_crossbars:
            crossbar.array.fail(faults)

    def set_temperature(self, kelvin: float | Sequence[float], now: float) -> None:
        """Have the chips at another temperature from `now` on.

        Thermal noise follows at once. What each device has used up of its life until then, at the temperatures that
        there were, stays used up.

        Args:
            kelvin: of all chips, or of each.
            now: seconds; not before the last write or event.

        Raises:
            ValueError: no temperature that a chip can have, or another number of them than C.
        """
        values = _temperatures(kelvin, self.chips)
        self._note("change of temperature", now)
        self._adopt(values, now)

    def forget(self) -> None:
        """Lose what is volatile, as with the power: drift compensation, and what noise remembers from pass to pass.

        The factors of `compensate` and the references of `take_reference` are gone. Devices keep what they hold, and
        calibrated ranges of ADCs are kept: they are trimmed in memory that is not volatile.
        """
        for _, crossbar in self.numbered_crossbars:
            crossbar.compensation = Compensation()
        self._path.last.clear()

    def _adopt(self, temperature: tuple[float, ...] | None, now: float | None = None) -> None:
        """Have devices at a temperature; now: see `Cells.become`."""
        self.temperature = temperature
        self._devices = build(self._tempered(), self.chips, self._devices[0].site.device, self._devices[0].site.dtype)
        for index, crossbar in self.numbered_crossbars:
            crossbar.become(self._devices[index], now)

    def _tempered(self) -> Sequence[DeviceProfile]:
        """The profiles at the chips' temperature; layers of one still share one."""
        if self.temperature is None:
            return self.profiles
        update = {"temperature": Each(self.temperature)}
        changed = {id(each): each.model_copy(update=update) for each in self.profiles}
        return [changed[id(each)] for each in self.profiles]

    @property
    def numbered_crossbars(self) -> Iterator[tuple[int, Crossbar]]:
        """Every crossbar with the index of its layer: those of the layers, and those of their decorrelation."""
        yield from enumerate(self._layers)
        yield from self._decorrelators.by_layer.items()

    def _note(self, what: str, now: float) -> None:
        """Something happens at `now`, seconds, before which nobody can look any more."""
        self._check_time(now)
        self._last = what, now

    def _last_event(self) -> tuple[str, float]:
        """What happened last, and when, seconds; RuntimeError if nothing is programmed yet."""
        if self._last is None:
            raise RuntimeError("these chips hold no weights yet; call program(weights) first")
        return self._last

    def _check_time(self, now: float) -> None:
        what, last = self._last_event()
        if not last <= finite(now):
            raise ValueError(f"now must not lie before the last {what} at {last:g} s (got {now:g} s)")


def finite(now: float) -> float:
    """A time, seconds, or ValueError."""
    if not math.isfinite(now):
        raise ValueError(f"now must be a finite time in seconds (got {now})")
    return now


def _temperatures(kelvin: float | Sequence[float], chips: int) -> tuple[float, ...]:
    """Of each chip, within the limits of a profile's."""
    values = (float(kelvin),) * chips if isinstance(kelvin, float | int) else tuple(map(float, kelvin))
    if len(values) != chips:
        raise ValueError(f"kelvin: give one temperature, or one for each of the {chips} chips (got {len(values)})")
    for value in values:
        try:
            TypeAdapter(Temperature).validate_python(f"{value!r} K")
        except ValidationError as error:
            reason = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise ValueError(f"kelvin: {reason}") from None
    return values
