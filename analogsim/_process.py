"""What suits a process that computes and is nobody else's: the command line's, a worker's, a benchmark's."""

from __future__ import annotations

import contextlib
import os

_LARGEST = 32 << 20  # bytes of a tensor whose memory is kept when it is freed: as much as glibc allows
_KEPT = 256 << 20  # bytes at the end of the heap that are not given back
_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # glibc's names for them, of malloc.h


def prepare() -> None:
    """Have idle threads sleep, and freed memory kept; before torch is imported. The environment may say otherwise.

    Idle threads that spin make small steps several times slower beside other load. Memory that is given back to the
    system comes again page by page, and a page costs as much as the arithmetic on it.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ):
        return
    import ctypes

    with contextlib.suppress(OSError, AttributeError, TypeError):  # another C library
        option = ctypes.CDLL(None).mallopt
        option(_MMAP_THRESHOLD, _LARGEST)
        option(_TRIM_THRESHOLD, _KEPT)
