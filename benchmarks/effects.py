"""What each effect costs: one read and one write of a layer as ratios to the ideal product of the same size.

    python benchmarks/effects.py [--lines 512] [--batch 500] [--json FILE]

Each figure is a ratio of medians of timings taken in turn in one process, one thread, float32: the effect beside
`torch.mm` of the same inputs and weights. The read is `Chip.forward` of one linear layer on one tile with one noisy
pass; the write is `Chip.write` of every device, after which the next read is the first to see it (its preparation is
part of the write here). An effect's own cost is the difference to `ideal`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from analogsim.chip import Chip
from analogsim.network import Dense, Identity, Network
from analogsim.port import LayerPulses, LayerUpdate, LayerWrite
from device_models import DeviceProfile

SOFT = {"kind": "soft_bounds", "dw_min": 0.002, "cycle_to_cycle": 0.3}
FLICKER = {"kind": "flicker", "q": 0.0088, "exponent": 0.65, "q_max": 0.2, "t_r": "250 ns", "t0": "20 s"}
EXPONENTIAL = {
    "kind": "exponential_step",
    "dw_min": 0.001,
    "a_up": -1.2,
    "a_down": -0.08,
    "gamma_up": 5,
    "gamma_down": 5,
    "a": -0.5,
    "b": -0.5,
}
CASES: dict[str, dict[str, Any]] = {
    "ideal": {},
    "dac, 8 bits": {"dac": {"bits": 8, "range": 3}},
    "adc, 8 bits": {"adc": {"bits": 8, "range": 30}},
    "pulse-width inputs": {"dac": {"bits": 8, "range": 3, "encoding": "pulse_width"}, "read_noise": {"sigma": "1 %"}},
    "bit-serial inputs, adc": {
        "dac": {"bits": 8, "range": 3, "encoding": "bit_serial"},
        "adc": {"bits": 8, "range": 30},
    },
    "two phases, adc": {"dac": {"bits": 8, "range": 3, "polarity": "two_phase"}, "adc": {"bits": 8, "range": 30}},
    "two slices, adc": {"slices": {"count": 2, "bits": 4}, "adc": {"bits": 8, "range": 30}},
    "adc with column errors": {"adc": {"bits": 8, "range": 30, "gain_error": "5 %", "offset_error": 1.0}},
    "unit noise, telegraph": {"unit_noise": {"kind": "telegraph", "amplitude": 0.01, "flip": "8 %"}},
    "column noise": {"column_noise": {"sigma": "1 %"}},
    "additive read noise": {"read_noise": {"sigma": "1 %"}},
    "proportional read noise": {"read_noise": {"kind": "proportional", "sigma": "1 %"}},
    "polynomial read noise": {"read_noise": {"kind": "polynomial", "sigma": "1 %", "coefficients": [1, 0.5, -0.2]}},
    "1/f read noise": {"read_noise": FLICKER},
    "telegraph noise, 3 us": {"read_noise": {"kind": "telegraph", "amplitude": "5 %", "tau": "3 us"}},
    "telegraph noise, 1 s": {"read_noise": {"kind": "telegraph", "amplitude": "5 %", "tau": "1 s"}},
    "one relaxation, 3 us": {"read_noise": {"kind": "lorentzian", "sigma": "2 %", "tau": "3 us"}},
    "thermal noise": {"read_noise": {"kind": "thermal", "read_voltage": "0.2 V", "integration_time": "100 ns"}},
    "shot noise": {"read_noise": {"kind": "shot", "read_voltage": "0.2 V", "integration_time": "100 ns"}},
    "write-verify, 5 attempts": {
        "programming": {"kind": "constant", "sigma": "0.5 uS"},
        "write_verify": {"iterations": 5, "tolerance": "0.3 uS"},
    },
    "relaxation": {
        "relaxation": {"kind": "logarithmic", "mean": "-0.09 uS", "sd": "0.4 uS", "sd_slope": "0.04 uS", "t0": "1 s"}
    },
    "programming noise": {"programming": {"kind": "constant", "sigma": "0.5 uS"}},
    "drift": {"drift": {"kind": "constant", "t0": "1 s", "mean": 0.05, "sd": 0.01}},
    "faults": {"faults": {"stuck_low": "1 %", "dead_rows": "1 %"}},
    "wires, first order": {"wires": {"resistance": "0.1 ohm", "solve": "first_order"}},
    "I-V curve": {"conduction": {"kappa": 0.8}},
    "pulses, outer product": {"update": SOFT, "cell": "reference"},
    "pulses, dense": {"update": SOFT, "cell": "reference"},
    "exponential steps": {
        "update": {**EXPONENTIAL, "cycle_to_cycle": 1.0},
        "cell": "reference",
    },
}


def median(act: Callable[[], object], repeats: int) -> float:
    """Median duration of an act, seconds, after one that is not counted."""
    act()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        act()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def measure(name: str, parts: dict[str, Any], lines: int, batch: int, repeats: int) -> dict[str, float]:
    """Ratios of one read and one write to the ideal product."""
    network = Network((Dense(lines, lines, Identity(), bias=False),))
    profile = DeviceProfile.from_data({"name": "bench", "conductance": {"max": "25 uS"}, **parts})
    chip = Chip(network, profile, tile=lines)
    weights = torch.randn(1, lines, lines) * lines**-0.5
    chip.program([weights])
    x = torch.randn(1, batch, lines)
    flat, w = x[0], weights[0].T.contiguous()
    turn = iter(range(10**9))

    def write() -> None:
        sign = 1 if next(turn) % 2 else -1
        if "pulses" in name or "steps" in name:
            update = LayerUpdate(post=sign * torch.randn(1, 50, lines), pre=torch.randn(1, 50, lines))
            if "dense" in name:
                update = LayerUpdate(dense=update.direction())
            chip.write([LayerPulses(update, torch.full((1, 1, 1), 0.001))])
        else:
            chip.write([LayerWrite(weights * (1 + 0.01 * sign))])
        chip.oracle.weights  # noqa: B018 - what the next read needs is part of the write

    ideal = median(lambda: torch.mm(flat, w), 3 * repeats)
    return {"read": median(lambda: chip.forward(x), repeats) / ideal, "write": median(write, repeats) / ideal}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, default=512)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    found = {}
    print(f"{given.lines} x {given.lines}, batch {given.batch}: ratios to the ideal product\n")
    print(f"{'effect':28}{'read':>8}{'write':>8}")
    for name, parts in CASES.items():
        found[name] = measure(name, parts, given.lines, given.batch, given.repeats)
        print(f"{name:28}{found[name]['read']:8.2f}{found[name]['write']:8.2f}", flush=True)
    if given.json is not None:
        given.json.write_text(json.dumps({"lines": given.lines, "batch": given.batch, "ratios": found}, indent=1))


if __name__ == "__main__":
    main()
