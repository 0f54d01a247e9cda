"""Tiny ImageNet files: decoded as they are, and one clear message where they are not right."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from analogsim.errors import DataError
from analogsim.tasks import DATA_SETS
from analogsim.tasks.folder import DATA_VARIABLE

WNIDS = ["n02", "n01", "n03"]


def _write(path: Path, colour: tuple[int, int, int] | int, size: int = 64) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L" if isinstance(colour, int) else "RGB", (size, size), colour).save(path, "JPEG", quality=95)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three classes of two plain images, and four test images; unpacked as the archive is."""
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    here = tmp_path / "tiny-imagenet-200"
    for number, wnid in enumerate(WNIDS):
        for shade in range(2):
            _write(here / "train" / wnid / "images" / f"{wnid}_{shade}.JPEG", (40 * number, 100 + 20 * shade, 250))
    lines = []
    for number, wnid in enumerate(["n03", "n01", "n02", "n03"]):
        _write(here / "val" / "images" / f"val_{number}.JPEG", 10 + 50 * number)
        lines.append(f"val_{number}.JPEG\t{wnid}\t0\t0\t62\t62\n")
    (here / "wnids.txt").write_text("".join(f"{wnid}\n" for wnid in WNIDS))
    (here / "val" / "val_annotations.txt").write_text("".join(lines))
    return here


@pytest.mark.parametrize("place", [".", "../tiny-imagenet", "../tiny-imagenet/tiny-imagenet-200"])
def test_images_and_classes(folder: Path, place: str) -> None:
    if place != ".":
        (folder / place).parent.mkdir(exist_ok=True)
        folder.rename(folder.parent / place.removeprefix("../"))
    data = DATA_SETS["tiny-imagenet"]()
    assert data.shape == (3, 64, 64)
    assert data.train_inputs.dtype == torch.uint8
    assert data.stored is not None
    assert data.train_targets.argmax(1).tolist() == [0, 0, 1, 1, 2, 2], "in the order of wnids.txt"
    assert data.test_targets.argmax(1).tolist() == [2, 1, 0, 2]
    numbers = data.stored(data.train_inputs).reshape(6, 3, 64, 64)
    for index, image in enumerate(numbers):
        colour = torch.tensor([40 * (index // 2), 100 + 20 * (index % 2), 250]) / 255
        torch.testing.assert_close(image, colour[:, None, None].expand(3, 64, 64), atol=4 / 255, rtol=0)  # JPEG errs
    grey = data.stored(data.test_inputs).reshape(4, 3, 64, 64)
    assert torch.equal(grey[:, 0], grey[:, 1])
    assert torch.equal(grey[:, 0], grey[:, 2])
    assert grey.mean((1, 2, 3)).tolist() == pytest.approx([(10 + 50 * n) / 255 for n in range(4)], abs=2 / 255)


def test_pixels_go_channel_by_channel_row_by_row(folder: Path) -> None:
    rows = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    path = folder / "train" / "n02" / "images" / "n02_0.JPEG"
    Image.fromarray(rows).save(path, "JPEG", quality=100, subsampling=0)
    with Image.open(path) as image:
        decoded = np.asarray(image)
    assert np.abs(decoded.astype(int) - rows).max() < 10
    found = DATA_SETS["tiny-imagenet"]().train_inputs[0]
    assert found[1 * 4096 + 20 * 64 + 33] == decoded[20, 33, 1]
    assert found.tolist() == decoded.transpose(2, 0, 1).ravel().tolist()


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:300])


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("train/n01/images/n01_1.JPEG", _truncate, "damaged, or no image"),
        ("val/images/val_2.JPEG", lambda path: path.write_text("no image"), "damaged, or no image"),
        ("val/images/val_2.JPEG", lambda path: _write(path, 3, 32), "should have 64 x 64 pixels (got 32 x 32)"),
        ("val/images/val_2.JPEG", Path.unlink, "is missing; fetch the set again"),
        ("val/val_annotations.txt", lambda path: path.write_text(""), "is empty"),
        ("val/val_annotations.txt", lambda path: path.write_text("val_0.JPEG n01\n"), "line 1 should give the name"),
        ("val/val_annotations.txt", lambda path: path.write_text("val_0.JPEG\tn09\n"), "line 1 should give the name"),
        ("val/val_annotations.txt", lambda path: path.write_text("../../x\tn01\n"), "line 1 should give the name"),
        ("wnids.txt", lambda path: path.write_text("n01\nn01\n"), "should name each class once"),
        ("wnids.txt", lambda path: path.write_bytes(b"\xff\xfe\n"), "cannot be read as text"),
    ],
)
def test_a_damaged_set_is_one_message(folder: Path, name: str, change: Callable[[Path], None], message: str) -> None:
    change(folder / name)
    with pytest.raises(DataError) as error:
        DATA_SETS["tiny-imagenet"]()
    assert str(error.value).startswith(f"{folder / name}: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_class_without_images_is_named(folder: Path) -> None:
    for path in (folder / "train" / "n03" / "images").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"n03/images: holds no \.JPEG files"):
        DATA_SETS["tiny-imagenet"]()


def test_a_missing_set_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    with pytest.raises(DataError, match=r"wnids\.txt is missing.*Run `analogsim data fetch tiny-imagenet`"):
        DATA_SETS["tiny-imagenet"]()
