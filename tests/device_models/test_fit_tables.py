"""Tables of measurements: what is accepted, and that each fault is named with its file, line and column."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from device_models import ProfileError
from device_models.errors import MeasurementError
from device_models.fit import fit_profile, read_table

READS = "device,time [s],conductance [uS]\n"
DRIFT = "device,elapsed [s],conductance [uS]\n"
WRITES = "target [uS],conductance [uS]\n"


def _file(folder: Path, text: str, name: str = "m.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (READS + "a,0,1\na,1,2\n", "reads"),
        ("conductance [S] , time [ms],device,run\n1e-6,0,a,1\n2e-6,1,a,1\n", "reads"),
        (DRIFT + "a,1,1\na,2,2\n", "drift"),
        ("device,target [uS],elapsed [h],conductance [uS]\na,1,1,1\na,1,2,2\n", "drift"),
        (WRITES + "1,0\n1,1\n", "programmed"),
        ("\ufeff# of a lab\n\nTarget [nS],Conductance [mS],device\n1,0,a\n1,1,a\n", "programmed"),
        ("device,pulse,direction,conductance [uS]\na,1,up,1\na,2,down,2\n", "pulses"),
    ],
)
def test_tables_are_known_by_their_columns(text: str, kind: str, tmp_path: Path) -> None:
    assert read_table(_file(tmp_path, text)).kind == kind


def test_values_are_in_si_units(tmp_path: Path) -> None:
    text = "device,elapsed [min],conductance [nS]\r\na,1,250\r\na,2.5,1e2\r\n"
    table = read_table(_file(tmp_path, text))
    np.testing.assert_allclose(table.numbers["elapsed"], [60, 150], rtol=1e-14)
    np.testing.assert_allclose(table.numbers["conductance"], [2.5e-7, 1e-7], rtol=1e-14)
    assert table.lines.tolist() == [2, 3]


def test_devices_and_runs_may_be_interleaved(tmp_path: Path) -> None:
    text = "device,run,time [s],conductance [uS]\na,1,0,1\nb,1,0,2\na,1,1,3\na,2,0,4\nb,1,1,5\n"
    read_table(_file(tmp_path, text))


BAD = [
    ("", "m.csv: is empty; the first line must name the columns"),
    ("# only a comment\n", "m.csv: is empty"),
    (READS, "m.csv: has no row below its header"),
    (READS + "a,0,1\n", "m.csv: has one row below its header"),
    ("device;time [s]\na;1\n", "m.csv: line 1: columns must be parted by commas"),
    ("device,time [s]\na,1\na,2\n", "m.csv: line 1: column 'conductance [uS]' is missing"),
    ("device,conductance [uS]\na,1\na,2\n", "m.csv: line 1: columns are missing; a table is one of"),
    ("device,time,conductance [uS]\na,1,1\na,2,1\n", "m.csv: line 1, column 'time': the unit is missing"),
    ("device,time [],conductance [uS]\na,1,1\na,2,1\n", "m.csv: line 1, column 'time []': the unit is missing"),
    (
        "device,time_s,conductance [uS]\na,1,1\na,2,1\n",
        "m.csv: line 1, column 'time_s': units stand in square brackets; write 'time [s]'",
    ),
    ("device,time [uS],conductance [uS]\na,1,1\n", "m.csv: line 1, column 'time [uS]': 'uS' is not a unit of this"),
    (
        "device,time [s],conductance [us]\na,1,1\n",
        "m.csv: line 1, column 'conductance [us]': 'us' is not a unit of this",
    ),
    (
        "device,time [s],conductance [bla]\na,1,1\n",
        "m.csv: line 1, column 'conductance [bla]': 'bla' is not a known unit",
    ),
    ("device [uS],time [s],conductance [uS]\n", "m.csv: line 1, column 'device [uS]': 'device' has no unit"),
    (
        "device,time [s],conductance [uS],conductance [nS]\na,1,1,1\n",
        "m.csv: line 1, column 'conductance [nS]': this column stands twice",
    ),
    (
        "device,time [s],conductance [uS],temp [K]\n",
        "m.csv: line 1, column 'temp [K]': unknown column; known are device",
    ),
    ("device,time [s],conductance [uS],\n", "m.csv: line 1, column 4: has no name that can be read"),
    (
        "target [uS],conductance [uS],run\n1,1,1\n",
        "m.csv: line 1, column 'run': does not belong to a table of programmed",
    ),
    ("device,target [uS],time [s],conductance [uS]\n", "m.csv: line 1: is this about reads or about drift?"),
    (READS + "a,0,1\na,1,nan\n", "m.csv: line 3, column 'conductance [uS]': must be finite (got 'nan')"),
    (READS + "a,0,inf\na,1,1\n", "m.csv: line 2, column 'conductance [uS]': must be finite (got 'inf')"),
    (READS + "a,0,1\na,1,-2\n", "m.csv: line 3, column 'conductance [uS]': must not be negative (got '-2')"),
    (READS + "a,0,1\na,1,25 uS\n", "m.csv: line 3, column 'conductance [uS]': not a number (got '25 uS')"),
    (READS + "a,0,1\na,1,1_0\n", "m.csv: line 3, column 'conductance [uS]': not a number (got '1_0')"),
    (READS + "a,0,1\na,1,\n", "m.csv: line 3, column 'conductance [uS]': is empty"),
    (READS + "a,0,1\n ,1,1\n", "m.csv: line 3, column 'device': is empty"),
    (READS + "a,0,1\na,1\n", "m.csv: line 3: has 2 cells where the header has 3"),
    (READS + "a,0,1\na,1,1,5\n", "m.csv: line 3: has 4 cells where the header has 3"),
    (READS + "# x\na,0,1\n\na,0,1\n", "m.csv: line 5, column 'time [s]': must rise from row to row of device 'a'"),
    (READS + "a,2,1\na,1,1\n", "m.csv: line 3, column 'time [s]': must rise from row to row of device 'a'"),
    (DRIFT + "a,0,1\na,1,1\n", "m.csv: line 2, column 'elapsed [s]': must be positive"),
    (READS + 'a,0,"1\na,1,1\n', "m.csv: line 2: not readable as CSV"),
    (
        "device,pulse,direction,conductance [uS]\na,1,left,1\na,2,up,1\n",
        "m.csv: line 2, column 'direction': must be up or down (got 'left')",
    ),
    (
        "device,pulse,direction,conductance [uS]\na,1.5,up,1\na,2,up,1\n",
        "m.csv: line 2, column 'pulse': must be the number of a pulse",
    ),
]


@pytest.mark.parametrize(("text", "message"), BAD, ids=[message[:60] for _, message in BAD])
def test_each_fault_is_one_clear_message(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _file(tmp_path, text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MeasurementError) as caught:
        read_table(Path("m.csv"))
    assert str(caught.value).startswith(message)
    assert isinstance(caught.value, ProfileError)


def test_several_faults_are_told_at_once_and_many_are_counted(tmp_path: Path) -> None:
    rows = "".join(f"a,{k},-1\n" for k in range(25))
    with pytest.raises(MeasurementError) as caught:
        read_table(_file(tmp_path, READS + rows))
    lines = str(caught.value).splitlines()
    assert len(lines) == 12
    assert "line 11, column 'conductance [uS]'" in lines[10]
    assert lines[11].strip() == "- and 15 more"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match=r"none\.csv: cannot be read: No such file"):
        read_table(tmp_path / "none.csv")
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MeasurementError, match="not UTF-8"):
        read_table(tmp_path / "b.csv")


def test_a_table_named_twice_is_refused(tmp_path: Path) -> None:
    path = _file(tmp_path, WRITES + "1,1\n1,2\n1,0\n")
    with pytest.raises(MeasurementError, match="named twice"):
        fit_profile([path, path], "x")
