"""Reading scenarios: from YAML with overrides to a resolved one, and back to plain data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from analogsim.errors import ScenarioError
from analogsim.learning import DECORRELATED
from analogsim.study.chip_section import StageChip
from analogsim.study.claim_faults import claim_faults
from analogsim.study.kinds import AnyScenario
from analogsim.study.network_section import LAYER_TAGS, count_layers
from analogsim.study.own_files import with_absolute_path
from analogsim.study.packaged import scenario_text
from analogsim.study.profiles import Resolved, axes_of, resolve_profiles
from analogsim.study.schema import ArmBase, Deployment, Scenario, StageBase, StagedArm
from analogsim.study.settings import parse_setting, put, quick_settings
from analogsim.study.stages import stages_of
from analogsim.study.student_teacher import StudentTeacherScenario
from analogsim.study.timeline_faults import impossible_events
from analogsim.study.timeline_section import Timeline
from analogsim.study.trace_file import with_traces
from device_models import ProfileError
from device_models._yaml import load_yaml
from device_models.errors import bulleted, faults
from device_models.units import UNION_TAGS

_OF_CHIPS = ("data", "network", "chip", "train")
_NO_KIND = (
    "it is of neither kind; give it data, network, chip and train, or, for a linear student and its teacher, "
    "student_teacher in their place"
)


def load_scenario(name_or_path: str | Path, settings: Sequence[str] = (), quick: bool = False) -> AnyScenario:
    """Read, override, validate and resolve a scenario.

    Args:
        name_or_path: see `analogsim.study.packaged.scenario_text`.
        settings: overrides, each `dotted.path=value` with the value in YAML.
        quick: put the scenario's `quick` settings in place first.

    Returns:
        The scenario with its device profile in full and nothing left to look up.

    Raises:
        ScenarioError: listing every fault with its path.
    """
    return resolve(*read_scenario(name_or_path, settings, quick))


def read_scenario(
    name_or_path: str | Path, settings: Sequence[str] = (), quick: bool = False
) -> tuple[dict[str, Any], str, Path | None]:
    """Read and override a scenario, without a look at what it says.

    Args:
        name_or_path, settings, quick: as of `load_scenario`.

    Returns:
        Its plain data, what to call it in messages, and the folder that its relative paths start from.

    Raises:
        ScenarioError: there is none, it is no mapping, or a setting cannot be put in place.
    """
    name_or_path = str(name_or_path)
    text, where = scenario_text(name_or_path)
    try:
        data = load_yaml(text, where)
    except ProfileError as error:
        raise ScenarioError(str(error)) from None
    if not isinstance(data, dict):
        what = "is empty" if data is None else f"is a {type(data).__name__}"
        raise ScenarioError(f"{where}: must be a mapping of sections such as name, data, network, chip ({what})")
    if quick:
        if not data.get("quick") and not (data.get("excerpt") or {}).get("quick"):
            raise ScenarioError(f"{where}: has no `quick` settings for a short look; leave out --quick, or add some")
        for path, value in quick_settings(data, where):
            put(data, path, value)
        put(data, ["excerpt", "quick"], True)
    for setting in (settings,) if isinstance(settings, str) else settings:
        path, value = parse_setting(setting)
        if path[0] == "quick":
            raise ScenarioError(f"--set {setting}: stands over the quick settings anyway; leave out `quick.`")
        put(data, path, with_absolute_path(".".join(path), value, None))
    return data, where, Path(name_or_path).parent if name_or_path.endswith((".yaml", ".yml")) else None


def resolve(data: Mapping[str, Any], where: str, folder: Path | None = None) -> AnyScenario:
    """Validate plain data and put device profiles in full into it; see `load_scenario`.

    Args:
        data: of a scenario.
        where: what to call it in messages.
        folder: that relative paths in profiles start from; None: the working directory.
    """
    if "student_teacher" in data:
        return _student_teacher(data, where)
    found = [] if any(section in data for section in _OF_CHIPS) else [_NO_KIND]
    scenario: Scenario | None = None
    try:
        scenario = Scenario.model_validate(data)
    except ValidationError as error:
        missing = tuple(f"{section}: is missing" for section in _OF_CHIPS) if found else ()
        told = faults(error, _as_written, Scenario, {"rule": DECORRELATED})
        found += [fault for fault in told if not fault.startswith(missing)]
    chip = data.get("chip")
    resolved = resolve_profiles(chip if isinstance(chip, Mapping) else {}, _depth(data), folder)
    found += resolved.faults
    own = dict(_stage_profiles(data, resolved, folder))
    found += [f"arms.{name}.stages.{index}.{fault}" for (name, index), each in own.items() for fault in each.faults]
    if found or scenario is None:
        raise ScenarioError(bulleted(f"{where} cannot be used:", found))
    section = scenario.chip.model_copy(update={"profile": resolved.profile, "overrides": {}, "layers": resolved.layers})
    timeline = with_traces(scenario.timeline, "timeline", folder, found)
    arms = {}
    for name, arm in scenario.arms.items():
        lives = with_traces(arm.timeline, f"arms.{name}.timeline", folder, found)
        arms[name] = _with_profiles(name, arm.model_copy(update={"timeline": lives}), own)
    given = {"chip": section, "timeline": timeline, "arms": arms, "quick": {}, "sweep": None}
    scenario = scenario.model_copy(update=given)
    found += dict.fromkeys(_impossible_writes(scenario, resolved, own))
    found += _foreign_axes(scenario)
    found += dict.fromkeys(impossible_events(scenario))
    found += claim_faults(scenario)
    found += _rule_faults(scenario)
    if found:
        raise ScenarioError(bulleted(f"{where} cannot be used:", found))
    return scenario


def _rule_faults(scenario: Scenario) -> Iterator[str]:
    """What a rule itself says to its settings, beyond what each of them may be."""
    for name, arm in scenario.arms.items():
        staged = arm.stages if isinstance(arm, StagedArm) else ()
        for index, stage in enumerate(staged or (arm,)):
            if not isinstance(stage, ArmBase) or isinstance(stage, Deployment):
                continue
            try:
                stage.build_rule()
            except ValidationError as error:
                where = f"arms.{name}.stages.{index}" if staged else f"arms.{name}"
                yield from (f"{where}: {fault}" for fault in faults(error, _as_written))


def _student_teacher(data: Mapping[str, Any], where: str) -> StudentTeacherScenario:
    """A scenario of the second kind."""
    try:
        scenario = StudentTeacherScenario.model_validate(data).model_copy(update={"quick": {}, "sweep": None})
        found = [*scenario.memory_faults(), *claim_faults(scenario)]
    except ValidationError as error:
        found, scenario = faults(error, _without_tags, StudentTeacherScenario), None
    if found or scenario is None:
        raise ScenarioError(bulleted(f"{where} cannot be used:", found))
    return scenario


def only_arms(scenario: AnyScenario, names: Sequence[str]) -> AnyScenario:
    """The scenario with these of its arms alone; each learns what it would have learnt beside the others.

    Raises:
        ScenarioError: it has no such arm.
    """
    unknown = [name for name in names if name not in scenario.arms]
    if unknown:
        raise ScenarioError(
            f"--arm {unknown[0]}: scenario {scenario.name} has no such arm; there are {', '.join(scenario.arms)}"
        )
    arms = {name: arm for name, arm in scenario.arms.items() if name in names}
    left_out = (*scenario.excerpt.left_out, *(name for name in scenario.arms if name not in names))
    excerpt = scenario.excerpt.model_copy(update={"left_out": left_out})
    return scenario.model_copy(update={"arms": arms, "excerpt": excerpt})


def _stage_profiles(
    data: Mapping[str, Any], shared: Resolved, folder: Path | None
) -> Iterator[tuple[tuple[str, int], Resolved]]:
    """What the chips of single stages come to, by the arm's name and the stage's number."""
    arms = data.get("arms")
    for name, arm in arms.items() if isinstance(arms, Mapping) else ():
        stages = arm.get("stages") if isinstance(arm, Mapping) else arm
        for index, stage in enumerate(stages if isinstance(stages, list | tuple) else ()):
            chip = stage.get("chip") if isinstance(stage, Mapping) else None
            if not isinstance(chip, Mapping):
                continue
            own = {key: chip.get(key) for key in ("profile", "overrides", "layers")}
            if own["profile"] is None:
                if not shared.profile or shared.faults:
                    continue
                layers = {index: layer.model_dump(exclude_defaults=True) for index, layer in shared.layers.items()}
                own = {**own, "profile": shared.profile, "layers": own["layers"] or layers}
            yield (name, index), resolve_profiles(own, _depth(data), folder)


def _with_profiles(name: str, arm: ArmBase | StagedArm, own: Mapping[tuple[str, int], Resolved]) -> ArmBase | StagedArm:
    """An arm whose stages have the profiles of their chips in full."""
    if not isinstance(arm, StagedArm):
        return arm
    stages = []
    for index, stage in enumerate(arm.stages):
        if stage.chip is not None:
            found = own[name, index]
            chip = StageChip(profile=found.profile, layers=found.layers, mapping=stage.chip.mapping)
            stage = stage.model_copy(update={"chip": chip})
        stages.append(stage)
    return arm.model_copy(update={"stages": tuple(stages)})


def _foreign_axes(scenario: Scenario) -> Iterator[str]:
    """Faults of stages whose chips have axes that the scenario's have not."""
    shared = axes_of(scenario.chip)
    for name, arm in scenario.arms.items():
        for index, plan in enumerate(stages_of(scenario, arm)):
            foreign = [path for path, values in axes_of(plan.chip).items() if shared.get(path) != values]
            if plan.ex_situ and foreign:
                yield (
                    f"arms.{name}.stages.{index}.{foreign[0]}: cannot be an axis here; axes are of the scenario's "
                    "chips, on which arms are compared"
                )


