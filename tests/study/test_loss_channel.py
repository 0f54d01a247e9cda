"""The loss channel: levels, noise, losses that come late, and what they do to learning."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest
import torch
from scipy import stats

from analogsim.chip import Chip
from analogsim.learning import RULES, Controller
from analogsim.network import Network
from analogsim.port import Access, Injection, Pass
from analogsim.study.loss_channel import LossChannelSettings
from analogsim.study.rig import Rig
from analogsim.tasks import LOSSES
from device_models import DeviceProfile

F64 = torch.float64
PROFILE = DeviceProfile.from_data({"name": "bench", "conductance": {"min": "0 uS", "max": "25 uS"}})
ORACLE = Access.CLEAN_PASS | Access.OUTPUT_ERROR | Access.TRANSPOSED_READ


@dataclass
class Batches:
    """A task whose batches are independent of each other, or always the same."""

    chips: int
    batch: int
    constant: bool = False
    loss: object = LOSSES["squared"]
    given: int = 0
    _generator: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(3))

    def next_batch(self):
        if self.constant:
            self._generator.manual_seed(3)
        draw = torch.randn(self.chips, self.batch, 7, generator=self._generator, dtype=F64)
        return draw[..., :4], draw[..., 4:]


def rig(channel=None, chips=2, batch=5, sizes=(4, 3), profile=PROFILE, **options):
    network = Network.mlp(sizes)
    chip = Chip(network, profile, chips, dtype=F64)
    weights = network.initial_weights("he_normal", [torch.Generator().manual_seed(c) for c in range(chips)])
    weights = [w.to(F64) for w in weights]
    chip.program(weights)
    channel = None if channel is None else LossChannelSettings(**channel)
    return Rig(chip, Batches(chips, batch, **options), ORACLE, channel=channel), weights


def run(made, *passes, samples=1):
    made.next_batch()
    return made.run(passes or (Pass(),), samples)


PROBE = Pass(inject=Injection(0.1), record=frozenset({"inputs", "injected", "pre_activations"}))


class TestLevels:
    @pytest.mark.parametrize(("bits", "top"), [(1, 1.0), (3, 2.5), (8, 4.0)])
    def test_they_are_exact(self, bits, top):
        """Every loss is one of k range / (2^bits - 1), the nearest; those beyond the range are at its end."""
        (true,) = run(rig(batch=200)[0])
        (told,) = run(rig({"bits": bits, "range": top}, batch=200)[0])
        levels = torch.arange(2**bits, dtype=F64) * (top / (2**bits - 1))
        nearest = (true.loss[..., None] - levels).abs().argmin(-1)
        torch.testing.assert_close(told.loss, levels[nearest], rtol=1e-14, atol=0)
        assert (true.loss > top).any() and (true.loss < top).any()
        assert told.loss.unique().numel() > min(2**bits - 1, 40)

    def test_a_negative_loss_is_zero(self):
        """Noise of 100 on a range of 1: half of the losses are at either end."""
        (told,) = run(rig({"bits": 4, "range": 1.0, "sigma": 100.0}, batch=500)[0])
        ends = [float((told.loss == end).double().mean()) for end in (0.0, 1.0)]
        assert all(0.4 < share < 0.6 for share in ends)


class TestNoise:
    def test_its_variance(self):
        """sigma 0.3 on each sample and pass, independent: n = 2 chips x 50 samples x 2 passes x 40 elements."""
        made = [rig(channel, batch=40)[0] for channel in (None, {"sigma": 0.3})]
        true, told = (run(each, PROBE, Pass(), samples=50) for each in made)
        z = torch.stack([b.loss - a.loss for a, b in zip(true, told, strict=True)]) / 0.3
        low, high = stats.chi2.interval(1 - 1e-4, z.numel())
        assert low < float(z.square().sum()) < high
        for a, b in ((z[0], z[1]), (z[:, 0], z[:, 1]), (z[:, :, 0], z[:, :, 1]), (z[..., 0], z[..., 1])):
            assert abs(float((a * b).mean())) < stats.norm.isf(1e-4 / 8) / math.sqrt(a.numel())

    def test_clean_passes_have_none(self):
        made = [rig(channel)[0] for channel in (None, {"sigma": 0.3})]
        (clean, noisy), (told_clean, told_noisy) = (run(each, Pass(clean=True), Pass()) for each in made)
        assert torch.equal(clean.loss, told_clean.loss)
        assert not torch.equal(noisy.loss, told_noisy.loss)

    def test_samples_in_several_calls_have_the_same_noise(self):
        at_once = rig({"sigma": 0.3})[0]
        (first,) = run(at_once, samples=5)
        in_parts = rig({"sigma": 0.3})[0]
        in_parts.next_batch()
        parts = [in_parts.run((Pass(),), samples)[0].loss for samples in (2, 3)]
        assert torch.equal(first.loss, torch.cat(parts, dim=1))

    def test_np_update_variance(self):
        """NP: the noise of two losses makes dg = (n_1 - n_0) eps / sigma^2 of each sample and unit, as predicted.

        Exact for each perturbation, and its variance 2 s^2 / sigma^2: n = 2 chips x 2000 elements.
        """
        s, sigma, batch = 0.2, 0.1, 2000
        rule = RULES["np"](sigma=sigma)
        found, losses, eps = [], [], None
        for channel in (None, {"sigma": s}):
            made, _ = rig(channel, batch=batch)
            made.next_batch()
            plan = rule.plan(made.network)
            seen = made.run((plan.baseline, *plan.probes))
            found.append(rule.estimate(seen[0], seen[1:], made.network).directions[0])
            losses.append((seen[1].loss - seen[0].loss)[:, 0])
            eps = seen[1].injected[0][:, 0]
        n = losses[1] - losses[0]
        off = found[1] - found[0]
        torch.testing.assert_close(off, n[..., None] * eps / sigma**2, rtol=1e-9, atol=1e-11)
        low, high = stats.chi2.interval(1 - 1e-4, n.numel())
        assert low < float((n.square() / (2 * s**2)).sum()) < high
        # product of two Gaussians, of variance 2 s^2 / sigma^2; its square has a coefficient of variation of sqrt(8)
        scaled = off.square() / (2 * s**2 / sigma**2)
        assert abs(float(scaled.mean()) - 1) < stats.norm.isf(0.5e-4) * math.sqrt(8 / scaled[..., 0].numel())

    def test_anp_update_variance(self):
        """ANP: dg = N (n_1 - n_0) da / ||da||^2, so ||dg||^2 ||da||^2 / N^2 has the mean 2 s^2: n = 2 x 2000."""
        s, batch = 0.2, 2000
        rule = RULES["anp"](sigma=0.1)
        found, da = [], None
        for channel in (None, {"sigma": s}):
            made, _ = rig(channel, batch=batch, sizes=(4, 6, 3))
            made.next_batch()
            plan = rule.plan(made.network)
            seen = made.run((plan.baseline, *plan.probes))
            found.append(torch.cat(rule.estimate(seen[0], seen[1:], made.network).directions, dim=2))
            da = torch.cat([(b - a)[:, 0] for a, b in zip(seen[0][2], seen[1][2], strict=True)], dim=2)
        off = (found[1] - found[0]).square().sum(2) * da.square().sum(2) / 9**2
        low, high = stats.chi2.interval(1 - 1e-4, off.numel())
        assert low < float((off / (2 * s**2)).sum()) < high


class TestLate:
    def test_losses_of_earlier_steps_arrive(self):
        """Step t is told the loss of step t - 3 in each run, pass, sample and element, and 0 in the first three."""
        true, late = rig()[0], rig({"delay": 3, "mispaired": True})[0]
        sent, told = [], []
        for _ in range(8):
            for made, kept in ((true, sent), (late, told)):
                made.next_batch()
                runs = [*made.run((Pass(), PROBE), 2), *made.run((PROBE,), 3)]
                kept.append([each.loss.clone() for each in runs])
        for step, losses in enumerate(told):
            for index, loss in enumerate(losses):
                expected = torch.zeros_like(loss) if step < 3 else sent[step - 3][index]
                assert torch.equal(loss, expected)
        assert torch.equal(true.training_loss(), late.training_loss()), "reported losses are the true ones"

    @pytest.mark.parametrize("channel", [{}, {"delay": 5}])
    def test_nothing_to_do_hands_over_the_same(self, channel):
        """A delay that the learner knows of is the learner's."""
        for a, b in zip(*(run(rig(each)[0], Pass(), PROBE) for each in (None, channel)), strict=True):
            assert torch.equal(a.loss, b.loss)

    def test_a_delay_that_the_learner_knows_of_makes_no_loss_late(self):
        """Also where the channel rounds: the hardware hands over this step's losses, the learner waits."""
        made = [rig({"bits": 8, "range": 4.0, **late})[0] for late in ({}, {"delay": 2})]
        for _ in range(3):
            for a, b in zip(*(run(each, Pass(), PROBE) for each in made), strict=True):
                assert torch.equal(a.loss, b.loss)

    @pytest.mark.parametrize("channel", [None, {"delay": 2, "mispaired": True}], ids=["paired", "mispaired"])
    def test_mispaired_np_learns_nothing_in_the_mean(self, channel):
        """4,000 chips with equal weights, independent batches: t tests of the mean update of all 15 weights.

        Paired with its own activities the mean is far from zero; with those of another batch it is none.
        """
        chips, rule = 4000, RULES["np"](sigma=0.1)
        made, weights = rig(channel, chips=chips, batch=2)
        weights = [w[:1].repeat(chips, 1, 1) for w in weights]
        made.chip.program(weights)
        seen = []

        class Watched:
            def __getattr__(self, name):
                return getattr(rule, name)

            def update(self, *arguments):
                updates, state = rule.update(*arguments)
                seen.append(updates[0].direction().clone())
                return updates, state

        controller = Controller(made, Watched(), weights, torch.optim.SGD, 1e-30)
        for _ in range(3):
            controller.step()
        if channel is not None:
            assert not seen[0].any() and not seen[1].any(), "nothing has arrived yet"
        t = seen[2].mean(0) / (seen[2].std(0) / math.sqrt(chips))
        bound = stats.t.isf(1e-4 / 2 / t.numel(), chips - 1)
        assert (t.abs().amax() < bound) if channel else (t.abs().amax() > 3 * bound)


class TestSettings:
    @pytest.mark.parametrize(
        ("channel", "message"),
        [
            ({"bits": 4}, "give range, too"),
            ({"range": 2.0}, "give bits, too"),
            ({"bits": 0, "range": 1.0}, "bits"),
            ({"bits": 4, "range": 0.0}, "range"),
            ({"sigma": -1.0}, "sigma"),
            ({"delay": -1}, "delay"),
            ({"delay": 1.5}, "delay"),
            ({"lag": 1}, "lag"),
        ],
    )
    def test_nonsense_is_refused(self, channel, message):
        with pytest.raises(ValueError, match=message):
            LossChannelSettings(**channel)

    def test_who_waits(self):
        assert LossChannelSettings(delay=3).waiting == 3
        assert LossChannelSettings(delay=3, mispaired=True).waiting == 0
