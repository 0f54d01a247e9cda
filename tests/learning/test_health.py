"""Health of a population: which chips are finite, and who is frozen."""

from __future__ import annotations

import math

import pytest
import torch

from analogsim.learning import RULES, Controller
from analogsim.learning.health import finite, keep
from device_models import threads

DTYPES = [torch.float32, torch.float64]
BAD = [math.nan, math.inf, -math.inf]


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
