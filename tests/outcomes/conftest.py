"""Studies made by hand, as reports are tested with."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

MADE = runpy.run_path(str(Path(__file__).parents[1] / "report" / "page" / "conftest.py"))


@pytest.fixture
def studies(tmp_path: Path) -> Any:
    return MADE["Studies"](tmp_path)
