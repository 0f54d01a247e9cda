"""Write-verify: against a loop over single devices, and against the closed form where reads have no noise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from analogsim.chip import Chip
from analogsim.network import Network
from device_models import Cells, DeviceProfile, ProfileError

Z = 5.0
US = 1e-6
FAULTS = {"stuck_high": "10 %", "dead_rows": "5 %", "dead_columns": "5 %"}
PROGRAMMING = {"kind": "constant", "sigma": "1 uS"}
READ = {"kind": "additive", "sigma": "2 %"}  # 0.8 uS of 40 uS


def _profile(**parts: Any) -> DeviceProfile:
    data = {"name": "x", "conductance": {"max": "40 uS"}, "programming": PROGRAMMING, **parts}
    return DeviceProfile.from_data(data)


def _normal(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _written(n: int, target: float = 20.0, seed: int = 1, **parts: Any) -> tuple[Cells, Tensor]:
    """n devices, and the numbers that wrote them."""
    device = _profile(**parts).build(1, torch.device("cpu"), torch.float64)
    cells, numbers = Cells(device), _normal(1, device.numbers, 1, n, seed=seed)
    cells.program(torch.full((1, 1, n), target * US, dtype=torch.float64), numbers, 0.0)
    return cells, numbers


def _loop(numbers: list[float], iterations: int, tolerance: float, target: float, read: float) -> tuple[float, int]:
    """One device, microsiemens: (conductance, attempts)."""
    left = iter(numbers)
    g, attempts = max(0.0, target + next(left)), 1
    for _ in range(iterations - 1):
        noise, again = next(left), next(left)
        if abs(g + read * noise - target) <= tolerance:
            break
        g, attempts = max(0.0, target + again), attempts + 1
    return g, attempts


@pytest.mark.parametrize("read", [0.0, 0.8])
@pytest.mark.parametrize("target", [0.5, 20.0])
def test_a_loop_over_devices_does_the_same(read: float, target: float) -> None:
    verify = {"iterations": 6, "tolerance": "0.3 uS"}
    cells, numbers = _written(300, target, write_verify=verify, read_noise=READ if read else None)
    assert numbers.shape[1] == 11
    assert cells.attempts is not None
    for device in range(300):
        g, attempts = _loop(numbers[0, :, 0, device].tolist(), 6, 0.3, target, read)
        assert cells.programmed[0, 0, device].item() / US == pytest.approx(g, rel=1e-12)
        assert cells.attempts[0, 0, device].item() == attempts


@pytest.mark.parametrize("iterations", [1, 2, 5, 20])
def test_without_read_noise_the_law_is_a_mixture_of_truncated_normals(iterations: int) -> None:
    n, tolerance = 100_000, 0.3
    cells, _ = _written(n, write_verify={"iterations": iterations, "tolerance": f"{tolerance} uS"})
    error = cells.programmed.flatten().numpy() / US - 20
    p = 2 * stats.norm.cdf(tolerance) - 1
    missed = (1 - p) ** iterations
    assert abs((np.abs(error) > tolerance).mean() - missed) < Z * math.sqrt(missed * (1 - missed) / n)

    def law(x: np.ndarray) -> np.ndarray:
        inside = np.clip((stats.norm.cdf(x) - stats.norm.cdf(-tolerance)) / p, 0, 1)
        below, above = stats.norm.cdf(np.minimum(x, -tolerance)), np.maximum(stats.norm.cdf(x) - stats.norm.cdf(0.3), 0)
        return (1 - missed) * inside + missed * (below + above) / (1 - p)

    assert stats.kstest(error, law).pvalue > 1e-6
    # Attempts are geometric, cut off at the last.
    assert cells.attempts is not None
    attempts = cells.attempts.double().numpy()
    mean = (1 - missed) / p
    assert abs(attempts.mean() - mean) <= Z * attempts.std() / math.sqrt(n)
    assert attempts.max() <= iterations


def test_noisy_reads_accept_by_the_sum_of_both_errors() -> None:
    n, tolerance, read = 100_000, 0.3, 0.8
    cells, _ = _written(n, write_verify={"iterations": 2, "tolerance": f"{tolerance} uS"}, read_noise=READ)
    assert cells.attempts is not None
    # The read error of a single attempt is N(0, 1 + read^2).
    p = 2 * stats.norm.cdf(tolerance / math.hypot(1, read)) - 1
    accepted = (cells.attempts == 1).double().mean().item()
    assert abs(accepted - p) < Z * math.sqrt(p * (1 - p) / n)
    # Of an accepted device: error given the read, N(m / (1 + read^2), read^2 / (1 + read^2)), m within the tolerance.
    first = cells.programmed[cells.attempts == 1].numpy() / US - 20
    m = stats.truncnorm(-tolerance / math.hypot(1, read), tolerance / math.hypot(1, read), scale=math.hypot(1, read))
    variance = m.var() / (1 + read**2) ** 2 + read**2 / (1 + read**2)
    assert abs(first.var() / variance - 1) < Z * math.sqrt(2 / len(first))


def test_one_iteration_is_plain_programming() -> None:
    verified, numbers = _written(50, write_verify={"iterations": 1, "tolerance": "0.1 uS"})
    plain = Cells(_profile().build(1, torch.device("cpu"), torch.float64))
    plain.program(verified.target, numbers, 0.0)
    assert torch.equal(plain.programmed, verified.programmed)
    assert plain.attempts is None and plain.writes is None
    assert verified.attempts is not None and (verified.attempts == 1).all()


def test_memory_slower_than_a_step_is_not_in_a_verifying_read() -> None:
    flicker = {"kind": "flicker", "q": 0.05, "t_r": "250 ns", "t0": "20 s"}
    n, verify = 50_000, {"iterations": 2, "tolerance": "0.5 uS"}
    cells, _ = _written(n, write_verify=verify, read_noise=flicker)
    # Correlation times from t_r / pi to a step of 1 ms: variance (Q G)^2 ln(step pi / t_r).
    read = 0.05 * 20 * math.sqrt(math.log(1e-3 * math.pi / 250e-9))
    p = 2 * stats.norm.cdf(0.5 / math.hypot(1, read)) - 1
    assert cells.attempts is not None
    accepted = (cells.attempts == 1).double().mean().item()
    # Q G follows the conductance, which spreads by 5 % about the target: half of its variance at second order.
    assert abs(accepted - p) < Z * math.sqrt(p * (1 - p) / n) + p * 0.05**2


def test_a_trap_is_in_the_verifying_read_of_the_devices_that_have_one() -> None:
    trap = {"kind": "telegraph", "amplitude": "50 %", "relative_to": "g_max", "tau": "1 ns", "share": "40 %"}
    device = _profile(read_noise=trap, write_verify={"iterations": 2, "tolerance": "4 uS"}).build(
        1, torch.device("cpu"), torch.float64
    )
    cells, n = Cells(device), 5000
    cells.program(
        torch.full((1, 1, n), 20 * US, dtype=torch.float64),
        _normal(1, device.numbers, 1, n),
        0.0,
        _normal(1, device.fabricated, 1, n, seed=2),
    )
    has = cells.remembered.of(next(e for e in device.effects))["has"]
    assert cells.attempts is not None
    assert 0.3 < has.double().mean() < 0.5
    assert (cells.attempts[~has] == 1).double().mean() > 0.999  # 4 sigma of programming
    assert (cells.attempts[has] == 1).double().mean() < 0.5  # 10 uS of noise


def test_attempts_and_writes_add_up_over_writes_and_survive_a_checkpoint() -> None:
    verify = {"iterations": 4, "tolerance": "0.5 uS"}
    cells, _ = _written(200, write_verify=verify)
    assert cells.attempts is not None and cells.writes is not None
    first = cells.attempts.clone()
    changed = torch.arange(200) % 4 == 0
    numbers = _normal(1, 7, 1, 200, seed=3)
    cells.write(torch.where(changed, 25 * US, cells.target), numbers, 0.0)
    added = cells.attempts - first
    for device in range(200):
        attempts = _loop(numbers[0, :, 0, device].tolist(), 4, 0.5, 25.0, 0.0)[1]
        assert added[0, 0, device].item() == (attempts if changed[device] else 0)
    assert cells.writes.tolist() == [250]
    other, _ = _written(200, write_verify=verify, seed=8)
    other.load_state_dict(cells.state_dict())
    assert other.attempts is not None and other.writes is not None
    assert torch.equal(other.attempts, cells.attempts) and torch.equal(other.writes, cells.writes)


def test_each_chip_may_have_its_own_tolerance() -> None:
    verify = {"iterations": 3, "tolerance": {"each": ["0 uS", "0.5 uS", "100 uS"]}}
    device = _profile(write_verify=verify).build(3, torch.device("cpu"), torch.float64)
    cells = Cells(device)
    cells.program(torch.full((3, 1, 500), 20 * US, dtype=torch.float64), _normal(3, 5, 1, 500), 0.0)
    assert cells.attempts is not None
    strict, some, none = cells.attempts.double().mean(dim=(1, 2)).tolist()
    assert strict == 3 and 1.5 < some < 2.5 and none == 1


@pytest.mark.parametrize(
    ("parts", "fault"),
    [
        ({"programming": None, "write_verify": {"iterations": 2, "tolerance": "1 uS"}}, "write_verify: there is no"),
        ({"write_verify": {"iterations": 0, "tolerance": "1 uS"}}, "write_verify.iterations: "),
        ({"write_verify": {"iterations": 2.5, "tolerance": "1 uS"}}, "write_verify.iterations: "),
        ({"write_verify": {"iterations": 2}}, "write_verify.tolerance: is missing"),
        ({"write_verify": {"iterations": 2, "tolerance": "1 %"}}, "write_verify.tolerance: '%' is not a unit"),
    ],
)
def test_settings_that_would_not_hold_are_refused(parts: dict[str, Any], fault: str) -> None:
    with pytest.raises(ProfileError) as caught:
        _profile(**parts)
    assert str(caught.value).splitlines()[1].startswith(f"  - {fault}")


BOUNDS = {"kind": "constant_step", "dw_min": 0.01, "bounds": {"high_spread": 0.5}}


def test_the_verifying_read_sees_the_device_within_its_own_bounds() -> None:
    """Devices that end below 34.9 uS, and devices that reach 40 uS, asked for 36 uS: the former never arrive."""
    device = _profile(update=BOUNDS, write_verify={"iterations": 20, "tolerance": "1 uS"}).build(
        1, torch.device("cpu"), torch.float64
    )
    cells, n = Cells(device), 4000
    made = _normal(1, device.fabricated, 1, n, seed=2)
    cells.program(torch.full((1, 1, n), 36 * US, dtype=torch.float64), _normal(1, device.numbers, 1, n), 0.0, made)
    assert cells.pulsed is not None and cells.attempts is not None
    reach = cells.pulsed.ends[1]
    out_of_reach, well = reach < 34.9 * US, reach > 40 * US
    assert out_of_reach.sum() > 500 and well.sum() > 500
    assert (cells.attempts[out_of_reach] == 20).all()
    far = reach < 30 * US  # six standard deviations: every attempt ends at the bound
    assert torch.equal(cells.programmed[far], reach[far])
    # A single attempt is within one standard deviation; (1 - p)^20 of the devices, 1e-10, take all and miss.
    p = 2 * stats.norm.cdf(1.0) - 1
    assert abs(cells.attempts[well].double().mean() - 1 / p) < Z * math.sqrt(1 - p) / p / math.sqrt(int(well.sum()))
    assert ((cells.programmed[well] - 36 * US).abs() <= 1 * US).all()


def test_stuck_devices_and_open_lines_are_tried_to_the_last() -> None:
    chip = Chip(Network.mlp([40, 30]), _profile(faults=FAULTS, write_verify={"iterations": 9, "tolerance": "2 uS"}), 1)
    chip.program([torch.full((1, 30, 41), 0.3)])
    for cells in chip.oracle.cells[0]:
        assert cells.faults is not None and cells.attempts is not None
        # Weights of 0.3 and 0 aim at 20 uS, at 0 uS: none is met at 40 uS, or, but for the latter, without a current.
        aimed, lost = cells.target > 0, cells.faults.open | cells.faults.stuck_high
        assert (cells.attempts[lost & aimed] == 9).all()
        assert lost.sum() > 100
        assert cells.attempts[~lost].float().mean() < 2


def test_what_a_write_adds_after_its_verification_is_refused() -> None:
    with pytest.raises(ProfileError, match=r"write_verify: a device with `update\.write_noise` is elsewhere"):
        _profile(update={**BOUNDS, "write_noise": 1.0}, write_verify={"iterations": 2, "tolerance": "1 uS"})
