"""Archives that cannot be unpacked, and what killed unpackings leave."""

import io
import lzma
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from analogsim.errors import DataError
from analogsim.tasks.unpack import unpack

NOISE = np.random.default_rng(0).bytes(100_000)
"""Not to be compressed, so that the middle of an archive is the middle of its data."""


def _zip(packing: int = zipfile.ZIP_STORED) -> bytearray:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", packing) as held:
        held.writestr("set/a", NOISE)
    return bytearray(out.getvalue())


def _tar(packing: str = "") -> bytearray:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=f"w:{packing}") as held:
        member = tarfile.TarInfo("set/a")
        member.size = len(NOISE)
        held.addfile(member, io.BytesIO(NOISE))
    return bytearray(out.getvalue())


def _field(data: bytearray, local: int, central: int, value: int) -> bytearray:
    """A zip with a byte of the headers of its one member changed, in both places where it stands."""
    data[local] = value
    data[data.index(b"PK\x01\x02") + central] = value
    return data


def _spoilt(data: bytearray) -> bytearray:
    data[len(data) // 2 : len(data) // 2 + 100] = bytes(100)
    return data


BAD = {
    "xz": (lambda: _spoilt(_tar("xz")), ""),
    "lzma in zip": (lambda: _spoilt(_zip(zipfile.ZIP_LZMA)), ""),
    "encrypted": (lambda: _field(_zip(), 6, 8, 1), "encrypted"),
    "another packing": (lambda: _field(_zip(), 8, 10, 9), "compression"),
}


@pytest.mark.parametrize("kind", list(BAD))
def test_what_cannot_be_unpacked_is_one_message(tmp_path: Path, kind: str) -> None:
    made, says = BAD[kind]
    archive = tmp_path / "archive"
    archive.write_bytes(made())
    with pytest.raises(DataError, match=f"archive: damaged: .*{says}.*; remove it, and fetch again"):
        unpack(archive, tmp_path / "set", "set", lambda what, done, total: None)
    assert [path.name for path in tmp_path.iterdir()] == ["archive"]


def test_an_error_of_the_decompressor_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which of its callers turn it into one of their own differs between versions."""

    def fail(*_: object) -> str:
        raise lzma.LZMAError("Corrupt input data")

    monkeypatch.setattr("analogsim.tasks.unpack._copy", fail)
    (tmp_path / "archive").write_bytes(_tar("xz"))
    with pytest.raises(DataError, match="archive: damaged: Corrupt input data; remove it, and fetch again"):
        unpack(tmp_path / "archive", tmp_path / "set", "set", lambda what, done, total: None)


def test_working_folders_of_killed_unpackings_go(tmp_path: Path) -> None:
    """Those of processes that are gone, of this set; nothing else."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    dead, stays = f".set-{gone.pid}.part", [f".set-{os.getppid()}.part", f".other-{gone.pid}.part", ".set-mine.part"]
    for name in (dead, *stays):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(b"x")
    (tmp_path / "archive").write_bytes(_zip())
    unpack(tmp_path / "archive", tmp_path / "set", "set", lambda what, done, total: None)
    assert {path.name for path in tmp_path.iterdir()} == {"archive", "set", *stays}
    assert all((tmp_path / name / "file").is_file() for name in stays)
