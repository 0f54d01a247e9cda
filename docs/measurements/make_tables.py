"""Make the example tables of this folder: what a lab would measure on known devices. Seeded.

Run as `python docs/measurements/make_tables.py`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from device_models import DeviceProfile, load_profile
from device_models.fit import synthetic

SEED = 2


def main(folder: Path) -> None:
    """Write four tables."""
    pcm, rng = load_profile("pcm"), np.random.default_rng(SEED)
    g_max = pcm.conductance.max
    note = ["drawn from the profile pcm by make_tables.py; no measurement"]
    targets = np.repeat(np.linspace(0, g_max, 11), 30)
    synthetic.write_table(folder / "pcm-programmed.csv", synthetic.programmed(pcm, targets, rng), note)
    targets = np.geomspace(0.06, 1, 400) * g_max
    drift = synthetic.drift(pcm, targets, np.geomspace(20, 1e6, 6), rng)
    synthetic.write_table(folder / "pcm-drift.csv", drift, note)
    g = np.geomspace(0.12, 1, 24) * g_max
    reads = synthetic.reads(pcm, g, np.arange(40) * 1e-3, rng)
    synthetic.write_table(folder / "pcm-reads.csv", reads, note)
    soft = {"kind": "soft_bounds", "dw_min": 0.03, "device_to_device": 0.2, "cycle_to_cycle": 0.3}
    pulsed = DeviceProfile.from_data({"name": "soft", "conductance": {"min": "2 uS", "max": "25 uS"}, "update": soft})
    train = np.repeat([1.0, -1.0, 1.0, -1.0], 25)
    note = ["drawn from soft bounds (dw_min 0.03, spread 20 %, noise 30 %) by make_tables.py; no measurement"]
    synthetic.write_table(folder / "soft-pulses.csv", synthetic.pulses(pulsed, 12, train, rng), note)


if __name__ == "__main__":
    main(Path(__file__).parent)