def _depth(data: Mapping[str, Any]) -> int | None:
    """Number of layers with weights, if the data say so."""
    network = data.get("network")
    layers = network.get("layers") if isinstance(network, Mapping) else None
    return (count_layers(layers) or None) if isinstance(layers, list | tuple) else None


def _impossible_writes(scenario: Scenario, shared: Resolved, own: Mapping[tuple[str, int], Resolved]) -> Iterator[str]:
    """Faults of arms whose optimiser writes by pulses."""
    for name, arm in scenario.arms.items():
        for index, plan in enumerate(stages_of(scenario, arm)):
            if not plan.learns:
                continue
            stage, place = plan.arm, f"arms.{name}.stages.{index}" if isinstance(arm, StagedArm) else f"arms.{name}"
            where = f"{place}.optimizer" if stage.optimizer else "train.optimizer"
            writing = (stage.optimizer or scenario.train.optimizer).writing
            if writing != "absolute" and not own.get((name, index), shared).pulsed:
                yield (
                    f"{where}: {writing} writes by pulses, but a device profile has no `update`; take profiles with "
                    "one, or an optimiser such as adam, whose writes are absolute"
                )
            if writing != "absolute" and plan.chip.mapping.range == "follow":
                chip = f"{place}.chip" if plan.ex_situ else "chip"
                yield f"{chip}.mapping.range: must be fixed for {writing}: pulses step in a range, which must not move"
            if writing == "in_memory" and stage.weight_normalisation is not None:
                yield f"{place}.weight_normalisation: cannot be kept by pulses; leave it out, or take mixed_precision"
            if writing == "in_memory" and stage.weight_decay is not None:
                yield (
                    f"{place}.weight_decay: the devices get the rule's outer products only, no pulse for the decay; "
                    "leave it out, or take mixed_precision"
                )


