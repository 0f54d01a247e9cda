"""What the layers of a chip are made of: one device profile for all, or one for each."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from device_models import Device, DeviceProfile, ProfileError


def per_layer(profile: DeviceProfile | Sequence[DeviceProfile], depth: int) -> tuple[DeviceProfile, ...]:
    """The profile of each layer.

    Args:
        profile: one for all layers, or one for each.
        depth: number of layers.

    Raises:
        ProfileError: another number of profiles than of layers, or profiles that cannot share a chip.
    """
    if isinstance(profile, str):
        raise ProfileError(f"a chip takes profiles, not names; device_models.load_profile({profile!r}) reads one")
    profiles = (profile,) * depth if isinstance(profile, DeviceProfile) else tuple(profile)
    for each in profiles:
        if not isinstance(each, DeviceProfile):
            raise ProfileError(f"a chip takes profiles (got {each!r}); device_models.load_profile reads one")
    if len(profiles) != depth:
        raise ProfileError(f"a chip takes one profile, or one for each of its {depth} layers (got {len(profiles)})")
    for index, each in enumerate(profiles):
        if each.timing != profiles[0].timing:
            raise ProfileError(
                f"layer {index}: `timing` must be that of layer 0, because all layers of a chip are read in one rhythm "
                f"(got {_rhythm(each)}; layer 0: {_rhythm(profiles[0])})"
            )
    return profiles


def _rhythm(profile: DeviceProfile) -> str:
    return f"pass_time {profile.timing.pass_time:g} s, step_time {profile.timing.step_time:g} s"


def build(
    profiles: Sequence[DeviceProfile], chips: int, device: torch.device, dtype: torch.dtype
) -> tuple[Device, ...]:
    """The tensors of each layer; layers of one profile share them.

    Raises:
        ProfileError: a per-chip parameter has another number of values than there are chips.
    """
    built: dict[int, Device] = {}
    for index, profile in enumerate(profiles):
        if id(profile) not in built:
            try:
                built[id(profile)] = profile.build(chips, device, dtype)
            except ProfileError as error:
                where = "" if all(each is profile for each in profiles) else f"layer {index}: "
                raise ProfileError(f"{where}{error}") from None
    return tuple(built[id(profile)] for profile in profiles)
