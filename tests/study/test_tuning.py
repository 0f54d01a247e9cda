"""Learning rates searched on data and chips of their own; families."""

from pathlib import Path

import pytest
import torch

from analogsim.errors import ScenarioError
from analogsim.report.summary import standings
from analogsim.report.table import final_table
from analogsim.results import Result, Tuning, read_result
from analogsim.study.resume import resume
from analogsim.study.run import Nobody, load_data, run
from analogsim.study.scenario import load_scenario
from analogsim.study.schema import Scenario
from analogsim.study.tuning import Search
from analogsim.tasks import DataSet

CPU = torch.device("cpu")
LEVELS = "chip.overrides.read_noise.sigma={each: [1 %, 10 %]}"
TUNE = "train.tune={lr: [1.0e-4, 1.0e-3, 1.0e-2], validation: 200, chips: 2}"


def _tiny(*settings: str, name: str = "quickstart") -> Scenario:
    base = ["train.epochs=2", "network.layers=[16, 10]", "chip.population=3", "data.batch=100"]
    return load_scenario(name, [*base, *settings])


def _run(tmp_path: Path, *settings: str) -> Result:
    return read_result(run(_tiny(*settings), tmp_path, CPU).path / "result.json")


def _searched(scenario: Scenario, data: DataSet) -> Tuning:
    search = Search(scenario, "anp", data, CPU)
    while not search.done:
        search.advance()
    return search.tuning()


def test_the_best_rate_of_each_point_is_taken(tmp_path: Path) -> None:
    result = _run(tmp_path, TUNE, LEVELS, "arms={anp: {rule: anp, samples: 4}}")
    arm = result.arms["anp"]
    assert arm.tuning is not None
    assert arm.tuning.lr == (1e-4, 1e-3, 1e-2)
    assert [point.point for point in arm.tuning.points] == [
        {"chip.profile.read_noise.0.sigma": level} for level in ("1 %", "10 %")
    ]
    for point in arm.tuning.points:
        assert point.chosen == arm.tuning.lr[point.accuracy.index(max(point.accuracy))]
    caption = str(final_table(result).caption)
    assert "the best of 0.0001, 0.001, 0.01 on 200 held-out training samples" in caption
    assert [chip.lr for chip in arm.chips] == [point.chosen for point in arm.tuning.points for _ in range(3)]


def test_the_highest_stable_rate_of_a_doubling_grid(tmp_path: Path) -> None:
    grid = "train.tune={lr: {from: 0.25, rates: 8}, protocol: highest_stable, validation: 200, chips: 2}"
    arms = "arms={bp: {rule: bp, oracle: [output_error, transposed_read]}}"
    result = _run(tmp_path, grid, arms, "train.optimizer={sgd: {lr: 1.0}}")
    tuning = result.arms["bp"].tuning
    assert tuning is not None
    assert tuning.lr == tuple(0.25 * 2.0**index for index in range(8))
    (point,) = tuning.points
    highest = tuning.lr.index(point.chosen)
    assert 0 < highest < 7  # the grid holds both kinds of rates
    assert not any(point.diverged[: highest + 1])
    assert point.diverged[highest + 1] > 0
    assert "the highest of 0.25, 0.5, 1, 2," in str(final_table(result).caption)


def test_no_rate_is_stable(tmp_path: Path) -> None:
    grid = "train.tune={lr: [1.0e+3, 1.0e+4], protocol: highest_stable, validation: 200, chips: 2}"
    arms = "arms={bp: {rule: bp, oracle: [output_error, transposed_read]}}"
    tuning = _run(tmp_path, grid, arms, "train.optimizer={sgd: {lr: 1.0}}").arms["bp"].tuning
    assert tuning is not None
    assert tuning.points[0].chosen == 1e3
    assert min(tuning.points[0].diverged) > 0


