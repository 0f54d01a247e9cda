"""`analogsim resume` as a person meets it."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from analogsim.results import Curve
from analogsim.study.folder import RunFolder

TINY = ["network.layers=[8, 10]", "chip.population=2", "data.batch=200", "train.epochs=3", "arms={anp: {rule: anp}}"]
RUN = ["run", "quickstart", "--device", "cpu", *(word for setting in TINY for word in ("--set", setting)), "--out"]


def _files(folder: Path) -> dict[str, bytes]:
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: data for name, data in files.items() if name != "info.json"}


def test_an_interrupted_run_is_resumed_with_its_table_and_figures(
    command: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert command(*RUN, str(tmp_path / "undisturbed")) == 0
    table, _ = capsys.readouterr()
    append = RunFolder.append

    def interrupted(folder: RunFolder, curve: Curve) -> None:
        append(folder, curve)
        if curve.step == 14:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "append", interrupted)
        assert command(*RUN, str(tmp_path / "my runs")) == 130
    [folder] = (tmp_path / "my runs").iterdir()
    out, err = capsys.readouterr()
    assert out == ""
    hint = err.split("(if interrupted: ")[1].split(")\n")[0]
    assert shlex.split(hint) == ["analogsim", "resume", str(folder)]

    assert command("resume", str(folder)) == 0
    out, err = capsys.readouterr()
    assert "goes on from a checkpoint, arm anp at step 7" in err
    assert "anp (1/1) epoch 3: accuracy" in err
    assert out.split("run folder:")[0] == table.split("run folder:")[0]
    [undisturbed] = (tmp_path / "undisturbed").iterdir()
    assert _files(folder) == _files(undisturbed)
    assert "figures/learning_curves.png" in _files(folder)

    assert command("resume", str(folder), "--json") == 0
    out, err = capsys.readouterr()
    assert "this run is finished: there is nothing to resume" in err
    assert [row["arm"] for row in json.loads(out)["rows"]] == ["anp"]
    (folder / "figures" / "learning_curves.svg").unlink()  # ended before it was drawn
    assert command("resume", str(folder)) == 0
    assert _files(folder) == _files(undisturbed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: not a run folder: there is no such folder"),
        (["."], ".: not a run folder: holds no scenario.yaml"),
        (["broken"], "scenario.yaml"),
        ([".", "--device", "tpu"], "--device tpu: not a known device"),
    ],
)
def test_what_cannot_be_resumed_is_one_message_and_exit_2(
    arguments: list[str],
    message: str,
    refused: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "scenario.yaml").write_text("name: x\nseed: [")
    before = _files(tmp_path)
    refused(message, "resume", *arguments)
    assert _files(tmp_path) == before
