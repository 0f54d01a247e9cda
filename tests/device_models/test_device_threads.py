"""Compiled loops on several threads: all parts are done, errors are told, and nothing is held on to."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from queue import SimpleQueue

import numpy as np
import pytest
import torch

from device_models import threads


@pytest.fixture(autouse=True)
def _threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(threads, "_WORTH", 1)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [1, 2, 3, 10])
def test_parts_make_up_the_whole(count: int) -> None:
    done = np.zeros(count, dtype=int)

    def work(begin: int, end: int, out: np.ndarray) -> None:
        out[begin:end] += 1

    for _ in range(20):
        threads.in_parts(work, count, count, done)
    assert done.tolist() == [20] * count


@pytest.mark.parametrize("where", [0, 1, 2])
def test_an_error_is_raised_once_all_parts_have_ended(where: int) -> None:
    """In the caller's part and in another's; then all goes on."""
    ended = []

    def work(begin: int, end: int) -> None:
        if begin == where:
            raise ZeroDivisionError(f"part {begin}")
        ended.append(begin)

    with pytest.raises(ZeroDivisionError, match=f"part {where}"):
        threads.in_parts(work, 3, 3)
    assert sorted(ended) == sorted({0, 1, 2} - {where})
    threads.in_parts(lambda begin, end: ended.append(begin), 3, 3)
    assert len(ended) == 5


def test_threads_that_wait_hold_no_arrays() -> None:
    class Held:
        pass

    held = Held()
    gone = weakref.ref(held)
    threads.in_parts(lambda begin, end, what: None, 3, 3, held)
    del held
    for _ in range(100):  # the last thread has said that it is done, and drops what it had next
        if gone() is None:
            break
        threading.Event().wait(0.01)
    gc.collect()
    assert gone() is None


def test_callers_side_by_side_get_their_own_parts() -> None:
    found: dict[int, list[int]] = {}

    def call(number: int) -> None:
        own = np.zeros(30, dtype=int)

        def work(begin: int, end: int) -> None:
            own[begin:end] = number

        for _ in range(50):
            own[:] = -1
            threads.in_parts(work, 30, 30)
            assert (own == number).all()
        found[number] = own.tolist()

    callers = [threading.Thread(target=call, args=(number,)) for number in range(4)]
    for each in callers:
        each.start()
    for each in callers:
        each.join(30)
    assert found == {number: [number] * 30 for number in range(4)}


def test_a_thread_that_cannot_start_is_no_thread_that_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The call fails; the next one, when threads can start again, does its work."""
    monkeypatch.setattr(threads, "_helpers", [])
    monkeypatch.setattr(threads, "_parts", SimpleQueue())

    def none(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", none)
        with pytest.raises(RuntimeError, match="start"):
            threads.in_parts(lambda begin, end: None, 3, 3)
    done: list[int] = []
    caller = threading.Thread(target=threads.in_parts, args=(lambda begin, end: done.append(begin), 3, 3), daemon=True)
    caller.start()
    caller.join(20)
    assert sorted(done) == [0, 1, 2]
