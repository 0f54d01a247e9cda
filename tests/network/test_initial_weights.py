"""Laws of initial weights: identities between them, and their standard deviations."""

import math

import pytest
import torch

from analogsim.network import Identity, Network

NETWORK = Network.mlp([40, 60, 20], Identity())
SDS = {
    "he_normal": (math.sqrt(2 / 40), math.sqrt(2 / 60)),
    "glorot_normal": (math.sqrt(2 / 100), math.sqrt(2 / 80)),
    "glorot_normal_biases": (math.sqrt(2 / 100), math.sqrt(2 / 80)),
}
CHIPS = 20


def drawn(scheme: str, network: Network = NETWORK) -> tuple[torch.Tensor, ...]:
    return network.initial_weights(scheme, [torch.Generator().manual_seed(chip) for chip in range(CHIPS)])


@pytest.mark.parametrize("scheme", SDS)
def test_standard_deviations(scheme: str) -> None:
    """Of n weights, and of n biases where they are drawn: within 4.5 sd / sqrt(2 n)."""
    for w, fan_in, sd in zip(drawn(scheme), (40, 60), SDS[scheme], strict=True):
        weights, biases = w[:, :, :fan_in], w[:, :, fan_in:]
        assert abs(weights.std() / sd - 1) < 4.5 / math.sqrt(2 * weights.numel())
        if scheme == "glorot_normal_biases":
            assert abs(biases.std() / sd - 1) < 4.5 / math.sqrt(2 * biases.numel())
        else:
            assert (biases == 0).all()


def test_biases_change_no_weight_of_the_first_layer() -> None:
    """The first layer's weights are drawn first, so they are those of `glorot_normal`, chip by chip."""
    assert torch.equal(drawn("glorot_normal")[0][:, :, :40], drawn("glorot_normal_biases")[0][:, :, :40])


def test_without_bias_rows_both_are_the_same() -> None:
    network = Network.mlp([40, 60, 20], Identity(), bias=False)
    for plain, same in zip(drawn("glorot_normal", network), drawn("glorot_normal_biases", network), strict=True):
        assert torch.equal(plain, same)
