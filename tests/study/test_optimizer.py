"""Optimisers of scenarios: those of torch, to the bit, without what only compiled code needs."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from analogsim.study.optimizer import Optimizer

NAMES = {
    "adadelta": torch.optim.Adadelta,
    "adagrad": torch.optim.Adagrad,
    "adam": torch.optim.Adam,
    "adamax": torch.optim.Adamax,
    "adamw": torch.optim.AdamW,
    "nadam": torch.optim.NAdam,
    "radam": torch.optim.RAdam,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}


@pytest.mark.parametrize(("name", "torchs"), NAMES.items())
def test_an_optimiser_is_torchs_own(name: str, torchs: Any) -> None:
    """Steps, state, and what another takes over from it; also where torch's own has been used before and after."""
    gradients = torch.randn(6, 40, generator=torch.Generator().manual_seed(0))
    ours, theirs = torch.ones(40), torch.ones(40)
    other = torchs([theirs], lr=0.1)
    held = Optimizer.model_validate({name: {"lr": 0.1}}).factory([ours], lr=0.1)
    for index, gradient in enumerate(gradients):
        if index == 3:
            held, taken = Optimizer.model_validate({name: {"lr": 0.1}}).factory([ours], lr=0.1), held.state_dict()
            held.load_state_dict(taken)
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        held.step()
        other.step()
        assert torch.equal(ours, theirs)
    assert not torch.equal(ours, torch.ones(40))
    assert str(held.state_dict()) == str(other.state_dict())
    assert isinstance(held, torchs)
