"""Threads: compiled loops over parts of an array, as many at a time as torch has threads.

The loops release Python's lock, so plain threads run them side by side. What a part computes does not depend on where
it begins or ends: results are the same on any number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from queue import SimpleQueue
from threading import Lock, Thread
from typing import NamedTuple

import torch
from torch import Tensor

_WORTH = 1 << 16  # elements that a second thread is woken for


class _Part(NamedTuple):
    """What a thread is to call, and where it says how it ended: with an exception, or None."""

    loop: Callable[..., object]
    arguments: tuple[object, ...]
    ended: SimpleQueue[BaseException | None]


# A queue and its threads rather than an executor: a future costs 80 us more to hand over and to wait for, and a read
# hands over three times.
_parts: SimpleQueue[_Part] = SimpleQueue()
_helpers: list[Thread] = []
_starting = Lock()


def _forget() -> None:
    """A forked process has the parent's queue, but not its threads."""
    global _parts, _starting
    _parts, _starting = SimpleQueue(), Lock()
    _helpers.clear()


def _help(parts: SimpleQueue[_Part]) -> None:
    while True:
        _do(parts.get())


def _do(part: _Part) -> None:
    """A call of its own, so that nobody holds its arrays while the thread waits."""
    try:
        part.loop(*part.arguments)
    except BaseException as error:  # it is raised where the part was handed over
        part.ended.put(error)
    else:
        part.ended.put(None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)

available: bool = os.environ.get("ANALOGSIM_KERNELS", "compiled") != "torch" and find_spec("numba") is not None
"""Whether loops are compiled; otherwise the same numbers come from torch, operation by operation. The environment's
`ANALOGSIM_KERNELS=torch` says so too."""


def compiled(*tensors: Tensor) -> bool:
    """Whether compiled loops take these tensors: floating-point numbers on a CPU that nothing is differentiated by."""
    return available and all(
        type(x) is Tensor
        and x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.float64)
        and x.dtype == tensors[0].dtype
        and not x.requires_grad
        for x in tensors
    )


def in_parts(loop: Callable[..., object], count: int, elements: int, *arguments: object) -> None:
    """Call `loop(begin, end, *arguments)` for ranges that make up 0 to `count`, side by side.

    Args:
        loop: releases Python's lock; its entries are independent, and none comes here again.
        count: of entries.
        elements: of all entries together: little work is done by one thread.
        arguments: of the loop.
    """
    parts = max(1, min(torch.get_num_threads(), count, elements // _WORTH))
    if parts == 1:
        loop(0, count, *arguments)
        return
    with _starting:
        while len(_helpers) < parts - 1:
            helper = Thread(target=_help, args=(_parts,), name="analogsim", daemon=True)
            helper.start()
            _helpers.append(helper)  # only now: one that could not start helps nobody
    ends = [count * part // parts for part in range(parts + 1)]
    ended: SimpleQueue[BaseException | None] = SimpleQueue()
    for begin, end in zip(ends[1:], ends[2:], strict=False):
        _parts.put(_Part(loop, (begin, end, *arguments), ended))
    try:
        loop(0, ends[1], *arguments)
    finally:  # the others' parts are of the same arrays
        errors = [ended.get() for _ in ends[2:]]
    for error in errors:
        if error is not None:
            raise error
