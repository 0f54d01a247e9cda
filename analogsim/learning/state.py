"""State as plain data, for checkpoints: nested tuples and named tuples of tensors and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor


def plain(state: Any) -> Any:
    """A state as dicts and tensors, for a checkpoint; the tensors are live."""
    if isinstance(state, tuple):
        return {name: plain(each) for name, each in zip(_names(state), state, strict=True)}
    return state


def restored(like: Any, saved: Any) -> Any:
    """The state that `plain` was given, shaped and placed like another of its kind."""
    if isinstance(like, tuple):
        parts = [restored(each, saved[name]) for name, each in zip(_names(like), like, strict=True)]
        return type(like)(*parts) if hasattr(like, "_fields") else tuple(parts)
    return saved.to(like.device, copy=True) if isinstance(like, Tensor) else saved


def _names(state: Any) -> Sequence[str]:
    return getattr(state, "_fields", None) or [str(index) for index in range(len(state))]
