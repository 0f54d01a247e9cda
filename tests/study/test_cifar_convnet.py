"""The ConvNet of Dalm et al., Table 1, through the whole chip path, on files in the format of CIFAR-10."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from analogsim.network import Conv2d, Identity, LeakyReLU
from analogsim.study.arm import Arm
from analogsim.study.check import check
from analogsim.study.run import load_data
from analogsim.study.scenario import load_scenario

RECORDS = 10  # in each of the six files


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images of noise, darker or brighter by their class."""
    generator = np.random.default_rng(0)
    folder = tmp_path / "cifar-10"
    folder.mkdir()
    for name in (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"):
        labels = generator.permutation(RECORDS).astype(np.uint8)
        pixels = 20 * labels[:, None] + generator.integers(0, 40, (RECORDS, 3072))
        (folder / name).write_bytes(np.concatenate([labels[:, None], pixels.astype(np.uint8)], axis=1).tobytes())
    monkeypatch.setenv("ANALOGSIM_DATA", str(tmp_path))


def test_the_network_is_the_papers() -> None:
    network = load_scenario("cifar-convnet").network.build((3, 32, 32))
    convolutions = [layer for layer in network.layers if isinstance(layer, Conv2d)]
    assert [(c.channels_out, c.window.kernel, c.window.stride) for c in convolutions] == [
        (16, (3, 3), (2, 2)),
        (32, (3, 3), (2, 2)),
        (64, (3, 3), (1, 1)),
    ]
    assert [layer.units for layer in network.layers] == [4096, 2048, 4096, 1024, 10]
    assert [layer.fan_in for layer in network.layers] == [27, 144, 288, 4096, 1024]
    assert [layer.activation for layer in network.layers] == [LeakyReLU(0.01)] * 4 + [Identity()]


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("name", ["bp", "danp"])
def test_a_few_steps_of_it(name: str) -> None:
    """Backpropagation lowers the test loss; both write far more devices than one layer has units."""
    scenario = load_scenario("cifar-convnet", ["data.samples=null", "data.batch=10"], quick=True)
    data = load_data(scenario)
    check(scenario, data)
    arm = Arm(scenario, name, data, torch.device("cpu"))
    before = arm.evaluate().chips[0]
    for _ in range(5):
        arm.advance()
    after = arm.evaluate().chips[0]
    assert before.test_loss is not None and after.test_loss is not None
    if name == "bp":
        assert after.test_loss < before.test_loss
    (chip,) = arm.result().chips
    assert chip.counts.passes == 5 * (1 if name == "bp" else 2)
    assert chip.counts.device_writes > 5 * 4096
