"""What a step takes: closed forms of pipelines, exactly; energies counted by hand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analogsim.clock import inference_cost, step_cost, step_shape
from analogsim.network import Network

TIMES = st.integers(0, 9)
LAYERS = st.lists(
    st.tuples(TIMES, TIMES, st.integers(0, 9), st.integers(1, 4), st.integers(1, 2)), min_size=1, max_size=4
)


def _pipeline(prices, parts, broadcast):
    """Layers of (array, ADC, digital, positions, reads), and the closed form's longest stage and sum of stages."""
    layers, total, longest = [], 0, broadcast
    for array, adc, after, positions, reads in parts:
        costs = prices.costs(array=array, adc=adc, broadcast=broadcast)
        layers.append(prices.layer(costs, positions=positions, reads=reads, after=after))
        number = positions * reads
        total += array + adc + (number - 1) * max(array, adc) + after
        longest = max(longest, number * array, number * adc, after)
    return layers, total, longest


@given(parts=LAYERS, broadcast=TIMES, loss=TIMES, batch=st.integers(1, 6), passes=st.integers(1, 3))
@settings(max_examples=150, deadline=None)
def test_n_samples_take_the_sum_of_stages_and_n_less_one_times_the_longest(
    prices, parts, broadcast, loss, batch, passes
) -> None:
    layers, total, longest = _pipeline(prices, parts, broadcast)
    cost = step_cost(prices.step(*layers, batch=batch, passes=passes, loss=loss))
    assert cost.latency == total + loss + broadcast + (batch * passes - 1) * max(longest, loss)


@given(parts=LAYERS)
@settings(max_examples=50, deadline=None)
def test_inference_is_one_sample_and_the_distance_of_two(prices, parts) -> None:
    layers, total, longest = _pipeline(prices, parts, 0)
    shape = prices.step(*layers)
    alone = inference_cost(shape)
    assert (alone.latency, alone.interval) == (total, longest)
    assert alone.latency == step_cost(shape).latency
    assert alone.operations == step_cost(shape).operations._replace(broadcasts=0)


def test_decorrelation_is_passed_before_its_layer(prices) -> None:
    costs = prices.costs(array=3, adc=2)  # a bank has an ADC for each column
    digital = prices.step(prices.layer(costs, before=8, after=1, decorrelation="digital"), batch=5)
    crossbar = prices.step(prices.layer(costs, before=0, after=1, decorrelation="crossbar"), batch=5)
    assert inference_cost(digital)[:2] == (8 + 3 + 2 + 1, 8 + 1)  # one unit does both
    assert inference_cost(crossbar)[:2] == (3 + 2 + 3 + 2 + 1, 3)
    assert step_cost(crossbar).latency == 11 + 4 * 3
    assert step_cost(crossbar).operations.array == 5 * 2 * (3 * 1 + 2 * 2)


def test_a_backward_pass_follows_the_last_loss_of_its_sample(prices) -> None:
    first, second = prices.layer(prices.costs(array=2, adc=3)), prices.layer(prices.costs(array=5, adc=7), back=11)
    shape = prices.step(first, second, passes=2, loss=1, costs=prices.costs(broadcast=4), backward=True)
    forward = 2 + 3 + 5 + 7 + 7 + 1 + 4  # of the second pass, which waits for the longest stage
    cost = step_cost(shape)
    assert cost.latency == forward + 5 + 7 + 11
    spans = [(span.resource, span.start, span.end) for span in cost.spans if span.what == "backward"]
    assert spans == [
        ("layer 1 array", forward, forward + 5),
        ("layer 1 ADC backward", forward + 5, forward + 12),
        ("layer 1 digital", forward + 12, forward + 23),
    ]


def test_a_write_begins_as_soon_as_its_update_is_there(prices) -> None:
    layers = [prices.layer(prices.costs(array=1, adc=0, write=write)) for write in (10, 1)]  # 3 rows each
    shape = prices.step(*layers, update=(4, 6), companions=(0, 5), write="absolute")
    cost = step_cost(shape)
    writes = {span.resource: (span.start, span.end) for span in cost.spans if span.what == "write"}
    assert writes == {"layer 0 array": (6, 36), "layer 1 array": (12, 15)}
    assert cost.latency == 36
    assert cost.occupancy["learning"] == 15 / 36
    assert cost.occupancy["layer 0 array"] == 31 / 36


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [
        ({}, 300 * 2),  # one row after the other, tiles side by side
        ({"verified": 5}, 300 * 5 * (2 + 3)),
        ({"verified": 5, "write": "mixed_precision"}, 300 * 2),
        ({"parallel": "device"}, 300 * 200 * 2),
        ({"write": "in_memory"}, 7 * 4 * 62 * 2),
        ({"write": "none"}, 0),
    ],
)
def test_how_long_a_layer_is_written(prices, settings, seconds) -> None:
    write = {"time": 2.0, "parallel": settings.get("parallel", "row")}
    costs = prices.priced(write=write, verify={"time": 3.0})
    layer = prices.layer(costs, rows=500, columns=200, positions=4, slots=62, verified=settings.get("verified", 0))
    assert layer.writing(settings.get("write", "absolute"), 300, 7) == seconds


