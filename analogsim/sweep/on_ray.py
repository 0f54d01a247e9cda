"""Jobs on a Ray cluster: workers and nodes that are lost are made up for, data sets travel once.

The study's folder must lie where all nodes see it under one path, as on a cluster's shared file system.
"""

from __future__ import annotations

import importlib
import os
import socket
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from analogsim.errors import AnalogsimError, RunError
from analogsim.outcomes import Job, StudyFolder
from analogsim.sweep.engine import LOSSES, Event
from analogsim.sweep.job import Ended, data_of, perform, record_failure
from analogsim.sweep.tensorboard import SWITCH
from analogsim.tasks import DataSet

_TICK = 0.5  # seconds between looks at what has ended
_SHARED = 4  # data sets that the cluster keeps for jobs to come
_SETTINGS = 4  # type of a frame of HTTP/2
_AHEAD = 2  # jobs that are handed over for each slot, so that no slot waits for the driver


class OnRay:
    """Works off jobs on a cluster.

    Args:
        address: of a running cluster, `auto` for the one of this machine, `local` for one of this process alone.
        device: `cpu`, or `cuda`: each job then takes a share of a GPU.
        gpus: that share, of a job on `cuda`.

    Raises:
        RunError: Ray is not installed.
    """

    def __init__(self, address: str, device: str, gpus: float = 1.0) -> None:
        try:
            self._ray: Any = importlib.import_module("ray")
        except ImportError:
            raise RunError("--ray: Ray is not installed; install it with: pip install 'analogsim[ray]'") from None
        self._address, self._device, self.kind = address, device, device
        self._gpus = gpus if device == "cuda" else 0.0
        self.slots = 1

    def work(self, study: Path, jobs: Sequence[Job], threads: int) -> Generator[Event]:
        """Work them off; see `Engine.work`."""
        ray, study = self._ray, study.resolve()
        joined = not ray.is_initialized()
        if joined:
            self._join()
        try:
            self._check_nodes(study)
            yield from self._work(study, jobs, threads)
        finally:
            if joined:
                ray.shutdown()

    def _join(self) -> None:
        local = self._address == "local"
        if self._address not in ("local", "auto"):
            self._knock()
        try:
            self._ray.init(
                address=None if local else self._address,
                include_dashboard=False if local else None,
                log_to_driver=False,
                logging_level="error",
            )
        except Exception as error:  # Ray has an exception for each way in which an address is wrong
            raise self._unreachable(str(error).strip().split("\n")[0]) from None

    def _knock(self) -> None:
        """Refuse an address where nobody listens, or something else than Ray, for which Ray would wait for minutes."""
        host, _, port = self._address.removeprefix("ray://").rpartition(":")
        try:
            with socket.create_connection((host, int(port)), timeout=10) as line:
                speaks = os.environ.get("RAY_USE_TLS", "0") not in ("", "0") or _speaks_http2(line)
        except (OSError, ValueError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise self._unreachable(reason) from None
        if not speaks:
            raise self._unreachable("what listens there is not Ray")

    def _unreachable(self, reason: str) -> RunError:
        return RunError(
            f"--ray {self._address}: no cluster can be reached there ({reason}); give the address of a running head "
            "node, such as 10.0.0.1:6379, or auto for one that was started on this machine, or local"
        )

    def _nodes(self) -> list[dict[str, Any]]:
        return [node for node in self._ray.nodes() if node["Alive"]]

    def _check_nodes(self, study: Path) -> None:
        """Refuse a folder that some node does not see."""
        ray, plan = self._ray, (study / "plan.json").read_bytes()
        strategy = importlib.import_module("ray.util.scheduling_strategies").NodeAffinitySchedulingStrategy
        sees = ray.remote(num_cpus=0)(_sees)
        asked = {
            node["NodeManagerHostname"]: sees.options(
                scheduling_strategy=strategy(node_id=node["NodeID"], soft=False)
            ).remote(str(study), plan)
            for node in self._nodes()
        }
        blind = [name for name, answer in asked.items() if not ray.get(answer)]
        if blind:
            raise RunError(
                f"{study}: node {blind[0]} does not see this folder; make the study with --out on a file system that "
                "all nodes share"
            )

    def _work(self, study: Path, jobs: Sequence[Job], threads: int) -> Generator[Event]:
        ray, folder = self._ray, StudyFolder(study)
        # Each job is retried by Ray itself where its worker or node is lost; what it raises, it does not retry.
        remote = ray.remote(num_cpus=threads, num_gpus=self._gpus, max_retries=LOSSES - 1)(_perform)
        shared: dict[str, Any] = {}
        under_way: dict[Any, Job] = {}
        waiting = iter(jobs)
        job = next(waiting, None)
        looked = 0.0
        while job is not None or under_way:
            if time.monotonic() - looked > 10 * _TICK:
                self.slots, looked = self._slots(threads), time.monotonic()
            while job is not None and len(under_way) < _AHEAD * self.slots:
                found = _data(folder, job)
                if found is not None and found[0] not in shared:
                    shared[found[0]] = ray.put(found[1])
                    while len(shared) > _SHARED:
                        del shared[next(iter(shared))]
                data = shared[found[0]] if found else None
                board = SWITCH in os.environ
                under_way[remote.remote(str(study), job.model_dump_json(), self._device, threads, data, board)] = job
                yield Event(job)
                job = next(waiting, None)
            ended, _ = ray.wait(list(under_way), timeout=_TICK)
            for answer in ended:
                yield self._event(study, under_way.pop(answer), answer)

    def _slots(self, threads: int) -> int:
        resources = self._ray.cluster_resources()
        slots = resources.get("CPU", 1) / threads
        if self._gpus:
            slots = min(slots, resources.get("GPU", 0) / self._gpus)
            if not slots:
                raise RunError("--device cuda: no node of this cluster has a GPU; use --device cpu")
        return max(1, int(slots))

    def _event(self, study: Path, job: Job, answer: Any) -> Event:
        lost = self._ray.exceptions.RayError
        try:
            return Event(job, Ended(**self._ray.get(answer)))
        except lost as error:
            cause = f"its worker was lost {LOSSES} times: {type(error).__name__}"
            return Event(job, record_failure(study / "jobs" / job.id, cause))


def _data(folder: StudyFolder, job: Job) -> tuple[str, DataSet] | None:
    """The data set of a job; None where it cannot be had: the job then tells why, as its failure."""
    try:
        return data_of(folder, job)
    except AnalogsimError:
        return None


def _speaks_http2(line: socket.socket) -> bool:
    """Whether somebody answers a greeting as Ray's servers do: with SETTINGS (RFC 9113, sections 3.4 and 6.5)."""
    line.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, _SETTINGS, 0, 0, 0, 0, 0]))
    answer = b""
    while len(answer) < 4:
        try:
            part = line.recv(4 - len(answer))
        except TimeoutError:
            return False
        if not part:
            return False
        answer += part
    return answer[3] == _SETTINGS


def _sees(study: str, plan: bytes) -> bool:
    """On a node: whether it sees the study's folder."""
    try:
        return (Path(study) / "plan.json").read_bytes() == plan
    except OSError:
        return False


def _perform(study: str, job: str, device: str, threads: int, data: DataSet | None, board: bool) -> dict[str, str]:
    """On a node: work off a job."""
    import torch

    os.environ.update({SWITCH: "1"} if board else {})
    torch.set_num_threads(threads)
    ended = perform(Path(study), Job.model_validate_json(job), device, data)
    return {"how": ended.how, "cause": ended.cause}
