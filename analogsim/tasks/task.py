"""Task: batches for every chip of a population, and the loss that judges its outputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from analogsim.randomness import Purpose, Streams
from analogsim.tasks.corruption import Corruption
from analogsim.tasks.data_set import DataSet
from analogsim.tasks.losses import Loss


class Task:
    """A data set, a loss, and for each chip an order of the training data of its own.

    An epoch is a new shuffle; a remainder that does not fill a batch is left out of that epoch.

    Args:
        data: the data set.
        loss: what judges outputs.
        batch: batch size B.
        seeds, ids: seed and number of each chip, which seed its order of data.
        device, dtype: of the tensors.
        corruption: of the training inputs, or None. A batch is corrupted once, so all passes of a step see the same.

    Attributes:
        classes: whether targets stand for classes.
    """

    def __init__(
        self,
        data: DataSet,
        loss: Loss,
        batch: int,
        seeds: Sequence[int],
        ids: Sequence[int],
        device: torch.device,
        dtype: torch.dtype,
        corruption: Corruption | None = None,
    ) -> None:
        if not 1 <= batch <= len(data.train_inputs):
            raise ValueError(f"a batch has between 1 and all {len(data.train_inputs)} training samples (got {batch})")
        self.loss = loss
        self.batch = batch
        self.classes = data.classes
        self._corruption = corruption
        self._stored = None if data.stored is None else data.stored.to(device, dtype)
        kept = torch.uint8 if data.stored else dtype  # bytes become numbers batch by batch
        self._train = data.train_inputs.to(device, kept), data.train_targets.to(device, dtype)
        self._test = data.test_inputs.to(device, kept), data.test_targets.to(device, dtype)
        self._streams = Streams(seeds, ids, torch.device("cpu"))  # the same order on every device
        self._corrupting = Streams(seeds, ids, device)  # drawn where it is used: no copy at each step
        self._device = device
        self.steps_per_epoch = len(data.train_inputs) // batch
        self._position = self.steps_per_epoch
        self._order = torch.empty(0)

    def next_batch(self) -> tuple[Tensor, Tensor]:
        """Inputs (C, B, features) and targets (C, B, outputs) of the next step."""
        if self._position == self.steps_per_epoch:
            count = len(self._train[0])
            orders = [torch.randperm(count, generator=g) for g in self._streams.generators(Purpose.DATA_ORDER)]
            self._order = torch.stack(orders).to(self._device)
            self._position = 0
        start = self._position * self.batch
        index = self._order[:, start : start + self.batch]
        self._position += 1
        return self._corrupted(self._numbers(self._train[0][index])), self._train[1][index]

    def _numbers(self, x: Tensor) -> Tensor:
        return x if self._stored is None else self._stored(x)

    def _corrupted(self, x: Tensor) -> Tensor:
        if self._corruption is None:
            return x
        return self._corruption(x, self._corrupting.draw(Purpose.CORRUPTION, 0, 1, x.shape[1:], x.dtype)[:, 0])

    @property
    def train_samples(self) -> int:
        """Number of training samples."""
        return len(self._train[0])

    def first_inputs(self, count: int) -> Tensor:
        """The first training inputs, not corrupted, at most all of them, (1, M, features): the same for all chips."""
        return self.first_samples(count)[0]

    def first_samples(self, count: int) -> tuple[Tensor, Tensor]:
        """The first training samples, at most all: inputs (1, M, features), targets (1, M, outputs); for all chips."""
        return self._numbers(self._train[0][None, :count]), self._train[1][None, :count]

    def state_dict(self) -> dict[str, Any]:
        """Place in the order of data, and what the next orders are drawn from; the tensors are live."""
        return {
            "position": self._position,
            "order": self._order,
            "streams": self._streams.state_dict(),
            "corrupting": self._corrupting.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self._position = state["position"]
        self._order = state["order"].to(self._device, copy=True)
        self._streams.load_state_dict(state["streams"])
        self._corrupting.load_state_dict(state["corrupting"])

    def looked_at(self, size: int, samples: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """The test set, or the first training samples, in parts of at most `size`; the same for all chips.

        Args:
            size: most samples of a part.
            samples: how many of the training set; None: the test set.

        Yields:
            Inputs (1, M, features) and targets (1, M, outputs).
        """
        inputs, targets = self._test if samples is None else (each[:samples] for each in self._train)
        for start in range(0, len(inputs), size):
            yield self._numbers(inputs[None, start : start + size]), targets[None, start : start + size]
