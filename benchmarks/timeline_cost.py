"""What a timeline costs the simulation: the same learning steps by an arm's training and by events of its timeline.

    ANALOGSIM_DATA=... python benchmarks/timeline_cost.py [--steps 10] [--turns 30] [--traffic]

Arms of the scenario mnist-two-passes, blocks of steps in turn in one process, one thread; ratios of a block on the
timeline to one of training, turn by turn: quartiles. With --traffic a thousand requests a second of simulated time come
meanwhile.
"""

from __future__ import annotations

import argparse

import torch

from analogsim.bench.timing import in_turn
from analogsim.study.arm import Arm
from analogsim.study.run import load_data
from analogsim.study.scenario import load_scenario


def main() -> None:
    """Measure, and print a line for each arm."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10, help="of a block")
    parser.add_argument("--turns", type=int, default=30)
    parser.add_argument("--traffic", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    traffic = "{do: traffic, poisson: 1 kHz, time: 1 h}, " if given.traffic else ""
    events = f"timeline=[{traffic}{{do: train, steps: 100000}}]"
    trained = load_scenario("mnist-two-passes", [])
    living = load_scenario("mnist-two-passes", ["train.epochs=0", events])
    data = load_data(trained)
    for name in trained.arms:
        with_events, without = (
            Arm(living, name, data, torch.device("cpu")),
            Arm(trained, name, data, torch.device("cpu")),
        )

        def live(arm: Arm = with_events) -> None:
            for _ in range(given.steps):
                arm.live()

        def train(arm: Arm = without) -> None:
            for _ in range(given.steps):
                arm.advance()

        times = in_turn({"train": train, "live": live}, given.turns, torch.device("cpu"))
        low, middle, high = times["live"].ratios(times["train"])
        print(f"{name}: {middle:.3f} (quartiles {low:.3f}, {high:.3f})")


if __name__ == "__main__":
    main()
