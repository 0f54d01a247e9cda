"""Chips on a timeline: what happens to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from analogsim.results import ArmResult
from analogsim.study.arm import Arm
from analogsim.study.run import load_data

CPU = torch.device("cpu")
PCM = ("chip.profile=pcm", "train.step_time=1 ms")


def events(arm: ArmResult, life: int = 0) -> list[tuple[float, str]]:
    return [(round(moment.seconds, 9), moment.event) for moment in arm.lives[life].moments]


def test_drifted_chips_are_evaluated_and_learn_on(lives: Any, tmp_path: Path) -> None:
    looks = "timeline=[{do: evaluate, at: [1 s, 1 h, 1 month]}]"
    more = "[{do: train, steps: 14, at: [1 s, 1 h, 1 month], then: [{do: evaluate}]}]"
    arms = f"arms={{left: {{rule: anp, samples: 4}}, taught: {{rule: anp, samples: 4, timeline: {more}}}}}"
    result = lives.result(tmp_path, *PCM, looks, arms, "train.epochs=4")
    left, taught = result.arms["left"], result.arms["taught"]
    assert events(left) == [(1.0, "evaluate"), (3600.0, "evaluate"), (2629800.0, "evaluate")]
    seen, learned = ([m.accuracy for m in arm.lives[0].moments if m.event == "evaluate"] for arm in (left, taught))
    assert len(learned) == 6
    assert seen[0] == learned[0], "until then nothing distinguishes them"
    assert seen[1] != learned[2]
    assert seen[0] != seen[2], "devices drift"
    assert [m.steps for m in taught.lives[0].moments if m.event == "train"] == [14, 28, 42]
    assert taught.chips[0].counts.passes == left.chips[0].counts.passes + 3 * 14 * 5
    assert sum(learned[5] or ()) > sum(seen[2] or ()), "an epoch more at each time, after four, helps"
    assert taught.chips[0].final == left.chips[0].final, "what learning came to before"


def test_without_drift_time_changes_only_the_noise_of_reads(lives: Any, tmp_path: Path) -> None:
    result = lives.result(
        tmp_path, "chip.profile=ideal", "timeline=[{do: evaluate, at: [1 s, 1 month]}]", "arms={a: {rule: anp}}"
    )
    first, last = result.arms["a"].lives[0].moments
    assert first.accuracy == last.accuracy
    assert first.joules is None and result.arms["a"].step is None, "ideal chips have no prices"


def test_compensation_recovers_pcm_after_a_month(lives: Any, tmp_path: Path) -> None:
    # Twice the preset's drift: its own leaves the largest of few outputs the largest.
    bp = "rule: bp, oracle: [output_error, transposed_read]"
    cared = "timeline: [{do: compensate, at: 1 month, then: [{do: evaluate}]}]"
    settings = ("chip.overrides.drift.scale=2", "network.layers=[32, 32, 10]", "train.epochs=6")
    arms = f"arms={{left: {{{bp}}}, cared: {{{bp}, {cared}}}}}"
    result = lives.result(tmp_path, *PCM, *settings, arms, "timeline=[{do: evaluate, at: [0 s, 1 month]}]")
    begin, left = result.arms["left"].lives[0].moments
    *_, after = result.arms["cared"].lives[0].moments
    for chip in range(3):
        start, old, new = ((m.accuracy or ())[chip] or 0.0 for m in (begin, left, after))
        assert start > 0.8 and old < new - 0.05
        # The factor knows nothing of the spread of the exponents, nor brings back bits that small currents lost.
        assert new < start + 0.01
        assert ((after.loss or ())[chip] or 0.0) < ((left.loss or ())[chip] or 0.0) / 2


def test_what_is_learned_with_the_factor_is_the_new_reference(lives: Any) -> None:
    own = "[{do: compensate, at: [1 h, 1 month], then: [{do: train, steps: 3}]}]"
    study = lives.scenario(*PCM, f"arms={{anp: {{rule: anp, timeline: {own}}}}}")
    arm = Arm(study, "anp", load_data(study), CPU)
    chip, calls = arm._rig.chip, []
    compensate, take = chip.compensate, chip.take_reference
    chip.compensate = lambda now: (compensate(now), calls.append("compensate"))
    chip.take_reference = lambda now: (take(now), calls.append("reference"))
    while arm.lives_on:
        arm.live()
    assert calls == ["reference", "compensate", "reference", "compensate", "reference"]


def test_power_loss_falls_back_to_what_was_delivered(lives: Any, tmp_path: Path) -> None:
    """What a step after it writes: everything, back to the old weights; or a little, from where they stand."""
    then = "then: [{do: evaluate}, {do: train, steps: 1}, {do: evaluate}]"
    rule = "rule: bp, oracle: [output_error, transposed_read]"
    own = f"[{{do: train, steps: 30}}, {{do: power_loss, at: 1 h, %s{then}}}]"
    arms = (
        f"arms={{forgets: {{{rule}, timeline: {own % ''}}}, keeps: {{{rule}, timeline: {own % 'keeps: [weights], '}}}}}"
    )
    result = lives.result(tmp_path, "chip.profile=noisy", "train.epochs=0", "timeline=[{do: evaluate}]", arms)
    looks = {name: [m for m in arm.lives[0].moments if m.event == "evaluate"] for name, arm in result.arms.items()}
    for name, (begin, lost, after) in looks.items():
        start, before, now = (sum(m.loss or ()) for m in (begin, lost, after))
        assert before < 0.8 * start, "conductances stay"
        assert (abs(now - start) < 0.1 * start) if name == "forgets" else (abs(now - before) < 0.1 * before)


def test_a_loss_of_power_moves_no_device(lives: Any) -> None:
    own = "[{do: train, steps: 5}, {do: power_loss, at: 1 s}, {do: idle, time: 2 s}]"
    r = "decorrelation: {rate: 0.05, where: crossbar}"
    study = lives.scenario(
        "chip.profile=noisy", "train.epochs=0", f"arms={{danp: {{rule: danp, samples: 2, {r}, timeline: {own}}}}}"
    )
    arm = lives.begun(study, "danp", "train")
    before = [r.clone() for r in arm._rig.chip.oracle.decorrelation if r is not None]
    written = arm._rig.chip.device_writes.clone()
    while arm.lives_on:
        arm.live()
    after = [r for r in arm._rig.chip.oracle.decorrelation if r is not None]
    assert len(after) == 2 and all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert torch.equal(arm._rig.chip.device_writes, written)
    assert arm._stage.controller is not None and all(w.abs().sum() > 0 for w in arm._stage.controller.copy.weights)


def test_what_was_counted_before_a_loss_of_power_counts(lives: Any, tmp_path: Path) -> None:
    own = "[{do: train, steps: 3}, {do: power_loss, at: 1 s, then: [{do: train, steps: 2}]}]"
    arms = f"arms={{anp: {{rule: anp, timeline: {own}}}}}"
    arm = lives.result(tmp_path, "chip.profile=noisy", "train.epochs=0", arms).arms["anp"]
    assert arm.chips[0].counts.vectors == 5 * 100


def test_chips_that_are_reprogrammed_err_anew(lives: Any) -> None:
    own = "[{do: train, steps: 2}, {do: reprogram, at: 1 s}]"
    noise = "chip.overrides={programming: {kind: constant, sigma: 0.3 uS}}"
    study = lives.scenario(
        "chip.profile=noisy", noise, "train.epochs=0", f"arms={{anp: {{rule: anp, timeline: {own}}}}}"
    )
    arm = lives.begun(study, "anp", "train")
    chip = arm._rig.chip
    cells = [cells for layer in chip.oracle.cells for cells in layer]
    before = [
        (each.target.clone(), each.programmed.clone(), each.wear.clone()) for each in cells if each.wear is not None
    ]
    while arm.lives_on:
        arm.live()
    assert len(before) == len(cells) == 4
    for each, (target, programmed, wear) in zip(cells, before, strict=True):
        assert each.wear is not None
        assert torch.allclose(each.target, target, rtol=1e-5, atol=1e-12)
        assert torch.equal(each.wear, wear + 1)
        well_inside = (target > 2e-6) & (target < 23e-6)
        assert (each.programmed != programmed)[well_inside].all()


def test_what_mixed_precision_remembers_is_not_given_again_to_devices_that_are_reprogrammed(lives: Any) -> None:
    """Devices, which err in nothing, and the digital memory are the copy together, all the time."""
    own = "[{do: train, steps: 5}, {do: reprogram}, {do: train, steps: 5}, {do: reprogram}]"
    update = "chip.overrides={cell: reference, update: {kind: constant_step, dw_min: 0.05}}"
    optimizer = "train.optimizer={mixed_precision: {lr: 0.05}}"
    arms = f"arms={{np: {{rule: np, sigma: 0.1, timeline: {own}}}}}"
    study = lives.scenario("chip.profile=ideal", update, optimizer, "train.epochs=0", "chip.precision=float64", arms)
    arm = lives.begun(study, "np", "train")
    owed = []
    while True:
        controller = arm._stage.controller
        assert controller is not None
        memory = controller.state_dict()["writing"]["memory"]
        for held, chi, copy in zip(arm._rig.chip.oracle.weights, memory, controller.copy.weights, strict=True):
            torch.testing.assert_close(held + chi, copy, rtol=0, atol=1e-9)
        owed.append(any(chi.any() for chi in memory))
        if not arm.lives_on:
            break
        arm.live()
    assert True in owed and owed[-1] is False
