"""The packaged bibliography, `presets/bibliography.bib`: one field a line, and no field that nobody could check."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from importlib import resources

_ENTRY = re.compile(r"^@(\w+)\{([^,\s]+),\n(.*?)^\}$", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"^  (\w+) = \{(.*)\},$", re.MULTILINE)
_ACCENTS = {'{\\"a}': "ä", "{\\'e}": "é"}


@cache
def _works() -> dict[str, tuple[str, dict[str, str]]]:
    """Key -> (entry as it stands, its fields)."""
    text = (resources.files("device_models") / "presets" / "bibliography.bib").read_text(encoding="utf-8")
    return {match[2]: (match[0], dict(_FIELD.findall(match[3]))) for match in _ENTRY.finditer(text)}


def keys() -> tuple[str, ...]:
    """Keys of all works."""
    return tuple(_works())


def fields(key: str) -> dict[str, str]:
    """Fields of a work, as BibTeX writes them."""
    return dict(_works()[key][1])


def bibtex(wanted: Iterable[str]) -> str:
    """The entries of these works, each once, in the order in which they are first named."""
    return "\n\n".join(_works()[key][0] for key in dict.fromkeys(wanted))


def label(key: str) -> str:
    """`Joshi et al. (2020), doi:10.1038/s41467-020-16108-9`."""
    found = fields(key)
    surnames = [name.split(",")[0].strip() for name in _plain(found["author"]).split(" and ")]
    few = len(surnames) < 3 and "others" not in surnames
    authors = " and ".join(surnames) if few else f"{surnames[0]} et al."
    place = next((f"{kind}:{found[field]}" for field, kind in _PLACES if field in found), found.get("note", ""))
    return f"{authors} ({found['year']})" + (f", {place}" if place else "")


_PLACES = (("doi", "doi"), ("eprint", "arXiv"))


def _plain(text: str) -> str:
    for written, letter in _ACCENTS.items():
        text = text.replace(written, letter)
    return text.replace("{", "").replace("}", "")
