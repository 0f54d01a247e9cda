"""A process of our own: how idle threads wait, and that freed memory is kept; unless it is told otherwise."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from analogsim._process import prepare

TOUCHED = """
import resource, sys
from analogsim._process import prepare

if sys.argv[1] == "prepared":
    prepare()

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

size = 16 << 20
for _ in range(3):
    [b"x" * size for _ in range(4)]
before = faults()
for _ in range(20):
    [b"x" * size for _ in range(4)]
print(faults() - before)
"""


def _faults(how: str) -> int:
    """Pages that come anew with 20 times four pieces of 16 MiB, which are freed together."""
    told = ("MALLOC_", "GLIBC_TUNABLES")
    env = {name: value for name, value in os.environ.items() if not name.startswith(told)}
    command = [sys.executable, "-c", TOUCHED, how]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has other rules")
def test_memory_that_is_freed_is_used_again() -> None:
    assert _faults("prepared") < 100


@pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"])
def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def none(_: object) -> None:
        raise AssertionError("asked for the C library")

    monkeypatch.setattr("ctypes.CDLL", none)
    monkeypatch.setenv(name, "0")
    prepare()
    monkeypatch.delenv(name)
    with pytest.raises(AssertionError):
        prepare()


@pytest.mark.parametrize("error", [OSError, AttributeError])
def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def other(_: object) -> None:
        raise error

    monkeypatch.setattr("ctypes.CDLL", other)
    prepare()
