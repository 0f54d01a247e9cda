"""What a tolerance of drift saves, and what counting wear costs: ratios within one process, in turn, one thread.

    python benchmarks/chip_life.py [--hidden 1024] [--turns 20] [--json FILE]

A network 784-hidden-10 in float32, batch 100, learns by ANP with Adam and one sample, absolute writes; one chip.
`drift`: the clock goes on by 1 ms with each step; `drift_tolerance` 1e-3 beside 0, in steps of learning and in reads
without writes. `wear`: the clock stands; `count_wear` beside none. Figures are medians of the ratios of turns.
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
from analogsim.learning import RULES, Controller
from analogsim.network import Network
from analogsim.study.rig import Rig
from analogsim.tasks import LOSSES, DataSet, Task
from device_models import DeviceProfile, load_profile
from device_models.compose import merge, preset_data

STEP_TIME = 1e-3
DRIFTING = {
    "pcm": load_profile("pcm"),
    "pcm without read noise": DeviceProfile.from_data(merge(preset_data("pcm"), {"read_noise": None})),
    "sonos": load_profile("sonos"),
}
WEARING = ("ideal", "noisy", "pcm")


def learner(profile: DeviceProfile, hidden: int, **settings: Any) -> tuple[Controller, Rig]:
    network = Network.mlp([784, hidden, 10])
    chip = Chip(network, profile, **settings)
    weights = [w.float() for w in network.initial_weights("he_normal", [torch.Generator().manual_seed(1)])]
    chip.program(weights)
    generator = torch.Generator().manual_seed(2)
    inputs = torch.randn(1000, 784, generator=generator)
    targets = torch.nn.functional.one_hot(torch.randint(0, 10, (1000,), generator=generator), 10).float()
    data = DataSet(inputs, targets, inputs, targets)
    rig = Rig(chip, Task(data, LOSSES["squared"], 100, [0], [0], torch.device("cpu"), torch.float32))
    rig.calibrate()
    return Controller(rig, RULES["anp"](), weights, torch.optim.Adam, 1e-3), rig


def ratio(acts: tuple[Callable[[], object], Callable[[], object]], turns: int) -> float:
    """Of the second's time to the first's."""
    found = []
    for turn in range(turns + 3):
        spent = {}
        for index in (0, 1) if turn % 2 else (1, 0):
            start = time.process_time()
            acts[index]()
            spent[index] = time.process_time() - start
        found.append(spent[1] / spent[0])
    return statistics.median(found[3:])


def drift(profile: DeviceProfile, hidden: int, turns: int) -> dict[str, float]:
    sides = [learner(profile, hidden, drift_tolerance=tolerance) for tolerance in (0.0, 1e-3)]
    x = torch.randn(1, 100, 784, generator=torch.Generator().manual_seed(3))

    def step(controller: Controller, rig: Rig) -> None:
        controller.step()
        rig.clock.advance(STEP_TIME)

    def read(rig: Rig) -> None:
        rig.clock.advance(STEP_TIME)
        rig.chip.forward(x, now=rig.clock.now)

    steps = ratio((lambda: step(*sides[0]), lambda: step(*sides[1])), turns)
    computed = [sum(each.array.settled for each in rig.chip.crossbars) for _, rig in sides]
    reads = ratio((lambda: read(sides[0][1]), lambda: read(sides[1][1])), turns)
    return {"step": steps, "computed": computed[1] / computed[0], "read": reads}


def wear(profile: DeviceProfile, hidden: int, turns: int) -> dict[str, float]:
    sides = [learner(profile, hidden, count_wear=count) for count in (False, True)]
    return {"step": ratio((sides[0][0].step, sides[1][0].step), turns)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden", type=int, default=1024)
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, dict[str, dict[str, float]]] = {"drift": {}, "wear": {}}
    for name, profile in DRIFTING.items():
        found["drift"][name] = drift(profile, given.hidden, given.turns)
    for name in WEARING:
        found["wear"][name] = wear(load_profile(name), given.hidden, 2 * given.turns)
    for what, rows in found.items():
        for name, row in rows.items():
            print(f"{what:6} {name:24}", "  ".join(f"{key} {value:.3f}" for key, value in row.items()))
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
