"""References and the summary of a profile: what a person reads first."""

from __future__ import annotations

from typing import Any

import pytest

from device_models import DeviceProfile, ProfileError, load_profile, preset_names
from device_models.bibliography import bibtex, keys
from device_models.reference import Reference
from device_models.summary import Row, assumptions, citation, levels, quantity, sources, summary

CELL: dict[str, Any] = {"name": "cell", "conductance": {"max": "25 uS"}}


def _profile(*references: Any, **settings: Any) -> DeviceProfile:
    return DeviceProfile.from_data({**CELL, **settings, "references": list(references)})


@pytest.mark.parametrize(
    ("entry", "what", "cite", "assumed"),
    [
        ("assumed: round figures", (), None, True),
        ("a remark", (), None, False),
        ({"what": "read noise, dac.range", "cite": "joshi2020"}, ("read_noise", "dac.range"), "joshi2020", False),
        ({"what": "drift", "cite": "joshi2020", "note": "assumed so by them"}, ("drift",), "joshi2020", False),
        ({"what": "drift", "note": "Assumed: t0"}, ("drift",), None, True),
    ],
)
def test_a_reference_is_read_and_written_back(entry: Any, what: Any, cite: Any, assumed: bool) -> None:
    reference = Reference.model_validate(entry)
    assert (reference.settings, reference.cite, reference.assumed) == (what, cite, assumed)
    assert reference.model_dump(mode="json") == entry


def test_a_reference_in_a_line() -> None:
    assert Reference.model_validate("a remark").text == "a remark"
    entry = Reference(what="read_noise", cite="nyquist1928", note="Fig. 1")
    assert entry.text == "read noise: Nyquist (1928); Fig. 1"


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        (3, "references.0: must be text or {what: ..., cite: ..., note: ...} (got 3)"),
        ({"what": "drift"}, "references.0: must name a work (`cite`) or say something (`note`)"),
        ("  ", "references.0: must name a work (`cite`) or say something (`note`)"),
        ({"cite": "joshi2021"}, "references.0.cite: no work has the key 'joshi2021'; there are agrawal2022, "),
        ({"cite": "joshi2020", "page": 3}, "references.0.page: unknown key"),
    ],
)
def test_a_reference_that_says_nothing_is_refused(entry: Any, fault: str) -> None:
    with pytest.raises(ProfileError) as caught:
        _profile(entry)
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert lines[1].startswith(f"  - {fault}")


def test_a_citation_has_exactly_the_works_that_are_used() -> None:
    profile = _profile({"cite": "wan2022"}, "a remark", {"what": "adc", "cite": "joshi2020"}, {"cite": "wan2022"})
    assert citation(profile) == bibtex(["wan2022", "joshi2020"])
    assert citation(profile).count("@") == 2
    assert citation(_profile("a remark")) == ""
    cited = {entry.cite for name in preset_names() for entry in load_profile(name).references if entry.cite}
    assert cited <= set(keys())


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0 S"), (25e-6, "25 uS"), (1e-3, "1 mS"), (999.96e-9, "1 uS"), (1.054e-6, "1.05 uS"), (3e-13, "0.3 pS")],
)
def test_quantities_are_readable(value: float, text: str) -> None:
    assert quantity(value, "S") == text


def _found(profile: DeviceProfile, about: str) -> list[Row]:
    return [row for row in summary(profile) if row.about == about]


def test_a_summary_gives_figures_at_a_few_conductances() -> None:
    profile = load_profile("pcm")
    assert levels(profile) == ("0 S", "1.25 uS", "5 uS", "12.5 uS", "25 uS")
    assert _found(profile, "conductance") == [Row("conductance", "0 S to 25 uS")]
    (programming,) = _found(profile, "programming")
    assert programming.values[2] == "610 nS"  # 0.26348 + 1.9650 / 5 - 1.1731 / 25 = 0.60956
    nu, sd, left = _found(profile, "drift")
    assert (nu.values[4], sd.values[4]) == ("0.049", "0.008")
    assert left.values[4] == "66.4 %"  # (86400 / 20)^-0.049 = 0.6635
    between, hour = _found(profile, "read noise")
    assert hour.values[4] == "1.05 uS"  # 25 uS x 0.0088 sqrt(ln(3600 s / 500 ns))
    assert float(between.values[4].split()[0]) == 676  # nS: 25 uS x 0.0088 sqrt(ln(pi 1 ms / 250 ns))
    assert _found(profile, "DAC")[0].text == "8 bits, +-6 in units of the activations, step 0.0472"
    assert _found(profile, "timing")[0].text == "a pass every 1 us; slow is what outlives 1 ms"


def test_a_summary_of_other_settings_tells_what_is_set() -> None:
    profile = _profile(
        wires={"resistance": "0.35 ohm"},
        read_noise=[{"kind": "additive", "sigma": "1 %"}, {"kind": "telegraph", "amplitude": "3 %", "tau": "1 h"}],
        granularity="0.1 uS",
        cell="reference",
        dac={"bits": 4, "range": 7, "scaling": "per_vector"},
    )
    assert _found(profile, "wires") == [Row("wires", "resistance 0.35 ohm")]
    assert _found(profile, "granularity") == [Row("granularity", "0.1 uS")]
    assert _found(profile, "cell") == [Row("cell", "reference")]
    assert _found(profile, "DAC")[0].text.endswith("step 1, scaling per vector")
    white, slow = _found(profile, "read noise")
    assert white.text == "additive, sd between passes: 250 nS at every conductance"
    assert slow.text == "kind telegraph, amplitude 3 %, tau 3600 s"


def test_a_summary_of_several_values_takes_the_first_and_says_so() -> None:
    profile = _profile(read_noise={"sigma": {"each": ["2 %", "1 %"]}}, column_noise={"sigma": {"each": ["0 %"] * 3}})
    assert _found(profile, "read noise")[0].text == "additive, sd between passes: 500 nS at every conductance"
    told = [row.text for row in _found(profile, "several values")]
    assert told[0] == "read_noise.0.sigma 2 %, 1 %; the first is shown here"
    assert len(told) == 2


def test_sources_and_assumptions_are_told_apart() -> None:
    profile = _profile(
        {"what": "conductance", "cite": "wan2022", "note": "Fig. 1"},
        {"what": "read noise", "note": "our own measurement"},
        {"what": "adc.range", "note": "assumed: 12"},
        read_noise={"sigma": "1 %"},
        adc={"bits": 8, "range": 12},
        dac={"bits": 8, "range": 6},
    )
    assert sources(profile) == [
        Row("conductance", "Wan et al. (2022), doi:10.1038/s41586-022-04992-8; Fig. 1"),
        Row("read noise", "our own measurement"),
    ]
    assert assumptions(profile) == [Row("adc.range", "12"), Row("dac", "no source is given")]
    about_all = _profile("assumed: all of it", dac={"bits": 8, "range": 6})
    assert assumptions(about_all) == [Row("", "all of it")]


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_has_a_summary(name: str) -> None:
    profile = load_profile(name)
    rows = summary(profile)
    assert rows[0].about == "conductance"
    assert all(row.text for row in rows)
    assert all(len(row.values) in (0, 5) for row in rows)
    assert all(row.text != "no source is given" for row in assumptions(profile))
