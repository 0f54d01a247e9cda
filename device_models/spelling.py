"""Which word was meant: near matches of a misspelt key among those that stand at its place, and of a choice."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel


def meant(word: object, known: Iterable[str]) -> str | None:
    """The known word that a misspelt one resembles, or `one or another` of those that it resembles about as much."""
    text = str(word)
    near = difflib.get_close_matches(text, list(known), n=3, cutoff=0.6)
    likeness = [difflib.SequenceMatcher(None, each, text).ratio() for each in near]
    found = [each for each, ratio in zip(near, likeness, strict=True) if ratio > likeness[0] - 0.15]
    return " or ".join(part for part in (", ".join(found[:-1]), *found[-1:]) if part) or None


def keys_at(path: Sequence[str | int], root: type[BaseModel]) -> set[str]:
    """The keys that stand at a place of what a model describes.

    Args:
        path: to the place, with the tags of unions, as pydantic gives it.
        root: the model of the whole.
    """
    models = {root}
    for part in path:
        fields = [each.model_fields[str(part)] for each in models if str(part) in each.model_fields]
        inner = {model for field in fields for model in _models(field.annotation)}
        tagged = {model for model in models if any(_is_tag(part, field.annotation) for field in _fields(model))}
        models = inner or tagged or models  # none: a list's index, a mapping's key, or another union's tag
    return {key for model in models for key in model.model_fields}


def _fields(model: type[BaseModel]) -> Iterable[Any]:
    return model.model_fields.values()


def _is_tag(part: object, annotation: Any) -> bool:
    return get_origin(annotation) is Literal and part in get_args(annotation)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that an annotation speaks of: itself, members of unions, items of lists, values of mappings."""
    if isinstance(annotation, type) and get_origin(annotation) is None:
        if issubclass(annotation, BaseModel):
            yield annotation
        return
    for inner in get_args(annotation):
        yield from _models(inner)
