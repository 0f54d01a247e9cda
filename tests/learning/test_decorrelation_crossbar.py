"""R on crossbars of its own: what it reads, what it costs, what goes back through it."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from analogsim.chip import Chip, Mapping
from analogsim.learning import RULES, Controller, Decorrelation
from analogsim.network import Network
from analogsim.port import Pass, Periphery
from analogsim.randomness import Purpose
from device_models import DeviceProfile

F64 = torch.float64
RECORD = frozenset({"inputs", "pre_activations", "signals"})
SETTINGS = [("bp", {}), ("bp", {"backward": "copy"}), ("np", {}), ("np", {"samples": 3}), ("anp", {"sigma": 0.1})]


def matrices(chips, *sizes, spread=0.2):
    generator = torch.Generator().manual_seed(7)
    draws = [torch.randn(chips, n, n, generator=generator, dtype=F64) for n in sizes]
    return tuple(torch.eye(n, dtype=F64) + spread * r for n, r in zip(sizes, draws, strict=True))


class TestIdeal:
    @pytest.mark.parametrize("per", ["layer", "column"])
    @pytest.mark.parametrize("range_", ["fixed", "follow"])
    @pytest.mark.parametrize(("name", "settings"), SETTINGS, ids=str)
    def test_it_equals_a_digital_r(self, lab, name, settings, range_, per):
        """Five steps on ideal chips: weights, R and losses are those of the digital R, to rounding (float64)."""

        def train(where):
            bench = lab.bench([5, 4, 3], chips=2, batch=6, mapping=Mapping(range_, per))
            controller = Controller(
                bench.rig,
                RULES[name](**settings),
                bench.weights,
                torch.optim.SGD,
                0.01,
                Decorrelation(rate=0.05, kappa=0.3, preserve_power=True, where=where),
            )
            for _ in range(5):
                controller.step()
            return [*controller.copy.weights, *controller.copy.periphery.decorrelation, bench.rig.training_loss()]

        for a, b in zip(train("crossbar"), train("digital"), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)

    def test_only_the_layers_that_have_one(self, lab):
        """A layer without R has no crossbar: its inputs come as they are, and it writes nothing for it."""
        bench = lab.bench([5, 4, 3], chips=2, batch=6)
        _, second = matrices(2, 5, 4)
        bench.rig.set_periphery(Periphery((None, second), True))
        bench.rig.next_batch()
        (seen,) = bench.rig.run((Pass(record=RECORD),))
        assert torch.equal(seen.inputs[0][:, 0, :, :5], bench.task.inputs)
        torch.testing.assert_close(seen.inputs[1][:, 0, :, :4], seen.signals[1][:, 0] @ second.transpose(1, 2))
        assert [limit if limit is None else tuple(limit.shape) for limit in bench.rig.limits.decorrelation] == [
            None,
            (2, 1, 1),
        ]


class TestNoise:
    def test_its_variance_is_that_of_the_devices(self, lab):
        """Additive noise of 2 % of G_max on each device: Var x*_i = 2 (0.02 r_max)^2 ||x||^2, n = 2 x 2000 x 6 x 5.

        r_max is twice the largest entry that was programmed first, and a pair has two devices. Digital R has none.
        """
        bench = lab.bench([5, 4], lab.profile(read=2), chips=2, batch=6)
        r = matrices(2, 5)
        samples = 2000
        for crossbar in (False, True):
            bench.rig.set_periphery(Periphery(r, crossbar))
            bench.rig.next_batch()
            (seen,) = bench.rig.run((Pass(record=RECORD),), samples)
            x = bench.task.inputs
            noise = seen.inputs[0][..., :5] - (x @ r[0].transpose(1, 2))[:, None]
            if not crossbar:
                assert noise.abs().amax() < 1e-12
                continue
            largest = 2 * r[0].abs().amax(dim=(1, 2))
            torch.testing.assert_close(bench.rig.limits.decorrelation[0].flatten(), largest)
            sd = 0.02 * 2**0.5 * largest[:, None] * x.square().sum(2).sqrt()
            z = noise / sd[:, None, :, None]
            n = z.numel()
            low, high = stats.chi2.interval(1 - 1e-4, n)
            assert low < float(z.square().sum()) < high
            assert abs(float(z.mean())) < stats.norm.isf(0.5e-4) / n**0.5
            assert (z[:, 0] - z[:, 1]).abs().amin() > 0, "every pass is another read"

    def test_clean_passes_have_none(self, lab):
        bench = lab.bench([5, 4], lab.profile(read=2), chips=2, batch=6)
        r = matrices(2, 5)
        bench.rig.set_periphery(Periphery(r, True))
        bench.rig.next_batch()
        (seen,) = bench.rig.run((Pass(clean=True, record=RECORD),))
        torch.testing.assert_close(seen.inputs[0][:, 0, :, :5], bench.task.inputs @ r[0].transpose(1, 2))

    def test_layers_and_their_r_draw_their_own_numbers(self, lab):
        """The noise of W's reads is the same with R on a crossbar: the outputs differ by what R's noise makes of it."""
        found = []
        for crossbar in (False, True):
            bench = lab.bench([5, 5], lab.profile(read=2), chips=1, batch=6)
            bench.rig.set_periphery(Periphery((torch.eye(5, dtype=F64)[None],), crossbar))
            bench.rig.next_batch()
            (seen,) = bench.rig.run((Pass(record=RECORD),))
            x, w = seen.inputs[0][:, 0], bench.weights[0]
            sd = 0.02 * 2**0.5 * bench.rig.limits.weights[0] * x.square().sum(2, keepdim=True).sqrt()
            found.append((seen.pre_activations[0][:, 0] - x @ w.transpose(1, 2)) / sd)
        torch.testing.assert_close(found[0], found[1])

    def test_converters_round_what_is_observed(self, lab):
        """6 bits: x* has been an ADC's code of R's crossbar and then a DAC's of W's."""
        bench = lab.bench([5, 4], lab.profile(bits=6, dac=4, adc=4), chips=2, batch=6)
        r = matrices(2, 5)
        bench.rig.set_periphery(Periphery(r, True))
        bench.rig.next_batch()
        (seen,) = bench.rig.run((Pass(record=RECORD),))
        step = 4 / 31

        def rounded(x):
            return (x.clamp(-4, 4) / step).round() * step

        by_hand = rounded(rounded(rounded(bench.task.inputs) @ r[0].transpose(1, 2)))
        torch.testing.assert_close(seen.inputs[0][:, 0, :, :5], by_hand)


class TestWrites:
    def test_changes_are_written_and_counted(self, lab):
        """An unchanged R writes nothing, one changed entry one pair, and the first programming does not count."""
        bench = lab.bench([5, 4, 3], chips=2, batch=6)
        first, second = matrices(2, 5, 4)
        bench.rig.set_periphery(Periphery((first, second), True))
        assert bench.chip.device_writes.tolist() == [0, 0]
        bench.rig.set_periphery(Periphery((first.clone(), second.clone()), True))
        assert bench.chip.device_writes.tolist() == [0, 0]
        changed = second.clone()
        changed[1, 2, 3] += 0.1
        bench.rig.set_periphery(Periphery((first, changed), True))
        assert bench.chip.device_writes.tolist() == [0, 1]
        bench.rig.set_periphery(Periphery((first + 0.01, changed), True))
        assert bench.chip.device_writes.tolist() == [25, 26]

    def test_a_digital_r_writes_nothing(self, lab):
        bench = lab.bench([5, 4], chips=2, batch=6)
        for r in (matrices(2, 5), matrices(2, 5, spread=0.4)):
            bench.rig.set_periphery(Periphery(r))
        assert bench.chip.device_writes.tolist() == [0, 0]
        assert bench.rig.limits.decorrelation == ()

    def test_the_controllers_r_stays_within_the_range(self, lab):
        """R = I is programmed first, so no entry can go beyond 2: nor does it in the controller's record."""
        bench = lab.bench([5, 4], chips=2, batch=6)
        bench.task.inputs.mul_(0.01)  # whitening would bring R to about 100
        settings = Decorrelation(rate=0.5, kappa=0.5, where="crossbar")
        controller = Controller(bench.rig, RULES["bp"](), bench.weights, torch.optim.SGD, 1e-3, settings)
        for _ in range(12):
            controller.step()
        (r,) = controller.copy.periphery.decorrelation
        assert r.abs().amax() == 2.0
        bench.rig.next_batch()
        (seen,) = bench.rig.run((Pass(record=RECORD),))
        torch.testing.assert_close(seen.inputs[0][:, 0, :, :5], bench.task.inputs @ r.transpose(1, 2))

    def test_programming_noise(self):
        """Every write misses by 0.5 uS on each device: errors of R of 0.5 sqrt(2) / 20 r_max, n = 2 x 4 x 10 x 10.

        G_min is ten standard deviations, so nothing is clamped. No entry changes its sign with the second write: one
        device of each pair rests and keeps its error, the other's is drawn anew, so the errors have correlation 1/2.
        """
        data = {"name": "p", "conductance": {"min": "5 uS", "max": "25 uS"}}
        data["programming"] = {"kind": "constant", "sigma": "0.5 uS"}
        network, chips = Network.mlp([10, 2]), 4
        chip = Chip(network, DeviceProfile.from_data(data), chips, dtype=F64)
        chip.program(network.initial_weights("he_normal", [torch.Generator().manual_seed(c) for c in range(chips)]))
        x, off = torch.eye(10, dtype=F64).expand(chips, 10, 10), []
        for r in matrices(chips, 10)[0], matrices(chips, 10, spread=0.3)[0]:
            chip.write_decorrelation([r])
            trace = chip.forward(x, periphery=Periphery((r,), True))
            off.append(trace.inputs[0][:, 0, 0, :, :10].transpose(1, 2) - r)
        z = torch.stack(off) / (0.5 * 2**0.5 / 20 * chip.limits.decorrelation[0])
        low, high = stats.chi2.interval(1 - 1e-4, z.numel())
        assert low < float(z.square().sum()) < high
        assert abs(float((z[0] * z[1]).mean()) - 0.5) < stats.norm.isf(0.5e-4) * (1.25 / z[0].numel()) ** 0.5


