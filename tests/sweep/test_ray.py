"""Ray: the same files from a cluster, also where a node is lost midway."""

from __future__ import annotations

import importlib.util
import socket
import threading
import time
from typing import Any

import pytest

from analogsim.errors import RunError
from analogsim.sweep.on_ray import OnRay

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed (pip install '.[ray]')"),
    pytest.mark.filterwarnings("ignore"),  # Ray's own
]


def test_a_cluster_of_this_machine_writes_the_same_files(studies: Any) -> None:
    folder = studies.study()
    told = studies.drive(folder, OnRay("local", "cpu"))
    assert {how.how for how in told.ended_.values()} == {"done"}
    assert studies.bytes_of(folder) == studies.undisturbed()


def test_an_address_where_nobody_is(studies: Any) -> None:
    with pytest.raises(RunError, match=r"^--ray 127\.0\.0\.1:1: no cluster can be reached there"):
        studies.drive(studies.study(), OnRay("127.0.0.1:1", "cpu"))


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"-ERR unknown command\r\n"])
def test_an_address_where_somebody_else_is(answer: bytes, studies: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            line, _ = server.accept()
            with line:
                line.recv(64)
                line.sendall(answer)

        thread = threading.Thread(target=greet)
        thread.start()
        port = server.getsockname()[1]
        with pytest.raises(RunError, match=rf"^--ray 127\.0\.0\.1:{port}: .* \(what listens there is not Ray\)"):
            studies.drive(studies.study(), OnRay(f"127.0.0.1:{port}", "cpu"))
        thread.join()


@pytest.mark.slow
def test_a_cluster_of_two_nodes_of_which_one_is_killed(studies: Any) -> None:
    import ray
    from ray.cluster_utils import Cluster

    axes = {"chip.overrides.adc.bits": [4, 5, 6, 7, 8], "chip.overrides.dac.bits": [6, 7, 8], "chip.tile": [32, 64]}
    folder = studies.study({"axes": axes})
    undisturbed = studies.study({"axes": axes})
    from analogsim.sweep.engine import Here

    studies.drive(undisturbed, Here("cpu"))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        victim = cluster.add_node(num_cpus=1)
        ray.init(address=cluster.address, log_to_driver=False)
        events = OnRay(cluster.address, "cpu").work(folder.path, folder.plan.jobs, 1)
        ended = 0
        deadline = time.monotonic() + 300
        for event in events:
            assert time.monotonic() < deadline
            ended += event.ended is not None
            if ended == 8 and victim is not None:
                cluster.remove_node(victim, allow_graceful=False)
                victim = None
        assert victim is None
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert studies.bytes_of(folder) == studies.bytes_of(undisturbed)
