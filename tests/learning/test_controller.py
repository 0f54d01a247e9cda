"""What a controller promises: silence changes nothing, chips do not touch each other, the copy stays in range."""

from __future__ import annotations

import pytest
import torch

from analogsim.chip import Mapping
from analogsim.errors import RuleError
from analogsim.learning import RULES, Controller, Decorrelation, WeightDecay, WeightNormalisation

BASELINES = ("clean", "shared", "pairs", "centred")
OPTIMIZERS = (torch.optim.SGD, torch.optim.Adam, torch.optim.RMSprop)
RULE_SETTINGS = [
    ("bp", {"backward": "transposed"}),
    ("bp", {"backward": "copy"}),
    ("np", {"sigma": 0.1}),
    ("np", {"sigma": 0.1, "samples": 3}),
    ("anp", {"baseline": "clean"}),
    ("anp", {"samples": 3}),
]
COMPANIONS = ({"normalisation": WeightNormalisation(gains=(3.0, 1.0))}, {"decay": WeightDecay(strength=0.1)})


def momentum(parameters, lr):
    """An optimiser whose memory would move a chip after its gradient has gone."""
    return torch.optim.SGD(parameters, lr=lr, momentum=0.9)


class TestSilence:
    @pytest.mark.parametrize("samples", [1, 5])
    @pytest.mark.parametrize("baseline", BASELINES)
    @pytest.mark.parametrize("optimizer", OPTIMIZERS)
    def test_anp_without_noise(self, lab, baseline, samples, optimizer):
        """Every update silent and counted, weights unchanged bit for bit, and no device written."""
        bench = lab.bench([6, 5, 3], chips=2, batch=4, loss="cross_entropy")
        controller = Controller(
            bench.rig, RULES["anp"](baseline=baseline, samples=samples), bench.weights, optimizer, 0.1
        )
        for _ in range(3):
            controller.step()
        assert controller.counters.vectors.tolist() == [12, 12]
        assert controller.counters.silent.tolist() == [12, 12]
        assert bench.chip.device_writes.tolist() == [0, 0]
        assert not controller.diverged.any()
        for now, before in zip(controller.copy.weights, bench.weights, strict=True):
            assert torch.equal(now, before)

    @pytest.mark.parametrize("batch", [1, 7, 50])
    @pytest.mark.parametrize("sizes", [[3, 300, 10], [65, 33, 17, 3], [257, 10]], ids=str)
    def test_rounding_is_no_information(self, lab, sizes, batch):
        """One chip of a noisy population has noise of 0 %, float32: it learns nothing.

        A product's last bits depend on how many rows it has, so this chip's baseline may differ from its probes.
        """
        for baseline in BASELINES:
            profile = lab.profile(read=[0, 1])
            bench = lab.bench(sizes, profile, chips=2, batch=batch, loss="cross_entropy", dtype=torch.float32)
            rule = RULES["anp"](baseline=baseline, samples=8)
            controller = Controller(bench.rig, rule, bench.weights, torch.optim.SGD, 0.1, chunk=3)
            controller.step()
            assert controller.counters.silent.tolist() == [batch, 0]
            for now, before in zip(controller.copy.weights, bench.weights, strict=True):
                assert torch.equal(now[0], before[0])
                assert not torch.equal(now[1], before[1])

    def test_noise_below_the_converters_resolution(self, lab):
        """Column noise of 1e-4 of a step: the digits do not move, so nothing is learned from them."""
        bench = lab.bench([6, 5, 3], lab.profile(column=1e-7, bits=8), chips=2, batch=4)
        controller = Controller(bench.rig, RULES["anp"](), bench.weights, torch.optim.SGD, 0.1)
        controller.step()
        assert controller.counters.silent.tolist() == [4, 4]
        assert bench.chip.device_writes.tolist() == [0, 0]

    @pytest.mark.parametrize("samples", [1, 3])
    @pytest.mark.parametrize("baseline", BASELINES)
    def test_silent_elements_are_counted_one_by_one(self, lab, baseline, samples):
        """Half of the batch does not move: that half is silent and gets no update, the other half is not touched."""
        bench = lab.bench([6, 5], lab.profile(read=2), chips=2, batch=4)
        rule = RULES["anp"](baseline=baseline, samples=samples)
        plan = rule.plan(bench.rig.network)
        bench.rig.next_batch()
        first = None if plan.baseline is None else bench.rig.run((plan.baseline,))[0].clone()
        probes = bench.rig.run(plan.probes, plan.samples)
        (still,) = (probes[0] if first is None else first).pre_activations
        probe = probes[-1]
        (moved,) = probe.pre_activations
        moved = torch.cat([still[:, :1, :2].expand_as(moved[:, :, :2]), moved[:, :, 2:]], dim=2)
        if baseline == "pairs":
            reference = torch.cat([still[:, :1, :2].expand_as(moved[:, :, :2]), still[:, :, 2:]], dim=2)
            probes = (probes[0]._replace(pre_activations=(reference,)), probe)
        probes = (*probes[:-1], probe._replace(pre_activations=(moved,)))
        ((update,), counters) = bench.update(rule, first, rule.estimate(first, probes, bench.rig.network))
        assert counters.vectors.tolist() == [4, 4]
        assert counters.silent.tolist() == [2, 2]
        assert not update.post[:, :2].any()
        assert update.post[:, 2:].all()

    @pytest.mark.parametrize("baseline", ["clean", "shared"])
    def test_one_silent_sample_is_not_a_silent_element(self, lab, baseline):
        """Of K = 3 samples the first did not move: it adds zero to the mean, and the element is not counted."""
        bench = lab.bench([6, 5], lab.profile(read=2), chips=2, batch=4)
        rule = RULES["anp"](baseline=baseline, samples=3)
        plan = rule.plan(bench.rig.network)
        bench.rig.next_batch()
        first = bench.rig.run((plan.baseline,))[0].clone()
        (probe,) = bench.rig.run(plan.probes, 3)
        later = type(probe)(probe.loss[:, 1:], pre_activations=(probe.pre_activations[0][:, 1:],))
        moved = torch.cat([first.pre_activations[0], later.pre_activations[0]], dim=1)
        probe = probe._replace(pre_activations=(moved,))
        found = []
        for probes in ((probe,), (later,)):
            updates, counters = bench.update(rule, first, rule.estimate(first, probes, bench.rig.network))
            assert counters.silent.tolist() == [0, 0]
            found.append(updates[0].post)
        torch.testing.assert_close(found[0], found[1] * 2 / 3)

    def test_np_is_never_silent(self, lab):
        bench = lab.bench([6, 5, 3], chips=2, batch=4)
        controller = Controller(bench.rig, RULES["np"](), bench.weights, torch.optim.SGD, 0.1)
        controller.step()
        assert controller.counters.silent.tolist() == [0, 0]
        assert (bench.chip.device_writes > 0).all()