def _without_tags(loc: tuple[str | int, ...]) -> tuple[str | int, ...]:
    return tuple(part for part in loc if part not in UNION_TAGS)


def _as_written(loc: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """The path of a fault without the tags of unions: after an arm's name its kind and, unless it has stages, its rule;
    after a stage's number its rule, after an event's its kind."""
    if loc[:1] == ("arms",):
        staged = loc[2:3] == ("stages",)
        loc = (*loc[:2], *loc[3:5], *loc[6:]) if staged else (*loc[:2], *loc[4:])
    kinds = {at + 2 for at, part in enumerate(loc) if part in ("timeline", "then")}
    kinds |= {at + 1 for at, part in enumerate(loc) if part == "trace"}  # a file, or times
    return tuple(part for at, part in enumerate(loc) if at not in kinds and part not in (*UNION_TAGS, *LAYER_TAGS))


def to_data(scenario: AnyScenario) -> dict[str, Any]:
    """The resolved scenario as plain data with every default written out; running it repeats the run."""
    if isinstance(scenario, StudentTeacherScenario):
        return scenario.to_data()
    data = scenario.model_dump(
        mode="json", exclude_none=True, exclude={"arms", "claims", "excerpt", "quick", "sweep", "timeline"}
    )
    data["chip"].pop("overrides")
    data["chip"].pop("layers")
    if scenario.chip.layers:
        layers = sorted(scenario.chip.layers.items())
        data["chip"]["layers"] = {
            index: layer.model_dump(mode="json", exclude_defaults=True) for index, layer in layers
        }
    if scenario.timeline:
        data["timeline"] = _events(scenario.timeline)
    data["arms"] = {}
    for name, arm in scenario.arms.items():
        entry: dict[str, Any] = (
            {"stages": [_stage_data(stage) for stage in arm.stages]} if isinstance(arm, StagedArm) else _stage_data(arm)
        )
        if arm.timeline:
            entry["timeline"] = _events(arm.timeline)
        if arm.family is not None:
            entry["family"] = arm.family
        data["arms"][name] = entry
    return data | scenario.claims_data()


def _events(timeline: Timeline) -> list[dict[str, Any]]:
    """A timeline as plain data, the kind of each event first."""
    found = []
    for event in timeline:
        entry = {"do": event.do, **event.model_dump(mode="json", exclude_defaults=True, exclude={"then"})}
        found.append({**entry, "then": _events(event.then)} if event.then else entry)
    return found


def _stage_data(stage: ArmBase) -> dict[str, Any]:
    """An arm, or a stage of one, as plain data."""
    rule = {} if isinstance(stage, Deployment) else stage.build_rule().model_dump(mode="json")
    entry: dict[str, Any] = {"rule": stage.rule, **rule}
    for key in ("decorrelation", "weight_normalisation", "weight_decay", "loss_channel", "optimizer"):
        if getattr(stage, key) is not None:
            entry[key] = getattr(stage, key).model_dump(mode="json", exclude_none=True)
    if stage.oracle:
        entry["oracle"] = list(stage.oracle)
    if isinstance(stage, StageBase):
        if stage.epochs is not None:
            entry["epochs"] = stage.epochs
        if stage.chip is not None:
            entry["chip"] = stage.chip.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    return entry
