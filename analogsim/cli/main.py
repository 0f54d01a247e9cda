"""`analogsim`: commands, and how errors are told."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from analogsim._process import prepare
from analogsim.cli import lists
from analogsim.cli.bench import bench
from analogsim.cli.cost import cost
from analogsim.cli.data import data
from analogsim.cli.profiles_fit import fit
from analogsim.cli.report import report
from analogsim.cli.resume import resume
from analogsim.cli.rules_check import check
from analogsim.cli.run import run
from analogsim.cli.status import status
from analogsim.cli.sweep import sweep
from analogsim.errors import AnalogsimError

app = typer.Typer(
    help="Will this learning rule train a network on this analog chip, and how much noise does it survive?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(run)
app.command()(resume)
app.command()(sweep)
app.command()(status)
app.command()(report)
app.command()(bench)
app.command()(cost)
lists.profiles.command("fit")(fit)
lists.rules.command("check")(check)
app.add_typer(lists.profiles, name="profiles")
app.add_typer(lists.scenarios, name="scenarios")
app.add_typer(lists.rules, name="rules")
app.add_typer(data, name="data")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(version("analogsim"))
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run a command; an expected error is one message on stderr and exit code 2."""
    prepare()
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        app(args=arguments, prog_name="analogsim")
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:  # a full disk, a folder that takes no files
        if debug:
            raise
        if error.filename is None:  # our own output may be what cannot be written, also at the end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        place = "" if error.filename is None else f"{str(error.filename).removesuffix('.part')}: "
        typer.echo(f"error: {place}{error.strerror or error}", err=True)
        sys.exit(2)
    except MemoryError as error:
        if debug:
            raise
        typer.echo(f"error: not enough memory{f': {error}' if str(error) else ''}; choose smaller sizes", err=True)
        sys.exit(2)
    except (AnalogsimError, ValueError) as error:
        # ProfileError is a ValueError of a package that loads torch: asked for by name only once something has failed.
        from device_models import ProfileError

        if debug or not isinstance(error, AnalogsimError | ProfileError):
            raise
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)
