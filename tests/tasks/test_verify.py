"""Checksums of files: of what is in them where they are packed."""

import gzip
import hashlib
import lzma
import os
from pathlib import Path

import pytest

from analogsim.tasks.folder import DATA_VARIABLE
from analogsim.tasks.source import File, Source
from analogsim.tasks.sources import SOURCES
from analogsim.tasks.verify import verify

DATA = bytes(range(256)) * 100
SHA = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
PACK = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress}


def _source(packed: str = "", file: File | None = None) -> Source:
    made = file or File("a", len(DATA), SHA)
    return Source("small", "Small", "", "", "", files=(made,), packed=packed)


def _state(source: Source, root: Path) -> tuple[str, str]:
    (found,) = verify(source, root)
    return found.state, found.says


@pytest.mark.parametrize("packed", list(PACK))
def test_what_is_in_a_file_counts(tmp_path: Path, packed: str) -> None:
    source = _source(packed)
    assert _state(source, tmp_path) == ("missing", "")
    (tmp_path / "small").mkdir()
    path = tmp_path / "small" / f"a{packed}"
    path.write_bytes(PACK[packed](DATA))
    assert _state(source, tmp_path) == ("ok", "")
    path.write_bytes(PACK[packed](b"x" + DATA[1:]))
    state, says = _state(source, tmp_path)
    assert state == "corrupt"
    assert SHA[7:] in says
    path.write_bytes(PACK[packed](DATA[:-1]))
    assert _state(source, tmp_path) == ("corrupt", "it has 25599 bytes, where 25600 are right")
    path.write_bytes(PACK[packed](DATA)[:-9])
    assert _state(source, tmp_path)[0] == "corrupt"


@pytest.mark.parametrize("packed", [".gz", ".xz"])
def test_unpacked_files_count_too(tmp_path: Path, packed: str) -> None:
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "a").write_bytes(DATA)
    assert _state(_source(packed), tmp_path) == ("ok", "")
    (tmp_path / "small" / f"a{packed}").write_bytes(b"no archive")
    assert _state(_source(packed), tmp_path)[1].startswith("it cannot be unpacked: ")


def test_without_a_checksum_the_version_is_not_known(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "a").write_bytes(DATA)
    assert _state(_source(file=File("a")), tmp_path) == ("unknown", "no checksum is published for it")
    assert _state(_source(file=File("a", 7)), tmp_path)[0] == "corrupt"
    instead = _source(file=File("whole", instead=File("a", digest=SHA)))
    assert _state(instead, tmp_path) == ("ok", "")


@pytest.mark.parametrize("name", ["mnist", "sarcos"])
def test_the_real_files_are_as_published(name: str) -> None:
    root = os.environ.get(DATA_VARIABLE)
    if not root or not (Path(root) / name).is_dir():
        pytest.skip(f"{DATA_VARIABLE} names no folder that holds {name}")
    found = verify(SOURCES[name], Path(root))
    assert {each.state for each in found} <= {"ok", "unknown"}, found
    assert [each.file for each in found if each.state == "ok"], found
