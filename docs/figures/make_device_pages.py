"""Draws devices/*.png: the page of every packaged profile, as `analogsim profiles plot` draws it, in fewer colours.

Run `python docs/figures/make_device_pages.py`: the same pages every time, on one thread of a CPU.
"""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image

from analogsim.characterize import characterize, draw_page
from device_models import load_profile, preset_names


def main() -> None:
    torch.set_num_threads(1)
    folder = Path(__file__).with_name("devices")
    for name in preset_names():
        file = folder / f"{name}.png"
        draw_page(characterize(load_profile(name)), [file])
        with Image.open(file) as image:
            small = image.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        small.save(file, optimize=True)


if __name__ == "__main__":
    main()