class TestUpdates:
    @pytest.mark.parametrize(("name", "settings"), RULE_SETTINGS, ids=str)
    def test_batch_means_are_subtracted(self, lab, name, settings):
        """SGD: w - rate x mean over the batch of post pre^T, by naive loops over what the rule handed out."""
        bench = lab.bench([4, 3, 2], lab.profile(read=1), chips=2, batch=5)
        rule = RULES[name](**settings)
        seen = []

        class Watched:
            def __getattr__(self, attribute):
                return getattr(rule, attribute)

            def update(self, *arguments):
                seen.append(rule.update(*arguments))
                return seen[-1]

        controller = Controller(bench.rig, Watched(), bench.weights, torch.optim.SGD, 1e-3)
        controller.step()
        ((updates, _),) = seen
        for now, before, update in zip(controller.copy.weights, bench.weights, updates, strict=True):
            mean = torch.zeros_like(before)
            for c in range(2):
                for b in range(5):
                    mean[c] += torch.outer(update.post[c, b], update.pre[c, b]) / 5
            torch.testing.assert_close(now, before - 1e-3 * mean, rtol=1e-12, atol=1e-14)

    def test_a_step_goes_downhill(self, lab):
        """One SGD step of BP on ideal chips: the loss falls by rate x ||g||^2 to first order."""
        bench = lab.bench([4, 3, 2], chips=3, batch=5)
        _, gradients = bench.gradients()
        shifts = [torch.zeros(())] * 2
        before = bench.loss(bench.weights, shifts).mean(1)
        controller = Controller(bench.rig, RULES["bp"](), bench.weights, torch.optim.SGD, 1e-5)
        controller.step()
        fall = before - bench.loss(bench.chip.oracle.weights, shifts).mean(1)
        expected = 1e-5 * sum(g.square().sum((1, 2)) for g in gradients)
        torch.testing.assert_close(fall, expected, rtol=1e-2, atol=0)

    def test_chip_and_copy_agree_on_an_ideal_chip(self, lab):
        bench = lab.bench([4, 3, 2], chips=2, batch=5)
        controller = Controller(bench.rig, RULES["np"](), bench.weights, torch.optim.Adam, 0.01)
        for _ in range(3):
            controller.step()
        for copy, held in zip(controller.copy.weights, bench.chip.oracle.weights, strict=True):
            torch.testing.assert_close(copy, held, rtol=1e-12, atol=1e-14)

    @pytest.mark.parametrize("per", ["layer", "column"])
    def test_copy_is_clamped_to_what_devices_hold(self, lab, per):
        """A rate far too large: the copy ends within the limits, at some of them, and equals what the chip holds."""
        bench = lab.bench([4, 3, 2], chips=2, batch=5, mapping=Mapping("fixed", per))
        controller = Controller(bench.rig, RULES["bp"](), bench.weights, torch.optim.SGD, 100.0)
        controller.step()
        assert not controller.diverged.any()
        touched = 0
        limits = bench.rig.limits.weights
        for w, limit, held in zip(controller.copy.weights, limits, bench.chip.oracle.weights, strict=True):
            assert (w.abs() <= limit).all()
            touched += int((w.abs() == limit).sum())
            torch.testing.assert_close(held, w, rtol=1e-12, atol=0)
        assert touched > 10


