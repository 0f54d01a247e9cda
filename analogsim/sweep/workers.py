"""Local worker processes; one that dies is replaced, and its job begins again where its last checkpoint was made."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

from analogsim.errors import RunError
from analogsim.outcomes import Job
from analogsim.sweep.engine import LOSSES, Event
from analogsim.sweep.job import Ended, record_failure

_PERFORM = "analogsim.sweep.job:perform"


class Workers:
    """Works off jobs in processes of its own, on this machine.

    Args:
        number: of processes.
        device: to simulate on; `cuda`: of several GPUs each process has one in turn.
        perform: what works off a job, as `module:function`.
    """

    def __init__(self, number: int, device: str, perform: str = _PERFORM) -> None:
        self.slots, self._device, self._perform = number, device, perform
        self.kind = device.partition(":")[0]

    def work(self, study: Path, jobs: Sequence[Job], threads: int) -> Generator[Event]:
        """Work them off; see `Engine.work`."""
        waiting, losses, starts = deque(jobs), dict[str, int](), 0
        with selectors.DefaultSelector() as selector:
            workers: list[_Worker] = []
            try:
                for number in range(min(self.slots, len(jobs))):
                    workers.append(self._started(number, study, threads, selector))
                while waiting or any(worker.job for worker in workers):
                    for worker in workers:
                        if worker.ready and worker.job is None and waiting:
                            job = waiting.popleft()
                            worker.give(job)
                            yield Event(job)
                    for key, _ in selector.select():
                        worker = key.data
                        for answer in worker.answers():
                            if "ready" in answer:
                                worker.ready = True
                            elif worker.job is not None:
                                job, worker.job = worker.job, None
                                yield Event(job, Ended(**answer))
                        if not worker.gone:
                            continue
                        selector.unregister(worker.pipe)
                        job, why = worker.job, worker.buried()
                        if not worker.ready:
                            starts += 1
                            if not worker.killed or starts >= LOSSES:
                                raise RunError(f"a worker process cannot begin: {why}")
                        place = workers.index(worker)
                        workers[place] = self._started(worker.number, study, threads, selector)
                        if job is None:
                            continue
                        losses[job.id] = losses.get(job.id, 0) + 1
                        if losses[job.id] < LOSSES:
                            waiting.appendleft(job)
                            yield Event(job, lost=why)
                        else:
                            cause = f"its worker process died {LOSSES} times: {why}"
                            yield Event(job, record_failure(study / "jobs" / job.id, cause))
            finally:
                for worker in workers:
                    worker.end()

    def _started(self, number: int, study: Path, threads: int, selector: selectors.BaseSelector) -> _Worker:
        worker = _Worker(number, study, self._device, threads, self._perform)
        selector.register(worker.pipe, selectors.EVENT_READ, worker)
        return worker


class _Worker:
    """One process, and the job that it has."""

    def __init__(self, number: int, study: Path, device: str, threads: int, perform: str) -> None:
        self.number, self.ready, self.gone = number, False, False
        self.job: Job | None = None
        self._rest = b""
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `end`)
        limits = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")}
        command = [sys.executable, "-m", "analogsim.sweep.worker", str(study), "--device", device]
        command += ["--number", str(number), "--perform", perform]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={"OMP_WAIT_POLICY": "PASSIVE", "PYTHONSAFEPATH": "1", **os.environ, **limits},
            start_new_session=True,  # an interrupt at the terminal is the driver's to handle
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._jobs, self.pipe = self._process.stdin, self._process.stdout

    def give(self, job: Job) -> None:
        """Give it a job."""
        self.job = job
        with contextlib.suppress(BrokenPipeError):  # it has died; its pipe says so next
            self._jobs.write(job.model_dump_json().encode() + b"\n")
            self._jobs.flush()

    def answers(self) -> Iterator[dict[str, str]]:
        """What it has said since; marks it as gone at the end of its pipe."""
        told = os.read(self.pipe.fileno(), 1 << 16)
        self.gone = not told
        *lines, self._rest = (self._rest + told).split(b"\n")
        yield from (json.loads(line) for line in lines)

    @property
    def killed(self) -> bool:
        """Whether a signal ended it."""
        return (self._process.returncode or 0) < 0

    def buried(self) -> str:
        """Wait for its end; why it died."""
        code = self._process.wait()
        self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, self._log.tell() - 4000))
        lines = self._log.read().decode(errors="replace").strip().split("\n")
        self.end()
        what = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        return f"{what}; it last said: {lines[-1]}" if lines[-1] else what

    def end(self) -> None:
        """End it, whatever it does."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for file in (self._jobs, self.pipe, self._log):
            with contextlib.suppress(BrokenPipeError):
                file.close()
