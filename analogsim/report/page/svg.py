"""Figures as SVG inside a page: their text is the page's, their colours follow its theme, their ids are their own."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from xml.etree import ElementTree

import matplotlib as mpl
from matplotlib.figure import Figure

from analogsim.report.page.tones import INK, VARIABLES
from analogsim.report.style import STYLE

PAGE_STYLE = {
    **STYLE,
    "font.size": 9.0,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.spines.left": False,
    "grid.color": INK,
    "grid.alpha": 0.13,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.bottom": False,
    "ytick.left": False,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "text.parse_math": False,  # names may have dollars
}
"""Of figures in a page, for `matplotlib.rc_context`; whatever is drawn in INK takes the colour of the page's text."""

_SVG, _LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
_NUMBER = re.compile(r"-?\d+\.\d{2,}")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_SIZE = re.compile(r"font:[^;]*?([\d.]+px)|font-size:\s*([\d.]+px)")


def inline(figure: Figure, prefix: str, title: str) -> str:
    """A figure as an `<svg>` element for HTML; the same figure and prefix give the same text.

    Args:
        figure: drawn under PAGE_STYLE.
        prefix: of its ids; a page uses each once.
        title: what it shows, for those who do not see it.
    """
    file = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": prefix}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the page's fonts may have it
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    drawn = ElementTree.fromstring(file.getvalue())
    names = _used(drawn)
    root = ElementTree.Element(
        "svg",
        {
            "viewBox": drawn.attrib["viewBox"],
            "role": "img",
            "aria-labelledby": f"{prefix}-title",
            "style": "stroke-linejoin:round;stroke-linecap:butt",
        },
    )
    ElementTree.SubElement(root, "title", {"id": f"{prefix}-title"}).text = title
    _copy(drawn, root, prefix, names)
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=True).replace(" />", "/>")


def _copy(source: ElementTree.Element, target: ElementTree.Element, prefix: str, names: dict[str, str]) -> None:
    """What is inside one element into another: no metadata, no styles that reach beyond the figure, no empty groups."""
    for child in source:
        tag = child.tag.removeprefix(_SVG)
        if tag in ("metadata", "style") or _invisible(child):
            continue
        attributes = dict(_attributes(child, prefix, names))
        if tag in ("g", "defs") and not len(child):
            continue
        if tag == "g" and not attributes:
            _copy(child, target, prefix, names)
            continue
        copied = ElementTree.SubElement(target, tag, attributes)
        copied.text = child.text if tag in ("text", "tspan") else None
        _copy(child, copied, prefix, names)
        if tag == "defs" and not len(copied):
            target.remove(copied)
        _hoist(copied)


def _hoist(group: ElementTree.Element) -> None:
    """Say once what all marks of a line have in common."""
    marks = [child for child in group if child.tag == "use" and "style" in child.attrib]
    styles = {mark.attrib["style"] for mark in marks}
    if group.tag == "g" and len(styles) == 1 and "style" not in group.attrib:
        group.set("style", styles.pop())
        for mark in marks:
            del mark.attrib["style"]


def _invisible(element: ElementTree.Element) -> bool:
    return element.tag == f"{_SVG}path" and element.get("style", "").replace(" ", "") == "fill:none"


def _attributes(element: ElementTree.Element, prefix: str, names: dict[str, str]) -> Iterator[tuple[str, str]]:
    for key, value in element.attrib.items():
        if key == "id":
            if value in names:
                yield key, f"{prefix}-{names[value]}"
        elif key == _LINK:
            yield "href", f"#{prefix}-{names[value[1:]]}"
        elif key == "d":
            yield key, _rounded(" ".join(value.split()))
        elif key == "style":
            yield key, _style(value)
        elif not value.startswith("rotate(-0 "):
            yield key, _REFERENCE.sub(lambda found: f"url(#{prefix}-{names[found[1]]})", _rounded(value))


def _used(root: ElementTree.Element) -> dict[str, str]:
    """Ids that something refers to, with short names in order of their appearance."""
    found: dict[str, str] = {}
    for element in root.iter():
        for key, value in element.attrib.items():
            for name in [value[1:]] if key == _LINK else _REFERENCE.findall(value):
                found.setdefault(name, str(len(found)))
    return found


def _rounded(text: str) -> str:
    """Numbers to a tenth of a point, which is less than anyone sees."""
    return _NUMBER.sub(lambda found: f"{float(found[0]):.1f}".removesuffix(".0"), text)


def _style(text: str) -> str:
    """Fonts by their size alone, and colours as the page has them."""
    size = _SIZE.search(text)
    parts = [part.strip() for part in text.split(";")]
    found = ";".join(part.replace(": ", ":") for part in parts if part and not part.startswith("font"))
    found += f";font-size:{size[1] or size[2]}" if size else ""
    for colour, variable in VARIABLES.items():
        found = found.replace(colour, variable)
    return found
