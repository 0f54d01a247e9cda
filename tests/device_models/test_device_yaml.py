"""The strict YAML of profiles."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest

from device_models import ProfileError
from device_models._yaml import dump_yaml, load_yaml, read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        ("-2.5e+1", -25.0),
        (".5", 0.5),
        ("3", 3),
        ("010", 10),
        ("-7", -7),
        ("true", True),
        ("yes", "yes"),
        ("off", "off"),
        ("1:30", "1:30"),
        ("2020-01-01", "2020-01-01"),
        ("0x10", "0x10"),
        ("1_000", "1_000"),
        ("25 uS", "25 uS"),
        ("~", None),
        (".inf", math.inf),
    ],
)
def test_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    result = load_yaml(f"key: {text}", "file")["key"]
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("text", "line"),
    [("a: 1\nb: 2\na: 3", 3), ("a:\n  b: 1\n  c: 2\n  b: 1", 4), ("[{a: 1, a: 2}]", 1), ("1: a\n1: b", 2)],
)
def test_a_duplicate_key_is_refused_with_its_line(text: str, line: int) -> None:
    with pytest.raises(ProfileError, match=rf"^file: line {line}: .*stands twice"):
        load_yaml(text, "file")


def test_the_same_key_in_two_mappings_is_none_twice() -> None:
    assert load_yaml("a: {k: 1}\nb: {k: 2}", "file") == {"a": {"k": 1}, "b": {"k": 2}}


def test_tags_that_build_objects_are_refused_and_nothing_runs(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    for tag in (
        f"!!python/object/apply:pathlib.Path.touch [{trace}]",
        f"!!python/object/apply:os.system ['touch {trace}']",
        f"!!python/object/new:os.system ['touch {trace}']",
        "!!python/name:os.system",
        "!!python/object:device_models.ADC {}",
        "!anything {}",
    ):
        with pytest.raises(ProfileError, match=r"^file: line 1: not readable as YAML"):
            load_yaml(f"key: {tag}", "file")
    assert not trace.exists()


@pytest.mark.parametrize("text", ["a: [1", "a: b: c", "a\n\tb: 1", "a: 1\n---\nb: 2", "? [1]\n: 2", "~: 1", "a: *b"])
def test_what_is_no_plain_document_is_refused(text: str) -> None:
    with pytest.raises(ProfileError, match=r"^file: line \d"):
        load_yaml(text, "file")


def test_reading_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "some.yaml"
    with pytest.raises(ProfileError, match=r"some\.yaml: cannot be read: "):
        read_yaml(path)
    path.write_bytes(b"name: \xff\xfe")
    with pytest.raises(ProfileError, match="not UTF-8"):
        read_yaml(path)
    path.write_text("a: 1\na: 2")
    with pytest.raises(ProfileError, match=r"some\.yaml: line 2"):
        read_yaml(path)


def test_floats_survive_writing_and_reading_bit_for_bit() -> None:
    numbers = random.Random(2)
    values = [math.ldexp(numbers.random() - 0.5, numbers.randrange(-300, 300)) for _ in range(2000)]
    values += [0.0, 1e-5, 1e16, 1e22, 5e-324, math.inf, -math.inf, 1.0]
    result = load_yaml(dump_yaml(values), "text")
    assert result == values
    assert {type(value) for value in result} == {float}


TEXTS = [
    "25 uS",
    "yes",
    "null",
    "true",
    "1.5",
    "12",
    "010",
    "0x1f",
    "2020-01-01",
    "-",
    "a: b",
    "# no",
    "é",
    "two\nlines",
    "",
]


# What a reader of YAML 1.2 takes for a number, and one of YAML 1.1 does not.
NUMBERS = ["1e5", "08", ".5e3", "1.e3"]


@pytest.mark.parametrize("text", [*TEXTS, *NUMBERS])
def test_texts_survive_writing_and_reading(text: str) -> None:
    assert load_yaml(dump_yaml({"name": text}), "text") == {"name": text}


def test_a_text_that_is_read_again_knows_nothing_of_changes_to_what_was_read() -> None:
    first = load_yaml("a: {b: [1, 2]}", "file")
    first["a"]["b"].append(3)
    assert load_yaml("a: {b: [1, 2]}", "another") == {"a": {"b": [1, 2]}}
