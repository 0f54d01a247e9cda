"""Health of a population: which chips are finite, who is frozen, and optimisers that step each chip as it is alone."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch

from analogsim.learning import RULES, Controller
from analogsim.learning.controller import _suited
from analogsim.learning.health import finite, keep
from analogsim.learning.whole_vectors import whole_vectors
from device_models import threads

CPU = torch.device("cpu")
DTYPES = [torch.float32, torch.float64]
BAD = [math.nan, math.inf, -math.inf]
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


class TestFinite:
    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    @pytest.mark.parametrize("bad", BAD)
    @pytest.mark.parametrize("shape", [(4, 1), (4, 7), (4, 3, 50)], ids=str)
    def test_one_number_tells(self, shape, bad, dtype):
        """Wherever it stands, in any chip, and the other chips are as they were."""
        generator = torch.Generator().manual_seed(0)
        for chip in range(4):
            for at in (0, -1):
                x = torch.randn(shape, generator=generator, dtype=dtype)
                assert finite(x).all()
                x.view(4, -1)[chip, at] = bad
                assert finite(x).tolist() == [each != chip for each in range(4)]

    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    def test_infinities_do_not_cancel(self, dtype):
        x = torch.tensor([[math.inf, -math.inf], [1.0, -1.0]], dtype=dtype)
        assert finite(x).tolist() == [False, True]

    def test_a_sum_beyond_the_largest_number(self):
        """As documented: numbers whose sum overflows count as not finite."""
        assert finite(torch.tensor([[3e38, 3e38], [3e38, 0.0]])).tolist() == [False, True]


class TestKeep:
    @pytest.mark.parametrize("bad", BAD)
    def test_only_sick_chips_are_as_before(self, bad):
        x, old = torch.randn(3, 2, 5), torch.randn(3, 2, 5)
        x[1] = bad
        kept = keep(torch.tensor([True, False, True]), x, old)
        assert torch.equal(kept, torch.stack([x[0], old[1], x[2]]))
        assert torch.equal(keep(torch.tensor([True, False, True]), x, 0.0)[1], torch.zeros(2, 5))

    def test_where_all_are_healthy_nothing_is_copied(self):
        x = torch.randn(3, 2)
        assert keep(torch.ones(3, dtype=torch.bool), x, 0.0) is x

    def test_where_none_is(self):
        x, old = torch.full((3, 2), math.nan), torch.randn(3, 2)
        assert torch.equal(keep(torch.zeros(3, dtype=torch.bool), x, old), old)


class TestFrozenChips:
    """Exact devices with a fixed range: what a step writes in one pass."""

    @staticmethod
    def train(lab, chips, bad=None, steps=6):
        """Three steps of health, then a target of the second chip is a bad number; what chips held at that time."""
        bench = lab.bench([4, 5, 3], lab.profile(read=1, bits=10), chips=chips, batch=5)
        controller = Controller(bench.rig, RULES["anp"](samples=3), bench.weights, torch.optim.Adam, 0.01)
        held = []
        for step in range(steps):
            if step == 3:
                held = [w.clone() for w in (*controller.copy.weights, *bench.chip.oracle.weights)]
                if bad is not None:
                    bench.task.targets[1, 2, 1] = bad
            controller.step()
        return bench, controller, held

    @pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "torch"])
    @pytest.mark.parametrize("bad", BAD)
    def test_the_others_go_on_as_if_alone(self, lab, bad, compiled, monkeypatch):
        """The frozen chip stays where it was, its devices are finite, and none of them is written any more."""
        if compiled and not threads.available:
            pytest.skip("loops are not compiled here")
        monkeypatch.setattr(threads, "available", compiled)
        bench, controller, held = self.train(lab, 3, bad)
        assert controller.diverged.tolist() == [False, True, False]
        for w, old in zip((*controller.copy.weights, *bench.chip.oracle.weights), held, strict=True):
            assert w.isfinite().all()
            assert torch.equal(w[1], old[1])
        for crossbar in bench.chip._layers:
            for cells in crossbar.array.pair.sides:
                assert cells.conductance.isfinite().all() and cells.target.isfinite().all()
        alone, sound, _ = self.train(lab, [0, 2])
        assert not sound.diverged.any()
        for a, b in zip(controller.copy.weights, sound.copy.weights, strict=True):
            torch.testing.assert_close(a[[0, 2]], b, rtol=1e-9, atol=1e-12)
        assert torch.equal(bench.chip.device_writes[[0, 2]], alone.chip.device_writes)
        assert bench.chip.device_writes[1] < bench.chip.device_writes[0]


class TestOptimizers:
    """The controller's choice of each: element-wise to the last bit, whatever else is in the tensor."""

    @staticmethod
    def steps(factory, weights, gradients):
        """Weights after some steps, stepped as a controller does."""
        parameter = whole_vectors(weights.clone())
        optimizer = factory([parameter], lr=0.01, **_suited(factory, CPU))
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
        fused = {name for name, factory in OPTIMIZERS.items() if _suited(factory, CPU) == {"fused": True}}
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
    def test_a_controller_steps_chips_as_alone(self, lab, name):
        """Two steps on given directions, float32: bit for bit the rows of a population of three."""
        found = []
        for chips in ([0, 1, 2], [2]):
            bench = lab.bench([11, 23, 7], chips=chips, dtype=torch.float32)
            controller = Controller(bench.rig, RULES["bp"](), bench.weights, OPTIMIZERS[name], 0.01)
            for step in range(5):
                numbers = [torch.Generator().manual_seed(100 * chip + step) for chip in chips]
                shapes = [w.shape[1:] for w in bench.weights]
                controller._move([torch.stack([torch.randn(s, generator=g) for g in numbers]) for s in shapes])
            found.append(controller.copy.weights)
        for together, alone, before in zip(*found, bench.weights, strict=True):
            assert torch.equal(together[2:], alone)
            assert not torch.equal(alone, before)
