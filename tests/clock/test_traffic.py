"""Traffic: queues with known waits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import simpy

from analogsim.clock import Periodic, Poisson, Server, Trace


def serve(arrivals, until=None, interval=1.0, latency=3.0, seed=0, holds=(), **settings) -> Server:
    """A server after its run; `holds` are (start, seconds) of learning."""
    environment = simpy.Environment()
    server = Server(environment, arrivals.times(np.random.default_rng(seed)), interval, latency, **settings)

    def learn(start, seconds):
        yield environment.timeout(start)
        yield from server.learn(seconds)

    for hold in holds:
        environment.process(learn(*hold))
    environment.run(until=until)
    return server


@pytest.mark.parametrize(("load", "requests"), [(0.3, 3000), (0.6, 4000), (0.9, 9000)])
def test_poisson_requests_wait_as_long_as_at_one_deterministic_server(load, requests) -> None:
    """M/D/1: rho s / 2 (1 - rho) (Pollaczek and Khinchine). 30 runs, 3 standard errors of their mean."""
    runs, service, warm_up = 30, 0.5, 1000.0  # the queue forgets within some s / (1 - rho)^2 = 50 s at most
    until = warm_up + requests * service / load
    waits = [
        serve(Poisson(load / service), until, interval=service, seed=seed).mean_wait(since=warm_up)
        for seed in range(runs)
    ]
    expected = load * service / (2 * (1 - load))
    error = np.std(waits, ddof=1) / math.sqrt(runs)
    assert error < 0.05 * expected
    assert abs(np.mean(waits) - expected) < 3 * error


def test_requests_at_distances_above_the_interval_never_wait() -> None:
    server = serve(Periodic(2.0), until=101.0)
    assert list(server.waits) == [0.0] * 50
    assert list(server.latencies) == [3.0] * 50


def test_a_burst_is_served_in_order() -> None:
    server = serve(Trace((1.0, 1.0, 1.5, 9.0)), interval=2.0)
    assert list(server.waits) == [0.0, 2.0, 3.5, 0.0]
    assert server.percentiles((0, 50, 100)) == (3.0, 4.0, 6.5)
    assert server.percentiles((50,), since=2.0) == (3.0,)
    assert (server.mean_wait(), server.mean_wait(since=1.2)) == (5.5 / 4, 1.75)


def test_learning_makes_an_inference_wait_until_it_has_ended() -> None:
    server = serve(Trace((5.0, 20.0)), holds=[(4.0, 10.0)])
    assert list(server.waits) == [9.0, 0.0]
    assert list(server.latencies) == [12.0, 3.0]


@pytest.mark.parametrize(
    ("priority", "waits"),
    [
        ("inference", [0.0, 0.75, 0.5, 3.0]),  # learning begins at 3, when nobody waits
        ("learning", [0.0, 5.75, 5.5, 3.0]),  # at 1, when the first is through
        ("first_come", [0.0, 0.75, 5.5, 3.0]),  # at 2, after the second
    ],
)
def test_who_goes_first(priority, waits) -> None:
    """Requests of a second each, and 5 seconds of learning, asked for between the second and the third."""
    server = serve(Trace((0.0, 0.25, 1.5, 5.0)), holds=[(0.5, 5.0)], priority=priority)
    assert list(server.waits) == waits


def test_arrivals_repeat_and_go_on() -> None:
    def times(**more):
        iterator = Poisson(3.0).times(np.random.default_rng(5), **more)
        return [next(iterator) for _ in range(3000)]

    first = times()
    assert times() == first
    assert all(a < b for a, b in zip(first, first[1:], strict=False))
    assert times(skip=2000)[:1000] == first[2000:]
    assert times(start=7.0) == [7.0 + time for time in first]
    distances = np.diff([0.0, *first])
    assert abs(distances.mean() - 1 / 3) < 4 * (1 / 3) / math.sqrt(3000)
    none = np.random.default_rng(0)
    assert [time for time, _ in zip(Periodic(0.5).times(none, skip=1), range(2), strict=False)] == [1.0, 1.5]
    assert list(Trace((1.0, 2.0)).times(none, skip=1)) == [2.0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Poisson(0.0), "rate: a finite number above 0 .got 0.0"),
        (lambda: Periodic(math.inf), "period: a finite number above 0"),
        (lambda: Trace((1.0, 0.5)), "at: times are finite.*got 0.5"),
        (lambda: Trace((-1.0,)), "got -1.0"),
        (lambda: Trace((math.nan,)), "got nan"),
        (lambda: serve(Trace(()), interval=0.0), "interval: a finite number above 0"),
        (lambda: serve(Trace(()), latency=-1.0), "latency: a finite number above 0"),
        (lambda: serve(Trace(())).percentiles(), "no request that came since 0 s"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message) -> None:
    with pytest.raises(ValueError, match=message):
        make()