class TestRates:
    RATES = (0.1, 0.013, 1e-4)

    def compare(self, lab, name, settings, optimizer, **companions):
        """Chips with a rate each equal the same chips of a population that has only that rate."""

        def train(rates):
            bench = lab.bench([4, 5, 3], lab.profile(read=1), chips=3, batch=5)
            controller = Controller(
                bench.rig,
                RULES[name](**settings),
                bench.weights,
                optimizer,
                rates,
                Decorrelation(rate=1e-3),
                **companions,
            )
            for _ in range(4):
                controller.step()
            return [*controller.copy.weights, *controller.copy.periphery.decorrelation]

        each = train(self.RATES)
        for chip, rate in enumerate(self.RATES):
            for a, b in zip(each, train(rate), strict=True):
                torch.testing.assert_close(a[chip], b[chip], rtol=1e-9, atol=1e-12)

    @pytest.mark.parametrize("optimizer", [*OPTIMIZERS, momentum, torch.optim.AdamW])
    @pytest.mark.parametrize(("name", "settings"), [RULE_SETTINGS[0], RULE_SETTINGS[3], RULE_SETTINGS[5]], ids=str)
    def test_each_chip_trains_as_with_its_rate_alone(self, lab, name, settings, optimizer):
        self.compare(lab, name, settings, optimizer)

    @pytest.mark.parametrize("companion", COMPANIONS, ids=str)
    def test_so_do_its_companions(self, lab, companion):
        self.compare(lab, "anp", {"samples": 3}, torch.optim.Adam, **companion)

    def test_a_chip_trains_as_it_does_alone(self, lab):
        """Chip 2 of a population and chip 2 built alone."""

        def train(chips, rates):
            bench = lab.bench([4, 5, 3], lab.profile(read=1, bits=10), chips=chips, batch=5)
            rule = RULES["anp"](samples=4)
            controller = Controller(bench.rig, rule, bench.weights, torch.optim.Adam, rates, chunk=2)
            for _ in range(4):
                controller.step()
            return controller.copy.weights

        for a, b in zip(train(3, self.RATES), train([2], self.RATES[2]), strict=True):
            torch.testing.assert_close(a[2:], b, rtol=1e-9, atol=1e-12)

    @pytest.mark.parametrize("rates", [[0.1, 0.1], [0.1] * 4, 0.0, [0.1, -1.0, 0.1], [0.1, float("inf"), 0.1]])
    def test_rates_that_make_no_sense_are_refused(self, lab, rates):
        bench = lab.bench([4, 5], chips=3)
        with pytest.raises(ValueError, match=r"learning rate.*got"):
            Controller(bench.rig, RULES["bp"](), bench.weights, torch.optim.SGD, rates)