class TestBackward:
    @pytest.mark.parametrize("programmed_off", [False, True])
    def test_derivatives_go_through_the_r_that_was_asked_for(self, lab, programmed_off):
        """g_1 = f'(a_1) R_2^T W_2^T g_2 with the controller's R_2, whatever its devices hold."""
        bench = lab.bench([5, 4, 3], chips=2, batch=6)
        r = matrices(2, 5, 4)
        if programmed_off:
            bench.rig.set_periphery(Periphery(matrices(2, 5, 4, spread=0.1), True))
            bench.chip.write_decorrelation = lambda *_, **__: False  # what is asked for no longer arrives
        bench.rig.set_periphery(Periphery(r, True))
        bench.rig.next_batch()
        (seen,) = bench.rig.run((Pass(record=RECORD | {"output_error"}),))
        inputs, activities = ([each[:, 0] for each in layers] for layers in (seen.inputs, seen.pre_activations))
        found, last = bench.rig.backward(seen.output_error[:, 0], tuple(inputs), tuple(activities))
        slope = bench.rig.network.layers[0].activation.derivative(activities[0])
        torch.testing.assert_close(found, slope * (last @ bench.weights[1][:, :, :4] @ r[1]))

    def test_on_ideal_chips_it_is_the_gradient(self, lab):
        bench = lab.bench([5, 4, 3], chips=2, batch=6)
        r = matrices(2, 5, 4)
        bench.rig.set_periphery(Periphery(r, True))
        bench.rig.next_batch()
        (seen,) = bench.rig.run((Pass(record=RECORD | {"output_error"}),))
        inputs, activities = ([each[:, 0] for each in layers] for layers in (seen.inputs, seen.pre_activations))
        found = bench.rig.backward(seen.output_error[:, 0], tuple(inputs), tuple(activities))
        for a, b in zip(found, bench.gradients(r)[0], strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


class TestTime:
    DRIFTING = DeviceProfile.from_data(
        {
            "name": "d",
            "conductance": {"min": "0 uS", "max": "25 uS"},
            "drift": {"kind": "constant", "t0": "1 s", "mean": 0.1},
        }
    )

    def test_r_drifts_and_is_compensated_like_any_layer(self, lab):
        """After 1000 s all conductances are 1000^-0.1 of what they were; compensation brings them back exactly."""
        bench = lab.bench([5, 4], self.DRIFTING, chips=2, batch=6)
        r = matrices(2, 5)
        bench.rig.set_periphery(Periphery(r, True))

        def held(now):
            trace = bench.chip.forward(bench.task.inputs, periphery=Periphery(r, True), now=now)
            return trace.inputs[0][:, 0, 0, :, :5]

        fresh = held(0.0)
        bench.chip.take_reference(0.0)
        torch.testing.assert_close(held(1000.0), fresh * 1000**-0.1)
        factors = bench.chip.compensate(1000.0)
        assert factors.shape == (2, 2)
        torch.testing.assert_close(held(1000.0), fresh)

    def test_calibrated_converters_cover_r(self, lab):
        """Its ADCs are calibrated when its crossbars are made, by training inputs, and read without saturating."""
        profile = DeviceProfile.from_data(
            {
                "name": "c",
                "conductance": {"min": "0 uS", "max": "25 uS"},
                "dac": {"bits": 10, "range": 6},
                "adc": {"bits": 10, "range": "calibrated"},
            }
        )
        bench = lab.bench([5, 4, 3], profile, chips=2, batch=6)
        bench.task.first_inputs = lambda count: bench.task.inputs
        bench.rig.calibrate()
        r = matrices(2, 5, 4)
        bench.rig.set_periphery(Periphery(r, True))
        bench.rig.next_batch()
        (seen,) = bench.rig.run((Pass(record=RECORD),))
        expected = bench.task.inputs @ r[0].transpose(1, 2)
        assert (seen.inputs[0][:, 0, :, :5] - expected).abs().amax() < 0.1
        other = bench.chip.streams.state_dict()["starts"]
        assert other[Purpose.CALIBRATION.name] == 0
