"""`analogsim report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def report(
    study: Annotated[Path, typer.Argument(help="Folder of a study.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="File to write; report.html, .md or results.csv in the folder unless given."
        ),
    ] = None,
    given: Annotated[
        Literal["html", "md", "csv"] | None,
        typer.Option(
            "--format",
            help="One self-contained page; Markdown for a paper's appendix; all results as a table. By the ending of "
            "--output unless given, or html.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Tell what a study says: which rule for which device, and how much noise it survives."""
    from analogsim._files import write_text
    from analogsim.errors import RunError
    from analogsim.outcomes import StudyFolder, outcomes, write_csv

    folder = StudyFolder(study)
    if (
        output is not None
        and (output.is_dir() or output.resolve().parent == folder.path.resolve())
        and (output.is_dir() or output.name not in ("report.html", "report.md", "results.csv"))
    ):
        raise RunError(f"--output {output}: is a folder, or belongs to the study; choose the name of a new file")
    form = given or _form_of(output)
    file = output or folder.path / {"html": "report.html", "md": "report.md", "csv": "results.csv"}[form]
    try:
        if form == "csv":
            write_csv(folder.plan, outcomes(folder), file)
        elif form == "md":
            from analogsim.report.page import markdown

            write_text(file, markdown(folder))
        else:
            from analogsim.report.page import write_report

            write_report(folder, file)
    except OSError as error:
        raise RunError(f"{file}: cannot be written: {error.strerror}; choose another --output") from None
    typer.echo(f"report: {file}")


def _form_of(output: Path | None) -> str:
    """The form that a file's ending asks for."""
    from analogsim.errors import RunError

    forms = {"": "html", ".html": "html", ".htm": "html", ".md": "md", ".csv": "csv"}
    ending = "" if output is None else output.suffix.lower()
    if ending not in forms:
        raise RunError(f"--output {output}: no report ends so; choose .html, .md or .csv, or say which with --format")
    return forms[ending]
