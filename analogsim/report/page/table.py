"""Tables as data, for pages and for Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from analogsim.report.page.estimate import DASH


class Column(NamedTuple):
    """A column; numbers stand on the right and are sorted by their size."""

    head: str
    number: bool = False


class Cell(NamedTuple):
    """A cell.

    Attributes:
        text: what it says.
        small: what follows in small print, such as an interval.
        value: what it is sorted by, where that is not the number that the text begins with.
        long: whether it is a sentence that may be broken into lines.
    """

    text: str
    small: str = ""
    value: float | None = None
    long: bool = False


@dataclass(frozen=True)
class Row:
    """A row.

    Attributes:
        cells: one for each column.
        jobs: ids of the jobs that its numbers come from.
        quiet: whether it is a comparison, no candidate.
        begins: whether a new device begins with it.
    """

    cells: Sequence[Cell]
    jobs: Sequence[str] = ()
    quiet: bool = False
    begins: bool = False


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        name: unique on a page.
        columns, rows: in order.
        caption: how to read it.
        title: above it; empty where a section has one table.
    """

    name: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    caption: str = ""
    title: str = ""


@dataclass
class Builder:
    """Makes a table row by row; columns that say nothing are left out at the end.

    Attributes:
        name, caption, title: of the table.
    """

    name: str
    caption: str = ""
    title: str = ""
    _heads: dict[str, bool] = field(default_factory=dict)
    _rows: list[tuple[dict[str, Cell], Row]] = field(default_factory=list)

    def columns(self, number: bool, heads: Iterable[str]) -> None:
        """Announce some, of numbers or of words."""
        self._heads |= dict.fromkeys(heads, number)

    def row(
        self, cells: dict[str, Cell | str], jobs: Iterable[str] = (), quiet: bool = False, begins: bool = False
    ) -> None:
        """Add one, by heads of columns; what is missing is a dash."""
        found = {head: cell if isinstance(cell, Cell) else Cell(cell) for head, cell in cells.items()}
        self._rows.append((found, Row((), list(jobs), quiet, begins)))

    def table(self) -> Table:
        """What was made."""
        shown = [head for head in self._heads if any(_says(cells.get(head)) for cells, _ in self._rows)]
        rows = [
            Row([_or_dash(cells.get(head)) for head in shown], row.jobs, row.quiet, row.begins)
            for cells, row in self._rows
        ]
        return Table(self.name, [Column(head, self._heads[head]) for head in shown], rows, self.caption, self.title)


def _says(cell: Cell | None) -> bool:
    return cell is not None and cell.text not in ("", DASH)


def _or_dash(cell: Cell | None) -> Cell:
    return cell if cell is not None and cell.text else Cell(DASH)
