"""A learner that waits for its losses: the same updates, later."""

from __future__ import annotations

import io

import pytest
import torch

from analogsim.learning import RULES, Controller, Decorrelation

SETTINGS = [
    ("bp", {"backward": "transposed"}),
    ("bp", {"backward": "copy"}),
    ("np", {}),
    ("np", {"samples": 3}),
    ("np", {"baseline": "two_sided"}),
    ("anp", {}),
    ("anp", {"baseline": "pairs", "samples": 2}),
    ("anp", {"samples": 3}),
]
EVERY = [*SETTINGS, *((name, {}) for name in RULES if name not in ("bp", "np", "anp"))]


class Watched:
    """A rule that keeps its updates."""

    def __init__(self, rule):
        self._rule, self.seen = rule, []

    def __getattr__(self, name):
        return getattr(self._rule, name)

    def update(self, *arguments):
        updates, state = self._rule.update(*arguments)
        self.seen.append([update.direction().clone() for update in updates])
        return updates, state


def controller(lab, name, settings, delay, rate=1e-30, chunk=None, decorrelation=None):
    bench = lab.bench([5, 4, 3], lab.profile(read=1, bits=10), chips=2, batch=4)
    rule = Watched(RULES[name](**settings))
    sgd = torch.optim.SGD
    return bench, rule, Controller(bench.rig, rule, bench.weights, sgd, rate, decorrelation, chunk, delay=delay)


@pytest.mark.parametrize("delay", [1, 3])
@pytest.mark.parametrize(("name", "settings"), SETTINGS, ids=str)
def test_on_frozen_weights_updates_are_shifted(lab, name, settings, delay):
    """A constant batch, and a rate of 1e-30, at which float64 weights stay: update t + d is the update t without.

    Reads back through the crossbars are new reads, so those of BP agree within their noise (1 % devices).
    """
    _, now, undelayed = controller(lab, name, settings, 0)
    _, later, delayed = controller(lab, name, settings, delay)
    for _ in range(6):
        undelayed.step()
        delayed.step()
    assert delayed.steps == 6
    assert len(now.seen) == 6 and len(later.seen) == 6 - delay
    for a, b in zip(now.seen, later.seen, strict=False):
        for direction, shifted in zip(a, b, strict=True):
            if settings.get("backward") == "transposed":
                torch.testing.assert_close(direction, shifted, rtol=0.5, atol=0.1 * float(direction.abs().amax()))
            else:
                assert torch.equal(direction, shifted)
    expected = undelayed.counters.vectors - 4 * delay
    assert torch.equal(delayed.counters.vectors, expected)


def test_the_first_steps_update_nothing(lab):
    bench, _, delayed = controller(lab, "np", {}, 2, rate=0.1)
    for _ in range(2):
        delayed.step()
        assert all(torch.equal(a, b) for a, b in zip(delayed.copy.weights, bench.weights, strict=True))
        assert bench.chip.device_writes.tolist() == [0, 0]
    delayed.step()
    assert not any(torch.equal(a, b) for a, b in zip(delayed.copy.weights, bench.weights, strict=True))


def test_r_does_not_wait(lab):
    """R needs no loss: it moves from the first step on, by what is seen now."""
    found = []
    for delay in (0, 2):
        _, _, each = controller(lab, "np", {}, delay, decorrelation=Decorrelation(rate=0.1))
        for _ in range(3):
            each.step()
        found.append(each.copy.periphery.decorrelation)
    for a, b in zip(*found, strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, torch.eye(a.shape[1], dtype=a.dtype).expand_as(a))


def test_weights_have_moved_meanwhile(lab):
    """With a rate that counts, what the second update uses was seen before the first one was made."""
    _, rule, delayed = controller(lab, "np", {}, 1, rate=0.1)
    _, frozen, still = controller(lab, "np", {}, 1)
    for _ in range(3):
        delayed.step()
        still.step()
    for a, b in zip(rule.seen[1], frozen.seen[1], strict=True):
        assert torch.equal(a, b), "seen in step 1, before the first write at the end of it"


@pytest.mark.parametrize("delay", [0, 2])
def test_chunks_change_nothing(lab, delay):
    found = []
    for chunk in (None, 2):
        _, _, each = controller(lab, "anp", {"samples": 4}, delay, rate=1e-3, chunk=chunk)
        for _ in range(4):
            each.step()
        found.append(each.copy.weights)
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("stop", [1, 4])
@pytest.mark.parametrize(("name", "settings"), EVERY, ids=str)
def test_what_waits_is_saved(lab, name, settings, stop):
    """Restored from plain tensors after `stop` steps it goes on to the bit, also if saved once more at once."""
    bench, _, whole = controller(lab, name, settings, 3, rate=0.05)
    again, _, resumed = controller(lab, name, settings, 3, rate=0.05)
    for _ in range(stop):
        whole.step()
    for _ in range(2):
        file = io.BytesIO()
        torch.save({"controller": whole.state_dict(), "chip": bench.chip.state_dict()}, file)
        file.seek(0)
        state = torch.load(file, weights_only=True)
        resumed.load_state_dict(state["controller"])
        again.chip.load_state_dict(state["chip"])
    file = io.BytesIO()
    torch.save(resumed.state_dict(), file)  # before a step has told what the kinds of things are
    file.seek(0)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    for _ in range(5):
        whole.step()
        resumed.step()
    for a, b in zip(whole.copy.weights, resumed.copy.weights, strict=True):
        assert torch.equal(a, b)
    assert torch.equal(whole.counters.vectors, resumed.counters.vectors)


@pytest.mark.parametrize(("name", "settings"), SETTINGS[1:], ids=str)
def test_what_waits_outlives_the_memory_of_a_pass(lab, name, settings):
    """Observations are valid until the next run: hardware that writes over them changes nothing."""
    found = []
    for overwrites in (False, True):
        bench, _, each = controller(lab, name, settings, 2, rate=0.01)
        run, given = bench.rig.run, []

        def reused(passes, samples=1, run=run, given=given, overwrites=overwrites):
            for old in given:
                for x in (old.loss, *(old.inputs or ()), *(old.pre_activations or ()), *(old.injected or ())):
                    if overwrites:
                        x.fill_(float("nan"))
            given[:] = [seen.clone() for seen in run(passes, samples)]
            return tuple(given)

        bench.rig.run = reused
        for _ in range(4):
            each.step()
        assert not each.diverged.any()
        found.append(each.copy.weights)
    for a, b in zip(*found, strict=True):
        assert torch.equal(a, b)


def test_a_loss_that_is_not_finite_freezes_when_it_arrives(lab):
    bench, _, delayed = controller(lab, "np", {}, 2, rate=0.1)
    targets = bench.task.targets.clone()
    bench.task.targets = targets.clone()
    bench.task.targets[1] = float("inf")
    delayed.step()
    bench.task.targets = targets
    seen = [delayed.diverged.tolist()]
    for _ in range(3):
        delayed.step()
        seen.append(delayed.diverged.tolist())
    assert seen == [[False, False], [False, False], [False, True], [False, True]]


def test_losses_from_the_future_are_refused(lab):
    with pytest.raises(ValueError, match=r"delay must not be negative \(got -1\)"):
        controller(lab, "np", {}, -1)
