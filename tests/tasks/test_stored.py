"""Inputs that stay bytes give what the same numbers give as float32; standardisation by channel."""

from dataclasses import replace

import pytest
import torch

from analogsim.errors import DataError
from analogsim.tasks import DATA_SETS, LOSSES, DataSet, Task
from analogsim.tasks.stored import Bytes

CPU = torch.device("cpu")


def _made() -> tuple[DataSet, DataSet]:
    """Images as bytes, and as the numbers that they stand for; one pixel never changes."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (60, 2 * 4 * 4), generator=generator, dtype=torch.uint8)
    x[:, 5] = 77
    t = torch.nn.functional.one_hot(torch.arange(60) % 3).float()
    stored = Bytes(torch.tensor(0.0), torch.tensor(1 / 255))
    held = DataSet(x[:50], t[:50], x[50:], t[50:], shape=(2, 4, 4), stored=stored)
    return held, replace(held, train_inputs=stored(x[:50]), test_inputs=stored(x[50:]), stored=None)


def _batches(data: DataSet) -> list[torch.Tensor]:
    task = Task(data, LOSSES["cross_entropy"], 20, [0, 1], [0, 1], CPU, torch.float32)
    found = [*task.next_batch(), *task.next_batch(), *task.next_batch(), *task.first_samples(7)]
    return [*found, *(each for batch in task.looked_at(4) for each in batch)]


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data,
        lambda data: data.standardised(),
        lambda data: data.standardised("channel"),
        lambda data: data.pooled(2).standardised("channel"),
        lambda data: data.standardised().autoencoding(),
        lambda data: data.first(40).held_out(8),
    ],
)
def test_a_task_gives_the_same_numbers(change: "object") -> None:
    assert callable(change)
    for found, expected in zip(*(_batches(change(data)) for data in _made()), strict=True):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, expected, atol=2e-5, rtol=2e-5)


def test_bytes_stay_bytes_until_they_are_used() -> None:
    data = _made()[0].standardised("channel")
    assert data.train_inputs.dtype == torch.uint8
    task = Task(data, LOSSES["cross_entropy"], 20, [0], [0], CPU, torch.float32)
    assert task._train[0].data_ptr() == data.train_inputs.data_ptr()


@pytest.mark.parametrize("kind", [0, 1])
def test_channels_have_mean_0_and_standard_deviation_1(kind: int) -> None:
    data = _made()[kind].standardised("channel")
    x = data.train_inputs if data.stored is None else data.stored(data.train_inputs)
    channels = x.unflatten(1, (2, 16)).double()
    torch.testing.assert_close(channels.mean((0, 2)), torch.zeros(2).double(), atol=1e-5, rtol=0)
    torch.testing.assert_close(channels.std((0, 2), correction=0), torch.ones(2).double(), atol=1e-5, rtol=0)
    assert channels[:, 0, 5].unique().numel() == 1
    assert channels[0, 0, 5] != 0, "a constant pixel is not removed: the channel changes"


@pytest.mark.parametrize("kind", [0, 1])
def test_what_never_changes_becomes_0(kind: int) -> None:
    data = _made()[kind].standardised()
    x = data.train_inputs if data.stored is None else data.stored(data.train_inputs)
    assert (x[:, 5] == 0).all()


def test_only_images_have_channels() -> None:
    with pytest.raises(DataError, match="only images have channels"):
        DATA_SETS["teacher"]().standardised("channel")


def test_one_channel_is_the_usual_normalisation() -> None:
    """(x - mean) / sd with one mean and one sd over all pixels, as MNIST is often normalised."""
    data = DATA_SETS["digits"]()
    x = data.train_inputs.double()
    expected = (data.test_inputs.double() - x.mean()) / x.std(correction=0)
    torch.testing.assert_close(data.standardised("channel").test_inputs.double(), expected, atol=1e-5, rtol=1e-5)