def test_in_memory_writes_of_all_layers_overlap(prices) -> None:
    layers = [prices.layer(prices.costs(array=1, adc=0), slots=10) for _ in range(3)]
    assert step_cost(prices.step(*layers, batch=4, write="in_memory")).latency == 3 + 3 + 4 * 10


def test_weights_that_are_perturbed_by_writing_hold_up_the_passes(prices) -> None:
    layers = [prices.layer(prices.costs(array=1, adc=0, write=10)) for _ in range(2)]  # 30 s each, side by side
    shape = prices.step(*layers, batch=4, passes=3, rewritten=2)
    assert step_cost(shape).latency == (2 + 3) + 2 * (30 + 2 + 3 + 30)


def test_decorrelation_on_a_crossbar_is_written_when_it_is_learned(prices) -> None:
    layer = prices.layer(prices.costs(array=1, adc=0), decorrelation="crossbar")  # of 2 rows
    cost = step_cost(prices.step(layer, update=(3,), companions=(5,), write="absolute"))
    assert cost.latency == 2 + 3 + 5 + 2


def test_energy_is_the_sum_over_counted_operations(prices) -> None:
    joules = dict(zip(("dac", "array", "adc", "write", "verify", "digital", "broadcast"), range(1, 8), strict=True))
    more = {}
    for name, energy in joules.items():
        kind = {"rate": 1.0} if name == "digital" else {"time": 1.0}
        more[name] = {**kind, "energy": energy / 1000}
    network = Network.mlp([3, 2, 2])
    profile = prices.profile(prices.priced(**more))
    shape = step_shape(network, [profile] * 2, 2, 5, 2, backward=True, update=(10, 20), companions=(0, 3))
    cost = step_cost(shape)
    # 4 x 2 and 3 x 2 devices' pairs on tiles of 2 x 2: two row-blocks each, so one sum for each column
    forward = {"dac": 4 + 3, "array": 2 * (8 + 6), "adc": 2 * 2 * 2, "digital": 2 * (2 + 2) - 2}  # linear output
    backward = {"dac": 2, "array": 2 * 4, "adc": 2, "digital": (2 * 2 + 2) + 2 + 2}
    expected = {name: 10 * forward[name] + 5 * backward[name] for name in forward}
    expected["digital"] += 10 * 3 * 2 + 33
    expected["broadcasts"] = 10
    assert cost.operations._asdict() == {**expected, "writes": 0, "verify": 0}
    total = sum(expected[name] * joules[name] for name in forward) + 10 * joules["broadcast"]
    assert cost.energy == pytest.approx(total / 1000, rel=1e-12)
    alone = inference_cost(shape)
    assert alone.energy == pytest.approx(sum(forward[name] * joules[name] for name in forward) / 1000, rel=1e-12)


def test_what_follows_without_a_gap_is_one_span(prices) -> None:
    spans = step_cost(prices.step(prices.layer(prices.costs(array=1, adc=3)), batch=100)).spans
    assert [(span.resource, span.start, span.end) for span in spans] == [
        ("layer 0 array", 0, 100),
        ("layer 0 ADC", 1, 301),
    ]


def test_steps_of_one_shape_are_simulated_once(prices) -> None:
    step_cost.cache_clear()
    costs = [step_cost(prices.step(prices.layer(), batch=3)) for _ in range(5)]
    assert all(cost is costs[0] for cost in costs)
    assert (step_cost.cache_info().misses, step_cost.cache_info().hits) == (1, 4)
    step_cost(prices.step(prices.layer(), batch=4))
    assert step_cost.cache_info().misses == 2


def test_samples_stream_in_and_do_not_wait_for_each_other(prices) -> None:
    # One digital unit works before and behind the first array: the first sample is through before all have come in.
    costs = prices.costs(array=1, adc=1)
    layers = [prices.layer(costs, before=2, after=1, decorrelation="digital"), prices.layer(costs)]
    cost = step_cost(prices.step(*layers, batch=50))
    second = next(span for span in cost.spans if span.resource == "layer 1 array")
    assert second.start < 15
    assert cost.latency == 50 * 3 + 1 + 2  # the unit rests only while the last sample is converted; then layer 1
