"""The house as it was designed: who may import whom, and what is public."""

import subprocess
import sys
from pathlib import Path

import pytest

import analogsim
import device_models

ROOT = Path(__file__).parents[1]


def test_import_contracts_hold() -> None:
    command = [sys.executable, "-c", "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_public_names_are_these() -> None:
    assert analogsim.__all__ == [
        "Access",
        "AccessError",
        "AnalogsimError",
        "Chip",
        "Controller",
        "DataError",
        "Decorrelation",
        "Mapping",
        "Network",
        "Result",
        "Rule",
        "RunError",
        "ScenarioError",
        "load_scenario",
        "read_result",
        "resume",
        "run",
    ]
    assert device_models.__all__ == [
        "ADC",
        "DAC",
        "Cells",
        "ColumnADC",
        "ColumnErrors",
        "Costs",
        "Device",
        "DeviceProfile",
        "Exposure",
        "Operations",
        "ProfileError",
        "ReadNoise",
        "Relaxation",
        "Slices",
        "UnitNoise",
        "load_profile",
        "per_chip_uniform",
        "preset_names",
        "vector_gain",
    ]


@pytest.mark.parametrize("module", [analogsim, device_models])
def test_every_public_name_is_there(module: object) -> None:
    for name in module.__all__:
        assert getattr(module, name).__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        _ = analogsim.nonsense


def test_help_and_the_list_of_scenarios_do_not_load_torch() -> None:
    code = (
        "import sys, analogsim.cli\n"
        "from analogsim.study.packaged import descriptions\n"
        "assert all(descriptions().values())\n"
        "assert 'torch' not in sys.modules, 'torch'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_reading_a_scenario_loads_no_more_than_it_needs() -> None:
    """Neither torch's compiler, which its optimisers load, nor what draws, solves, compiles or knows all units."""
    code = (
        "import sys, torch\n"
        "from analogsim.study.run import load_data\n"
        "from analogsim.study.scenario import load_scenario\n"
        "scenario = load_scenario('quickstart')\n"
        "load_data(scenario)\n"
        "parameter = torch.zeros(2)\n"
        "held = scenario.train.optimizer.factory([parameter], lr=0.1, fused=True)\n"
        "parameter.grad = torch.ones(2)\n"
        "held.step()\n"
        "held.load_state_dict(held.state_dict())\n"
        "assert parameter.all()\n"
        "heavy = {'torch._dynamo', 'scipy.special', 'scipy.linalg', 'sklearn', 'matplotlib', 'numba', 'pint'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_docstring_example_of_the_package() -> None:
    import doctest

    assert doctest.testmod(analogsim).failed == 0
