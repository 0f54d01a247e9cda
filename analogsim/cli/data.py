"""`analogsim data`: data sets, where they lie, and how to get them."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typing_extensions import Self

from analogsim.cli.run import Json
from analogsim.errors import AnalogsimError

if TYPE_CHECKING:
    from analogsim.tasks.source import Source

data = typer.Typer(help="Data sets: where they lie, and how to get them.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Name of a data set.")]


@data.command("list")
def list_sets(as_json: Json = False) -> None:
    """Every data set: what it is, its size, whether it is there, its licence."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from analogsim.tasks.folder import root_in_words, usable_root
    from analogsim.tasks.sources import SOURCES

    root = usable_root()
    entries = [_entry(source, root) for source in SOURCES.values()]
    if as_json:
        typer.echo(json.dumps(entries, indent=1))
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for key in ("name", "contents", "files", "download", "there", "licence"):
        table.add_column(key, no_wrap=key in ("name", "download", "there"), overflow="fold")
    for entry in entries:
        size = entry["download_bytes"]
        there = "part" if entry["missing"] and entry["folder"] else "no" if entry["missing"] else "yes"
        shown = "-" if size is None else f"{size / 1e6:.0f} MB"
        files = str(len(entry["files"]) or "-")
        table.add_row(entry["name"], entry["contents"], files, shown, there, entry["licence"])
    console = Console()
    console = console if console.is_terminal else Console(width=120)
    console.print(table)
    console.print(f"folder: {root_in_words(root)}", soft_wrap=True, highlight=False, markup=False)


@data.command("show")
def show_set(name: Name, as_json: Json = False) -> None:
    """A data set: files, where they lie, home page, licence, citation."""
    from analogsim.tasks.folder import usable_root

    entry = _entry(_source(name), usable_root())
    if as_json:
        typer.echo(json.dumps(entry, indent=1))
        return
    typer.echo(f"{entry['title']}: {entry['contents']}\n")
    for key in ("folder", "layout", "home", "fetch", "licence", "citation"):
        if entry[key]:
            typer.echo(f"{key}: {entry[key]}")
    for file in entry["files"]:
        size = "" if file["bytes"] is None else f", {file['bytes']} bytes"
        typer.echo(f"file: {file['name']}{size}, {file['path'] or 'missing'}")


@data.command("fetch")
def fetch_set(
    name: Name,
    to: Annotated[
        Path | None, typer.Option("--to", help="Folder of data sets; where they are looked for unless given.")
    ] = None,
) -> None:
    """Download a data set, verify it, unpack it. What an interruption leaves is gone on from."""
    from analogsim.tasks.fetch import fetch
    from analogsim.tasks.folder import DATA_VARIABLE, data_root, usable_root

    source, root = _source(name), to or usable_root()
    with _Bars() as bars:
        fetched = fetch(source, root, bars.told)
    how = "fetched and verified" if fetched else "is there; nothing was downloaded"
    typer.echo(f"{source.title}: {how}: {_entry(source, root)['folder']}")
    if root.absolute() != data_root().absolute():
        typer.echo(f"to use it: export {DATA_VARIABLE}={root.absolute()}")


@data.command("check")
def check_sets(
    name: Annotated[str | None, typer.Argument(help="Name of a data set; all that are there unless given.")] = None,
    as_json: Json = False,
) -> None:
    """Compare files with their checksums, also within what is packed; exit code 1 if one is corrupt."""
    from analogsim.tasks.folder import look_for, root_in_words, usable_root
    from analogsim.tasks.sources import SOURCES
    from analogsim.tasks.verify import verify

    root = usable_root()
    sources = [source for source in SOURCES.values() if any(look_for(source, f.name, root) for f in source.files)]
    sources = sources if name is None else [_source(name)]
    found = [(source.name, each) for source in sources for each in verify(source, root)]
    if as_json:
        rows = [
            {"set": of, "file": f.file, "path": str(f.path) if f.path else None, "state": f.state, "says": f.says}
            for of, f in found
        ]
        typer.echo(json.dumps(rows, indent=1))
    else:
        for of, each in found:
            state = "unknown version" if each.state == "unknown" else each.state
            typer.echo(f"{of}/{each.file}: {state}" + (f": {each.says}" if each.says else ""))
        if not found:
            typer.echo(f"no files of data sets in {root_in_words(root)}" if name is None else f"{name} has no files")
    if any(each.state == "corrupt" for _, each in found):
        raise typer.Exit(1)


def _source(name: str) -> Source:
    from analogsim.tasks.sources import SOURCES

    if name not in SOURCES:
        raise AnalogsimError(f"no data set is called {name!r}; there are {', '.join(SOURCES)}")
    return SOURCES[name]


def _entry(source: Source, root: Path) -> dict[str, Any]:
    """What is known of a set, and what of it is there."""
    from analogsim.tasks.folder import look_for

    files = []
    for file in source.files:
        path = look_for(source, file.name, root)
        if path is None and file.instead and (other := look_for(source, file.instead.name, root)):
            file, path = file.instead, other
        files.append({"name": file.name, "bytes": file.size, "path": str(path) if path else None})
    paths = [file["path"] for file in files if file["path"]]
    return {
        "name": source.name,
        "title": source.title,
        "contents": source.contents,
        "files": files,
        "missing": [file["name"] for file in files if not file["path"]],
        "folder": str(Path(paths[0]).parent) if paths else None,
        "download_bytes": source.download_size,
        "layout": source.layout and f"{root / source.name}/: {source.layout}",
        "home": source.home,
        "fetch": f"analogsim data fetch {source.name}" if source.fetched else None,
        "licence": source.licence,
        "citation": source.citation,
    }


class _Bars:
    """A bar for each file on a terminal, a line elsewhere; on stderr."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

        self._console = Console(stderr=True)
        columns = TextColumn("{task.description}"), BarColumn(30), DownloadColumn(), TransferSpeedColumn()
        self._progress = Progress(*columns, console=self._console, disable=not self._console.is_terminal)
        self._bars: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._progress.stop()

    def told(self, what: str, done: int, total: int) -> None:
        """Work goes on: bytes done, of how many."""
        if what not in self._bars:
            self._bars[what] = self._progress.add_task(what, total=total)
            if not self._console.is_terminal:
                self._console.print(f"{what} ({total / 1e6:.1f} MB)", highlight=False, soft_wrap=True, markup=False)
        self._progress.update(self._bars[what], completed=done)
