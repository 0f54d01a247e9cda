"""What people copy from a message into a shell."""

from __future__ import annotations

import shlex
from pathlib import Path


def typed(path: Path) -> str:
    """A path as one types it."""
    return shlex.quote(str(path))
