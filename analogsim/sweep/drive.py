"""The driver of a study: gives what is left to an engine and keeps others away meanwhile."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from analogsim._files import locked, write_text
from analogsim._shell import typed
from analogsim.errors import RunError, StorageError
from analogsim.outcomes import Job, StudyFolder
from analogsim.sweep.engine import Engine
from analogsim.sweep.job import Ended


class StudyWatcher(Protocol):
    """Is told how a study goes on."""

    def began(self, job: Job) -> None:
        """A job begins, or goes on."""
        ...

    def ended(self, job: Job, how: Ended) -> None:
        """It has ended."""
        ...

    def lost(self, job: Job, why: str) -> None:
        """Its worker has died; it begins again at its last checkpoint."""
        ...


class Unwatched:
    """A watcher that looks away."""

    def began(self, job: Job) -> None:
        """A job begins."""

    def ended(self, job: Job, how: Ended) -> None:
        """It has ended."""

    def lost(self, job: Job, why: str) -> None:
        """Its worker has died."""


def drive(folder: StudyFolder, engine: Engine, watcher: StudyWatcher | None = None, retry: bool = False) -> None:
    """Work off what is left of a study. Jobs that are done are never run again.

    Args:
        folder: of the study.
        engine: that works off jobs.
        watcher: is told how it goes on.
        retry: whether jobs that have failed are tried again.

    Raises:
        RunError: another driver is at work on it, it began on another kind of device, or the engine cannot work here.
        StorageError: the disk takes nothing any more; what is done is kept.
    """
    watcher = watcher or Unwatched()
    with driving(folder):
        _check_kind(folder, engine.kind)
        left = list(_left(folder, retry))
        if not left:
            return
        events = engine.work(folder.path, left, folder.plan.threads)
        try:
            for event in events:
                if event.lost:
                    watcher.lost(event.job, event.lost)
                elif event.ended is None:
                    if folder.kind is None:
                        _keep_to(folder, engine.kind)
                    watcher.began(event.job)
                elif event.ended.how == "stopped":
                    raise StorageError(
                        f"{event.ended.cause}. What is done is kept; make room, then go on with: "
                        f"analogsim resume {typed(folder.path)}"
                    )
                else:
                    watcher.ended(event.job, event.ended)
        finally:
            events.close()


def _keep_to(folder: StudyFolder, kind: str) -> None:
    """Note the kind of device that the study begins on.

    Raises:
        StorageError: it cannot be written.
    """
    try:
        write_text(folder.path / "device", f"{kind}\n")
    except OSError as error:
        raise StorageError(f"{folder.path}: cannot be written: {error.strerror}; make room") from None


def _check_kind(folder: StudyFolder, kind: str) -> None:
    """Refuse another kind of device than the study began on: it would draw other random numbers for the same chips.

    Raises:
        RunError: it is another kind.
    """
    begun = folder.kind
    if begun not in (None, kind):
        raise RunError(
            f"{folder.path}: this study began on {begun}, and cannot go on on {kind}, which draws other random numbers "
            f"for the same chips; resume it with --device {begun}, or begin another study"
        )


@contextmanager
def driving(folder: StudyFolder) -> Iterator[None]:
    """Keep other drivers away; one that dies lets go.

    Raises:
        RunError: another one is at work, or the folder cannot be written.
    """
    shows = f"`analogsim status {typed(folder.path)}` shows it"
    refused = f"{folder.path}: another driver is at work on this study; {shows}"
    with locked(folder.path / "lock", refused):
        yield


def _left(folder: StudyFolder, retry: bool) -> Iterator[Job]:
    for job in folder.plan.jobs:
        state = folder.state(job)
        if state == "done":
            if (folder.job(job) / "checkpoint").exists():  # a kill came between result and tidying up
                shutil.rmtree(folder.job(job) / "checkpoint", ignore_errors=True)
        elif state != "failed" or retry:
            yield job