class TestDivergence:
    """A chip that is driven to inf or NaN is frozen with finite weights; the others do not notice."""

    @staticmethod
    def train(lab, rates, name, settings, optimizer, dtype=torch.float64, decorrelation=None, steps=12):
        mapping = Mapping("follow")
        bench = lab.bench([4, 5, 3], lab.profile(read=1), chips=3, batch=5, mapping=mapping, dtype=dtype)
        controller = Controller(bench.rig, RULES[name](**settings), bench.weights, optimizer, rates, decorrelation)
        for _ in range(steps):
            controller.step()
        return bench, controller

    @pytest.mark.parametrize("optimizer", [torch.optim.SGD, momentum, torch.optim.Adam])
    @pytest.mark.parametrize(("name", "settings"), RULE_SETTINGS, ids=str)
    def test_one_chip_diverges(self, lab, name, settings, optimizer):
        """Rates of 1e200 (Adam 1e160: its steps do not grow): squares overflow at once."""
        absurd = 1e160 if optimizer is torch.optim.Adam else 1e200
        bench, controller = self.train(lab, [1e-3, absurd, 2e-3], name, settings, optimizer)
        assert controller.diverged.tolist() == [False, True, False]
        for w, held in zip(controller.copy.weights, bench.chip.oracle.weights, strict=True):
            assert w.isfinite().all()
            assert held.isfinite().all()
        _, sound = self.train(lab, [1e-3, 1e-3, 2e-3], name, settings, optimizer)
        assert not sound.diverged.any()
        for a, b in zip(controller.copy.weights, sound.copy.weights, strict=True):
            for chip in (0, 2):
                torch.testing.assert_close(a[chip], b[chip], rtol=1e-7, atol=1e-10)
            assert not torch.equal(a[1], b[1])

    def test_a_step_beyond_the_largest_number(self, lab):
        """Float32: rate x direction overflows in the optimiser although loss and direction are finite."""
        bench = lab.bench([4, 5, 3], chips=3, batch=5, mapping=Mapping("follow"), dtype=torch.float32)
        bench.task.targets[1] = 1e4
        controller = Controller(bench.rig, RULES["bp"](), bench.weights, torch.optim.SGD, [1e-3, 1e36, 1e-3])
        controller.step()
        assert bench.rig.training_loss().isfinite().all()
        assert controller.diverged.tolist() == [False, True, False]
        for w, held, before in zip(controller.copy.weights, bench.chip.oracle.weights, bench.weights, strict=True):
            assert held.isfinite().all()
            assert torch.equal(w[1], before[1]), "frozen where it was"
            assert not torch.equal(w[0], before[0])

    @pytest.mark.parametrize("optimizer", [momentum, torch.optim.Adam, torch.optim.AdamW])
    def test_a_frozen_chip_stays_where_it_is(self, lab, optimizer):
        """Neither an optimiser's memory nor its weight decay moves it, and no device of it is written any more."""
        bench, controller = self.train(lab, [1e-3, 1e160, 2e-3], "np", {}, optimizer)
        assert controller.diverged.tolist() == [False, True, False]
        before = [w.clone() for w in controller.copy.weights]
        written = bench.chip.device_writes.clone()
        for _ in range(3):
            controller.step()
        for w, old in zip(controller.copy.weights, before, strict=True):
            assert torch.equal(w[1], old[1])
            assert not torch.equal(w[0], old[0])
        assert bench.chip.device_writes[1] == written[1]
        assert (bench.chip.device_writes > written).tolist() == [True, False, True]

    @pytest.mark.parametrize(
        ("name", "settings"),
        [("bp", {}), ("anp", {"baseline": "pairs", "samples": 3}), ("anp", {})],
        ids=str,
    )
    def test_a_loss_that_is_not_finite(self, lab, name, settings):
        """Float32, fixed range: BP's step would end at the range's end, and a silent ANP's nowhere. None is made."""
        bench = lab.bench([4, 3], chips=3, batch=5, dtype=torch.float32)
        bench.task.targets[1] = 1e30
        controller = Controller(bench.rig, RULES[name](**settings), bench.weights, torch.optim.SGD, 0.1)
        controller.step()
        assert controller.diverged.tolist() == [False, True, False]
        assert torch.equal(controller.copy.weights[0][1], bench.weights[0][1])

    def test_an_update_that_is_not_finite(self, lab):
        """Float32, fixed range: the loss is finite, the product of error and input is not."""
        bench = lab.bench([4, 3], chips=3, batch=5, dtype=torch.float32)
        bench.task.inputs[1], bench.task.targets[1] = 1e25, 1e15
        bench.weights[0][1] = 0.0
        bench.chip.program(bench.weights)
        controller = Controller(bench.rig, RULES["bp"](), bench.weights, torch.optim.SGD, [1.0, 0.1, 1.0])
        controller.step()
        assert bench.rig.training_loss().isfinite().all()
        assert controller.diverged.tolist() == [False, True, False]
        assert torch.equal(controller.copy.weights[0][1], bench.weights[0][1])

    def test_decorrelation_that_runs_away(self, lab):
        """R grows to overflow where losses are finite still: its chips are frozen with a finite R."""
        bench = lab.bench([4, 3], chips=3, batch=5, loss="cross_entropy", dtype=torch.float32)
        rates = torch.optim.SGD, 1e-30, Decorrelation(rate=100)
        controller = Controller(bench.rig, RULES["bp"](), bench.weights, *rates)
        for _ in range(12):
            controller.step()
        assert bench.rig.training_loss().isfinite().all(), "the losses do not tell"
        assert controller.diverged.all()
        for each in (*controller.copy.weights, *controller.copy.periphery.decorrelation, *bench.chip.oracle.weights):
            assert each.isfinite().all()

    def test_healthy_chips_are_not_frozen(self, lab):
        _, controller = self.train(lab, 0.01, "np", {}, torch.optim.Adam, decorrelation=Decorrelation())
        assert not controller.diverged.any()


def test_a_state_of_another_version_of_a_rule_is_refused(lab):
    bench = lab.bench([4, 3], lab.profile(read=1))
    controller = Controller(bench.rig, RULES["np"](), bench.weights, torch.optim.SGD, 0.1)
    with pytest.raises(RuleError, match="rule 'np': its state does not fit the one that was saved"):
        controller.recall({"rule": {"vectors": torch.zeros(1)}})
