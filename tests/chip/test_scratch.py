"""Memory on loan: nobody shares it, and it comes back."""

from __future__ import annotations

import pytest
import torch

from analogsim.chip import scratch


@pytest.fixture(autouse=True)
def _empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "_kept", [])


def test_two_loans_are_apart() -> None:
    one, other = scratch.lend(100), scratch.lend(100)
    assert one.data_ptr() != other.data_ptr()
    assert one.dtype == other.dtype == torch.int32


def test_what_came_back_is_lent_to_one_at_a_time() -> None:
    scratch.give_back(scratch.lend(100))
    one, other = scratch.lend(100), scratch.lend(100)
    assert one.data_ptr() != other.data_ptr()


def test_what_came_back_is_lent_again_if_it_is_large_enough() -> None:
    memory = scratch.lend(100)
    scratch.give_back(memory)
    assert scratch.lend(60) is memory
    scratch.give_back(memory)
    assert scratch.lend(101).numel() >= 101


def test_one_buffer_is_kept_and_none_that_is_huge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "_MOST", 100)
    scratch.give_back(torch.empty(101, dtype=torch.int32))
    assert scratch._kept == []
    for _ in range(2):
        scratch.give_back(torch.empty(10, dtype=torch.int32))
    assert len(scratch._kept) == 1
