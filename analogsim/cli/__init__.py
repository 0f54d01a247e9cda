"""The command line. torch is imported only by commands that need it, so that help is quick."""

from analogsim.cli.main import main

__all__ = ["main"]
