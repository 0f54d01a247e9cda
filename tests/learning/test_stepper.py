"""The controller's copy of the weights: each chip is stepped as it is alone, to the bit."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from analogsim.learning.stepper import Stepper, suited
from analogsim.learning.whole_vectors import whole_vectors

CPU = torch.device("cpu")
DTYPES = [torch.float32, torch.float64]
OPTIMIZERS = {
    "adam": torch.optim.Adam,
    "amsgrad": partial(torch.optim.Adam, amsgrad=True),
    "adamw": partial(torch.optim.AdamW, weight_decay=0.1),
    "sgd": torch.optim.SGD,
    "sgd with momentum": partial(torch.optim.SGD, momentum=0.9),
    "sgd with nesterov": partial(torch.optim.SGD, momentum=0.9, nesterov=True),
    "adagrad": torch.optim.Adagrad,
    "rmsprop": torch.optim.RMSprop,
}


class TestStepper:
    """The choice of each optimiser: element-wise to the last bit, whatever else is in the tensor."""

    @staticmethod
    def steps(factory, weights, gradients):
        """Weights after some steps, stepped as a controller does."""
        parameter = whole_vectors(weights.clone())
        optimizer = factory([parameter], lr=0.01, **suited(factory, CPU))
        for gradient in gradients:
            parameter.grad = whole_vectors(gradient)
            optimizer.step()
        return parameter[: weights.numel()].view(weights.shape)

    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    @pytest.mark.parametrize("name", OPTIMIZERS)
    def test_a_chip_steps_alone_as_in_a_population(self, name, dtype):
        """Of sizes that fill no vector of the CPU, so that ends of chips lie anywhere."""
        generator = torch.Generator().manual_seed(3)
        for rows in (7, 33, 129, 1037):
            w, *gradients = torch.randn(6, 4, rows, 5, generator=generator, dtype=dtype).unbind()
            together = self.steps(OPTIMIZERS[name], w, gradients)
            assert not torch.equal(together, w)
            for chip in range(4):
                one = slice(chip, chip + 1)
                alone = self.steps(OPTIMIZERS[name], w[one], [gradient[one] for gradient in gradients])
                assert torch.equal(alone, together[one])

    @pytest.mark.parametrize("name", OPTIMIZERS)
    def test_threads_change_no_bit(self, name):
        """A tensor that torch divides among threads."""
        w, *gradients = torch.randn(4, 3, 211, 331, generator=torch.Generator().manual_seed(4)).unbind()
        found = []
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            found.append(self.steps(OPTIMIZERS[name], w, gradients))
        torch.set_num_threads(1)
        assert torch.equal(found[0], found[1])
        assert torch.equal(found[0], found[2])

    def test_one_loop_steps_a_tensor_where_torch_has_one(self):
        """Whatever settings are laid into the factory; RMSprop has none."""
        fused = {name for name, factory in OPTIMIZERS.items() if suited(factory, CPU) == {"fused": True}}
        assert fused == set(OPTIMIZERS) - {"rmsprop"}

    @pytest.mark.parametrize("shape", [(4, 8), (1, 5), (3, 7, 9), (0, 3)], ids=str)
    def test_whole_vectors(self, shape):
        x = torch.randn(shape)
        flat = whole_vectors(x)
        assert len(flat) % 16 == 0 and len(flat) - x.numel() in range(16)
        assert torch.equal(flat[: x.numel()].view(shape), x)
        assert not flat[x.numel() :].any()

    def test_whole_vectors_take_the_place_of_earlier_ones(self):
        held = whole_vectors(torch.ones(3, 7))
        x = torch.randn(7, 3).T
        assert whole_vectors(x, held) is held
        assert torch.equal(held, whole_vectors(x))

    def test_what_is_whole_is_not_copied(self):
        held, x = whole_vectors(torch.ones(4, 8)), torch.randn(4, 8)
        assert whole_vectors(x, held).data_ptr() == x.data_ptr()

    @pytest.mark.parametrize("name", OPTIMIZERS)
    def test_it_steps_chips_as_alone(self, lab, name):
        """Five steps on given directions, float32: bit for bit the rows of a population of three."""
        found = []
        for chips in ([0, 1, 2], [2]):
            bench = lab.bench([11, 23, 7], chips=chips, dtype=torch.float32)
            stepper = Stepper(bench.rig.network, bench.weights, OPTIMIZERS[name], 0.01)
            for step in range(5):
                numbers = [torch.Generator().manual_seed(100 * chip + step) for chip in chips]
                shapes = [w.shape[1:] for w in bench.weights]
                directions = [torch.stack([torch.randn(s, generator=g) for g in numbers]) for s in shapes]
                stepper.step(directions, bench.rig.limits.weights, torch.zeros(len(chips), dtype=torch.bool))
            found.append(stepper.weights)
        for together, alone, before in zip(*found, bench.weights, strict=True):
            assert torch.equal(together[2:], alone)
            assert not torch.equal(alone, before)
