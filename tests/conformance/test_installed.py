"""Rules of other packages: the one of docs/your-rule.md, as written there, from its declaration to a run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import ClassVar

import pytest
import yaml
from pydantic import model_validator

from analogsim.cli import lists
from analogsim.errors import RuleError, ScenarioError
from analogsim.learning import RULES, Rule
from analogsim.learning.installed import GROUP, installed
from analogsim.study.resume import _differences
from analogsim.study.scenario import load_scenario
from analogsim.study.schema import StageBase, arm_of_rule

PAGE = Path(__file__).parents[2] / "docs" / "your-rule.md"


def block(name: str) -> str:
    """What the page shows as this file."""
    found = re.search(rf"```\w+\n# {re.escape(name)}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found, f"{PAGE} shows no {name}"
    return found[1]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the page's package, as pip leaves one that is installed."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "sign_rule.py").write_text(block("sign_rule.py"), encoding="utf-8")
    declared = re.search(rf'\[project.entry-points."{GROUP}"\]\n(.*?)\n\n', block("pyproject.toml"), re.DOTALL)
    assert declared
    about = folder / "sign_rule-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: sign-rule\nVersion: 1.0\n", encoding="utf-8")
    entries = declared[1].replace('"', "")
    (about / "entry_points.txt").write_text(f"[{GROUP}]\n{entries}\n", encoding="utf-8")
    (folder / "sign.yaml").write_text(block("sign.yaml"), encoding="utf-8")
    return folder


def analogsim(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from analogsim.cli import main; main()", *arguments]
    path = os.pathsep.join([str(place), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)


def test_the_pages_rule_keeps_what_every_rule_keeps(place):
    done = analogsim(place, "rules", "check", "sign", "--set", "samples=3", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {each["fault"] for each in json.loads(done.stdout)} == {None}


def test_the_pages_scenario_runs_and_tells_whose_rule_it_is(place):
    short = [f"--set={each}" for each in ("train.epochs=1", "chip.population=2", "data.samples=500")]
    short += ["--arm=sign", "--arm=dsign"]
    done = analogsim(place, "run", "sign.yaml", *short, "--json", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    (folder,) = (place / "runs").iterdir()
    info = json.loads((folder / "info.json").read_text(encoding="utf-8"))
    assert info["versions"]["sign-rule"] == "1.0"
    arms = yaml.safe_load((folder / "scenario.yaml").read_text(encoding="utf-8"))["arms"]
    assert arms["dsign"]["rule"] == "sign"
    assert arms["dsign"]["decorrelation"]
    curves = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    first, last = ([c for c in curves if c["arm"] == "sign"][place]["chips"] for place in (0, -1))
    assert [chip["test_loss"] for chip in first] != [chip["test_loss"] for chip in last]


def test_it_is_listed_with_its_package(place):
    done = analogsim(place, "rules", "list", "--json")
    *ours, sign = json.loads(done.stdout)
    assert (sign["name"], sign["package"]) == ("sign", "sign-rule 1.0")
    assert not any("package" in rule for rule in ours)


class _Entry:
    """An entry point that holds what it is given."""

    def __init__(self, name, held, package="other"):
        self.name, self.value, self._held = name, "module:Thing", held
        self.dist = type("Distribution", (), {"name": package, "version": "2.0"})()

    def load(self):
        if isinstance(self._held, Exception):
            raise self._held
        return self._held


def _declared(monkeypatch, *entries):
    monkeypatch.setattr("analogsim.learning.installed._entries", lambda: entries)


def _kind(**more):
    """A rule that is one of ours under another name."""
    about = {"name": "mine", "title": "t", "paper": "p", "memory": "none", "__module__": __name__, "__doc__": "Mine."}
    annotations = {"__annotations__": {}}
    return type("Mine", (RULES["np"],), {**about, **annotations, **more})


def test_what_is_declared_is_found_in_alphabetical_order(monkeypatch):
    other = _kind(name="another")
    _declared(monkeypatch, _Entry("mine", _kind()), _Entry("another", other))
    found = installed(["np"])
    assert list(found) == ["another", "mine"]
    assert found["another"] == (other, "other", "2.0")


@pytest.mark.parametrize(
    ("name", "held", "message"),
    [
        (
            "mine",
            ImportError("no module called x"),
            "cannot be loaded: ImportError: no module called x; mend the package",
        ),
        ("mine", 5, "must be a subclass of analogsim.Rule (got 5)"),
        ("mine", int, "must be a subclass of analogsim.Rule"),
        ("mine", type("Half", (Rule,), {"__module__": __name__}), "Half lacks plan, requires, update"),
        ("mine", _kind(title=None), "Mine must say its title"),
        ("yours", _kind(), "Mine calls itself 'mine'; entry point and class must agree"),
        ("Mine", _kind(name="Mine"), "a name has small letters"),
        ("none", _kind(name="none"), "and is not none"),
        ("np", _kind(name="np"), "there is a rule 'np' already"),
        ("dnp", _kind(name="dnp"), "'dnp' stands for 'np' with decorrelation"),
        ("mine", _kind(requires=property(lambda rule: 1 / 0)), "its `requires` raises ZeroDivisionError"),
        ("mine", _kind(requires=property(lambda rule: 5)), "its `requires` must be an Access (got 5)"),
        ("mine", _kind(model_post_init=lambda rule, context: 1 / 0), "Mine() raises ZeroDivisionError"),
    ],
)
def test_what_cannot_be_used_is_told_with_its_package(monkeypatch, name, held, message):
    _declared(monkeypatch, _Entry(name, held))
    with pytest.raises(RuleError) as told:
        installed(["np"])
    assert str(told.value).startswith(f"rule {name!r} of the package other (module:Thing) cannot be ")
    assert message in str(told.value)


def test_two_packages_cannot_have_one_name(monkeypatch):
    _declared(monkeypatch, _Entry("mine", _kind(), "one"), _Entry("mine", _kind(), "two"))
    with pytest.raises(RuleError, match=r"of the package two .* there is a rule 'mine' already"):
        installed(["np"])


def test_an_alias_clashes_whichever_comes_first(monkeypatch):
    _declared(monkeypatch, _Entry("dx", _kind(name="dx")), _Entry("x", _kind(name="x")))
    with pytest.raises(RuleError, match="'dx' stands for 'x' with decorrelation"):
        installed(["np"])


def test_a_setting_that_arms_have_themselves_is_told():
    kind = _kind(__annotations__={"epochs": int}, epochs=3)
    with pytest.raises(RuleError, match="rule 'mine': arms have epochs themselves; call that setting something else"):
        arm_of_rule("mine", kind, StageBase)


def test_every_setting_needs_a_default(monkeypatch):
    _declared(monkeypatch, _Entry("mine", _kind(__annotations__={"size": float})))
    with pytest.raises(RuleError, match=r"every setting must have a default: .* size Field required"):
        installed(["np"])


def test_the_command_line_tells_it_and_ends_with_2(place, tmp_path):
    for file in place.glob("sign_rule*"):
        target = tmp_path / file.name
        if file.is_dir():
            target.mkdir()
            for each in file.iterdir():
                (target / each.name).write_bytes(each.read_bytes())
        else:
            target.write_text("import nothing_of_this_name\n", encoding="utf-8")
    done = analogsim(tmp_path, "rules", "list")
    assert done.returncode == 2
    assert done.stderr.startswith(
        "error: rule 'sign' of the package sign-rule (sign_rule:SignPerturbation) cannot be loaded"
    )
    assert "Traceback" not in done.stderr


def test_no_rule_is_declared_where_these_tests_run():
    assert not list(metadata.entry_points(group=GROUP)), (
        "an installed package adds rules, which tests over all rules see"
    )


class Picky(RULES["np"]):
    """NP that wants its perturbation to fit its number of samples."""

    memory: ClassVar[str] = "none"

    @model_validator(mode="after")
    def _fits(self):
        if self.sigma > 0.05 * self.samples:
            raise ValueError(f"sigma must not exceed 0.05 for each sample (got {self.sigma})")
        return self


def test_what_a_rule_says_to_its_settings_is_told_when_a_scenario_is_read(monkeypatch):
    monkeypatch.setattr("analogsim.study.schema.RULES", {**RULES, "np": Picky})
    with pytest.raises(ScenarioError, match=r"arms\.np: sigma must not exceed 0\.05 for each sample \(got 0\.9\)"):
        load_scenario("quickstart", ["arms.np.sigma=0.9"])


def test_another_version_of_a_rule_is_told_when_a_run_goes_on():
    held = {"device_name": "a", "threads": 1}
    before = {**held, "versions": {"torch": "2.0", "mine": "1.0"}}
    assert _differences(before, before) == []
    found = _differences(before, {**held, "versions": {"torch": "2.1", "mine": "1.1"}})
    assert found == [
        ("torch", "2.0", "2.1", "results may differ in their last bits"),
        ("mine", "1.0", "1.1", "its rules may learn otherwise"),
    ]


def test_passes_of_a_rule_that_takes_no_such_network_depend_on_it():
    class Narrow(RULES["np"]):
        def plan(self, network):
            raise ValueError("a hidden layer is needed")

    assert lists._passes(RULES["np"]()) == 2
    assert lists._passes(Narrow()) == "depends on the network"
