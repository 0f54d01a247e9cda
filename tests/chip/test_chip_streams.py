"""Random numbers by purpose and chip: alone, in a population, in chunks and after a resume they are the same."""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from torch import Tensor

from analogsim.chip import Chip
from analogsim.network import Network
from analogsim.port import Injection, Pass
from analogsim.randomness import Purpose, Streams
from device_models import load_profile

CPU = torch.device("cpu")
NETWORK = Network.mlp([6, 11, 4])
PROBES = (Pass(), Pass(inject=Injection(0.1)), Pass(inject=Injection(0.1, scale=-1.0)))


def _streams(ids: list[int], seed: int = 5) -> Streams:
    return Streams([seed] * len(ids), ids, CPU)


def _draw(streams: Streams, purpose: Purpose = Purpose.READ, layer: int = 0, **arguments: Any) -> Tensor:
    arguments = {"samples": 3, "shape": (2, 5), "dtype": torch.float32, **arguments}
    return streams.draw(purpose, layer, **arguments)


def _loud(profile_of: Any, **parts: Any) -> Any:
    return profile_of(read_noise={"sigma": "2 %"}, column_noise={"sigma": "1 %"}, **parts)


# Streams


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(1,), (2, 5), (3, 16), (7, 13)])
def test_samples_in_chunks_are_the_samples_of_one_call(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    arguments = {"shape": shape, "dtype": dtype}
    whole = _draw(_streams([0, 1]), samples=9, **arguments)
    parts = _streams([0, 1])
    chunks = [_draw(parts, samples=samples, **arguments) for samples in (1, 4, 2, 2)]
    assert torch.equal(torch.cat(chunks, 1), whole)
    assert whole.shape == (2, 9, *shape)
    assert whole.dtype == dtype


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_chip_draws_the_same_numbers_alone_and_in_a_population(dtype: torch.dtype) -> None:
    population = _streams(list(range(8)))
    for purpose in Purpose:
        together = _draw(population, purpose, layer=1, dtype=dtype)
        for k in range(8):
            assert torch.equal(_draw(_streams([k]), purpose, layer=1, dtype=dtype)[0], together[k])
        assert len(together[:, 0, 0, 0].unique()) == 8, "chips differ"


def test_seed_chip_purpose_and_layer_each_have_numbers_of_their_own() -> None:
    seen = {
        _draw(_streams([chip], seed), purpose, layer, dtype=torch.float64).flatten()[0].item()
        for seed in range(4)
        for chip in range(4)
        for purpose in Purpose
        for layer in range(4)
    }
    assert len(seen) == 4 * 4 * len(Purpose) * 4


def test_chips_of_several_seeds_may_share_a_population() -> None:
    mixed = _draw(Streams([5, 6, 5], [0, 0, 1], CPU))
    for position, (seed, chip) in enumerate([(5, 0), (6, 0), (5, 1)]):
        assert torch.equal(mixed[position], _draw(_streams([chip], seed))[0])


def test_purposes_and_layers_do_not_touch_each_other() -> None:
    alone, busy = _streams([0, 3]), _streams([0, 3])
    for _ in range(3):
        for purpose in set(Purpose) - {Purpose.READ}:
            _draw(busy, purpose, samples=2)
        _draw(busy, Purpose.READ, layer=1)
        assert torch.equal(_draw(busy), _draw(alone))


def test_a_stream_never_repeats() -> None:
    streams = _streams([0])
    numbers = torch.cat([_draw(streams, samples=500, dtype=torch.float64).flatten() for _ in range(20)])
    assert len(numbers.unique()) == len(numbers) == 100_000


def test_a_saved_state_continues_exactly() -> None:
    streams = _streams([0, 4])
    _draw(streams)
    _draw(streams, Purpose.INJECTION, layer=2)
    streams.restart(Purpose.EVALUATION, 7)
    _draw(streams, Purpose.EVALUATION)
    file = io.BytesIO()
    torch.save(streams.state_dict(), file)
    calls: list[tuple[Purpose, int]] = [
        (Purpose.READ, 0),
        (Purpose.INJECTION, 2),
        (Purpose.EVALUATION, 0),
        (Purpose.EVALUATION, 1),  # made after the restart: its start must have been saved
        (Purpose.DROPOUT, 0),  # never used before
    ]
    expected = [_draw(streams, *call) for call in calls]

    resumed = _streams([0, 4])
    for call in calls:
        _draw(resumed, *call)  # what was drawn before loading is of no account
    file.seek(0)
    resumed.load_state_dict(torch.load(file))
    for call, numbers in zip(calls, expected, strict=True):
        assert torch.equal(_draw(resumed, *call), numbers)


def test_a_state_is_a_copy() -> None:
    streams = _streams([0])
    _draw(streams)
    state = streams.state_dict()
    first = _draw(streams)
    _draw(streams)
    streams.load_state_dict(state)
    assert torch.equal(_draw(streams), first)


def test_a_restart_depends_on_its_start_and_on_nothing_else() -> None:
    streams, other = _streams([0, 4]), _streams([0, 4])
    unstarted = _draw(streams, Purpose.EVALUATION)
    reads = _draw(streams)
    by_start = {}
    for start in (0, 1, 2):
        streams.restart(Purpose.EVALUATION, start)
        by_start[start] = _draw(streams, Purpose.EVALUATION)
        _draw(streams, Purpose.EVALUATION)
    numbers = [unstarted, *by_start.values()]
    assert len({each.flatten()[0].item() for each in numbers}) == 4
    streams.restart(Purpose.EVALUATION, 1)
    assert torch.equal(_draw(streams, Purpose.EVALUATION), by_start[1])
    other.restart(Purpose.EVALUATION, 1)
    assert torch.equal(_draw(other, Purpose.EVALUATION), by_start[1])
    assert torch.equal(_draw(other), reads), "a restart is its purpose's alone"
    assert torch.equal(_draw(other), _draw(streams))


# Chips


@pytest.mark.parametrize("sampling", ["column", "device"])
@pytest.mark.parametrize("adc", [None, {"bits": 8, "range": 12}])
def test_chip_k_of_a_population_can_be_built_alone(
    chip_of: Any, profile_of: Any, inputs_of: Any, sampling: Any, adc: Any, backward: Any
) -> None:
    profile = _loud(profile_of, adc=adc)
    population = chip_of(NETWORK, profile, 8, seed=3, sampling=sampling)
    x = inputs_of(8, 5, 6)
    together = population.forward(x, PROBES, samples=3)
    backwards = backward(population, x[..., :4], tuple(a[:, 0, 0] for a in together.pre_activations))
    for k in (0, 3, 7):
        alone = chip_of(NETWORK, profile, [k], seed=3, sampling=sampling)
        trace = alone.forward(x[k : k + 1], PROBES, samples=3)
        for index in range(NETWORK.depth):
            assert torch.equal(trace.injected[index][0], together.injected[index][k])
            # The products may be formed in another order: 12 rows, float64, and signals of order one.
            torch.testing.assert_close(
                trace.pre_activations[index][0], together.pre_activations[index][k], rtol=1e-12, atol=1e-12
            )
        vectors = backward(alone, x[k : k + 1, :, :4], tuple(a[:, 0, 0] for a in trace.pre_activations))
        torch.testing.assert_close(vectors[0][0], backwards[0][k], rtol=1e-12, atol=1e-12)


TWO_LAWS = (Pass(inject=Injection(0.1)), Pass(inject=Injection(0.1, law="rademacher")))


@pytest.mark.parametrize("injection", ["digital", "analog"])
@pytest.mark.parametrize("probes", [PROBES, TWO_LAWS], ids=["one-law", "two-laws"])
def test_samples_of_a_chip_may_be_run_in_chunks(
    chip_of: Any, profile_of: Any, inputs_of: Any, probes: Any, injection: Any
) -> None:
    x = inputs_of(2, 3, 6)
    whole = chip_of(NETWORK, _loud(profile_of), 2, injection=injection).forward(x, probes, samples=7)
    parts = chip_of(NETWORK, _loud(profile_of), 2, injection=injection)
    chunks = [parts.forward(x, probes, samples=samples) for samples in (2, 1, 4)]
    for index in range(NETWORK.depth):
        assert torch.equal(torch.cat([chunk.injected[index] for chunk in chunks], 1), whole.injected[index])
    # The same numbers; products of another height may be formed in another order.
    torch.testing.assert_close(torch.cat([chunk.outputs for chunk in chunks], 1), whole.outputs, rtol=1e-12, atol=1e-12)


def test_a_chip_with_a_seed_of_its_own(chip_of: Any, profile_of: Any, inputs_of: Any) -> None:
    x = inputs_of(1, 3, 6).expand(3, -1, -1)
    profile = profile_of(read_noise={"sigma": "2 %"})
    chip = Chip(NETWORK, profile, population=[0, 0, 0], seed=[1, 2, 1], dtype=torch.float64)
    one = NETWORK.initial_weights("he_normal", [torch.Generator().manual_seed(1)])
    chip.program([w.expand(3, -1, -1) for w in one])
    outputs = chip.forward(x).outputs
    assert torch.equal(outputs[0], outputs[2])
    assert not torch.isclose(outputs[0], outputs[1]).any()


def test_evaluating_more_often_changes_nothing(chip_of: Any, inputs_of: Any, backward: Any) -> None:
    x = inputs_of(2, 3, 6)
    seldom, often = (chip_of(NETWORK, load_profile("noisy"), 2) for _ in range(2))
    for _ in range(3):
        often.forward(x, samples=2, purpose=Purpose.EVALUATION)
        a = tuple(a[:, 0, 0] for a in often.forward(x, (Pass(clean=True),)).pre_activations)
        backward(often, x[..., :4], a)
        assert torch.equal(often.forward(x, PROBES).outputs, seldom.forward(x, PROBES).outputs)


def test_a_chip_continues_from_a_saved_state(chip_of: Any, profile_of: Any, inputs_of: Any) -> None:
    x = inputs_of(2, 3, 6)
    chip, resumed = (chip_of(NETWORK, _loud(profile_of), 2) for _ in range(2))
    chip.forward(x, PROBES, samples=2)
    resumed.streams.load_state_dict(chip.streams.state_dict())
    assert torch.equal(resumed.forward(x, PROBES, samples=2).outputs, chip.forward(x, PROBES, samples=2).outputs)
