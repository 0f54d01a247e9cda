"""Where data sets are looked for."""

from pathlib import Path

import pytest

from analogsim.errors import DataError
from analogsim.tasks import DATA_SETS
from analogsim.tasks.folder import DATA_VARIABLE, data_root, find, look_for
from analogsim.tasks.sources import SOURCES


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the platform gives, with nothing set."""
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return tmp_path / "analogsim"


def test_every_data_set_has_a_source() -> None:
    assert list(SOURCES) == sorted(DATA_SETS, key=list(SOURCES).index)
    for source in SOURCES.values():
        assert source.licence and source.citation
        assert not source.files or (source.home and source.layout)
        for file in source.files:
            for digest in (file.digest, file.download and file.download.digest):
                kind, _, hexadecimal = (digest or "md5:" + "0" * 32).partition(":")
                assert len(hexadecimal) == {"md5": 32, "sha256": 64}[kind]
                int(hexadecimal, 16)


def test_without_the_variable_the_users_folder_is_read(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert data_root() == home
    with pytest.raises(DataError, match=r"ANALOGSIM_DATA is not set, nor is there .*; run `analogsim data fetch mn"):
        DATA_SETS["mnist"]()
    (home / "mnist").mkdir(parents=True)
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz is missing") as error:
        DATA_SETS["mnist"]()
    assert str(home / "mnist") in str(error.value)
    (home / "mnist" / "train-images-idx3-ubyte").touch()
    assert find("mnist", "train-images-idx3-ubyte") == home / "mnist" / "train-images-idx3-ubyte"
    monkeypatch.setenv(DATA_VARIABLE, str(home / "elsewhere"))
    assert data_root() == home / "elsewhere", "the variable is the one place where it is set"
    with pytest.raises(DataError, match=r"Run `analogsim data fetch mnist`, put the file there, or set ANALOGSIM_DATA"):
        find("mnist", "train-images-idx3-ubyte")


@pytest.mark.parametrize("place", ["cifar-10", "cifar-10/cifar-10-batches-bin", "cifar-10-batches-bin"])
@pytest.mark.parametrize("name", ["test_batch.bin", "test_batch.bin.xz"])
def test_a_file_is_found_packed_or_not_where_archives_leave_it(tmp_path: Path, place: str, name: str) -> None:
    assert look_for(SOURCES["cifar-10"], "test_batch.bin", tmp_path) is None
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / place / name).touch()
    assert look_for(SOURCES["cifar-10"], "test_batch.bin", tmp_path) == tmp_path / place / name