def test_what_a_search_costs_is_counted_at_each_point(tmp_path: Path) -> None:
    tuning = _run(tmp_path, TUNE, LEVELS, "arms={anp: {rule: anp, samples: 4}}").arms["anp"].tuning
    assert tuning is not None
    samples = len(load_data(_tiny()).train_inputs) - 200
    steps = 2 * (samples // 100)
    assert tuning.passes == 3 * 2 * steps * 5  # three rates, two chips, five passes a step


def test_the_final_test_is_not_looked_at_and_the_chips_are_others() -> None:
    scenario = _tiny(TUNE)
    data = load_data(scenario)
    unseen = torch.full_like(data.test_inputs, torch.nan)
    blind = DataSet(data.train_inputs, data.train_targets, unseen, data.test_targets)
    assert _searched(scenario, data) == _searched(scenario, blind)
    held = data.held_out(200)
    assert torch.equal(held.test_inputs, data.train_inputs[-200:])
    assert torch.equal(held.train_inputs, data.train_inputs[:-200])


def test_the_rates_found_train_as_if_they_had_been_given(tmp_path: Path) -> None:
    arms = "arms={anp: {rule: anp, samples: 4}}"
    tuned = _run(tmp_path, TUNE, arms).arms["anp"]
    rate = tuned.chips[0].lr
    given = _run(tmp_path, f"train.optimizer={{adam: {{lr: {rate}}}}}", arms).arms["anp"]
    assert given.chips == tuned.chips


class StoppedError(Exception):
    """Stands for a process's end."""


class Stopping(Nobody):
    """Ends a run at a step of a search, or of the training of its arm; keeps what was done."""

    def __init__(self, search: int = 0, training: int = 0) -> None:
        self._search, self._training = search, training
        self.searched: list[int] = []
        self.told = ""

    def tuning(self, name: str, done: int, steps: int) -> None:
        self.searched.append(done)
        if done == self._search:
            raise StoppedError

    def step(self, done: int) -> None:
        if done == self._training:
            raise StoppedError

    def note(self, text: str) -> None:
        self.told += text


OFTEN = "train.checkpoint_every=4 steps"
ANP = "arms={anp: {rule: anp}}"
STAGES = (
    "arms={staged: {stages: [{rule: bp, chip: {profile: ideal}, epochs: 1}, {rule: none}, "
    "{rule: anp, samples: 4, epochs: 1}]}}"
)
STABLE = "train.tune={lr: {from: 0.25, rates: 8}, protocol: highest_stable, validation: 200, chips: 2}"


def test_a_search_is_not_repeated_after_a_resume(tmp_path: Path) -> None:
    whole = run(_tiny(TUNE, ANP, OFTEN), tmp_path / "a", CPU).path
    with pytest.raises(StoppedError):
        run(_tiny(TUNE, ANP, OFTEN), tmp_path / "b", CPU, Stopping(training=9))
    [stopped] = (tmp_path / "b").iterdir()
    watcher = Stopping()
    resume(stopped, watcher=watcher)
    assert watcher.searched == []
    assert (stopped / "result.json").read_bytes() == (whole / "result.json").read_bytes()


@pytest.mark.parametrize(
    ("settings", "stops"),
    [
        ((TUNE, "arms={danp: {rule: danp}, np: {rule: np}}", LEVELS), (7, 11)),  # the second stop after a resume
        ((TUNE, STAGES), (6, 14)),  # in a stage before the one whose rate is searched, and in that one
        ((STABLE, ANP, "train.optimizer={sgd: {lr: 1.0}}"), (21,)),  # some chips have diverged by then
    ],
)
def test_a_search_goes_on_where_it_was_stopped(
    settings: tuple[str, ...], stops: tuple[int, ...], tmp_path: Path
) -> None:
    whole = run(_tiny(*settings, OFTEN), tmp_path / "a", CPU).path
    with pytest.raises(StoppedError):
        run(_tiny(*settings, OFTEN), tmp_path / "b", CPU, Stopping(search=stops[0]))
    [stopped] = (tmp_path / "b").iterdir()
    for before, at in zip(stops, (*stops[1:], 0), strict=True):
        watcher = Stopping(search=at)
        if at:
            with pytest.raises(StoppedError):
                resume(stopped, watcher=watcher)
        else:
            resume(stopped, watcher=watcher)
        assert watcher.searched[0] == before // 4 * 4 + 1
        assert f"search for its learning rates at step {before // 4 * 4}" in watcher.told
    for file in ("metrics.jsonl", "result.json"):
        assert (stopped / file).read_bytes() == (whole / file).read_bytes()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ([TUNE, "train.optimizer={sgd: {lr: {each: [1, 2]}}}"], "both an axis and searched by train.tune"),
        (["train.tune={lr: [1.0e-3, 1.0e-2], validation: 1390}"], "leaves no batch of 100"),
        (
            ["chip.overrides.dac.range=0.5"],
            "chip.profile.dac.range: clips the bias row, which is driven with 1 (got 0.5)",
        ),
        (["data.samples=1401"], "data.samples: there are 1400 training samples (asked for the first 1401)"),
        (["data.pool=3"], "data.pool: blocks of 3 x 3 pixels must fill the images"),
        (["arms.anp.weight_normalisation={gains: [1.0]}"], "must be one for each of the 2 layers (got 1)"),
    ],
)
def test_what_cannot_be_is_told_before_anything_runs(settings: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ScenarioError) as caught:
        run(_tiny(*settings), tmp_path / "runs", CPU)
    assert message in str(caught.value)
    assert not (tmp_path / "runs").exists()


def test_a_part_of_the_data_and_smaller_images() -> None:
    data = load_data(_tiny("data.samples=300", "data.pool=2", "data.standardise=true"))
    assert data.train_inputs.shape == (300, 16)
    assert data.train_inputs.mean(0).abs().max() < 1e-5


def test_a_family_shows_its_best_setting_and_the_leader_is_no_oracle(tmp_path: Path) -> None:
    arms = (
        "arms={bp: {rule: bp, family: BP, oracle: [output_error, transposed_read]},"
        " a: {rule: np, family: NP, sigma: 3}, b: {rule: np, family: NP, sigma: 0.3, samples: 8}, anp: {rule: anp}}"
    )
    result = _run(tmp_path, arms)
    [(point, found)] = standings(result)
    assert point == {}
    assert [standing.family for standing in found] == ["BP", "NP", "anp"]
    mean = {name: sum(chip.final.test_accuracy for chip in arm.chips) / 3 for name, arm in result.arms.items()}
    best = max("ab", key=mean.__getitem__)
    assert found[1].arm == best
    assert found[0].behind is None
    assert found[0].marks == ("oracle",)
    leader, other = (found[1], found[2]) if mean[best] >= mean["anp"] else (found[2], found[1])
    assert leader.behind is None
    assert other.behind is not None
    assert other.behind[0] == pytest.approx(mean[leader.arm] - mean[other.arm], abs=1e-12)
