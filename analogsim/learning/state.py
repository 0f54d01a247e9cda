"""State as plain data, for checkpoints: nested tuples and named tuples of tensors and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

_PLAIN = (Tensor, bool, int, float, str, type(None))


def plain(state: Any) -> Any:
    """A state as dicts and tensors, for a checkpoint; the tensors are live.

    What is neither, such as the description of a layer, is left out: it follows from the scenario.
    """
    if isinstance(state, tuple):
        return {name: plain(each) for name, each in zip(_names(state), state, strict=True)}
    return state if isinstance(state, _PLAIN) else None


def restored(like: Any, saved: Any) -> Any:
    """The state that `plain` was given, shaped and placed like another of its kind, which gives what was left out."""
    if isinstance(like, tuple):
        parts = [restored(each, saved[name]) for name, each in zip(_names(like), like, strict=True)]
        return type(like)(*parts) if hasattr(like, "_fields") else tuple(parts)
    if isinstance(like, Tensor):
        return saved.to(like.device, copy=True)
    return saved if isinstance(like, _PLAIN) else like


def _names(state: Any) -> Sequence[str]:
    return getattr(state, "_fields", None) or [str(index) for index in range(len(state))]
