"""Which word was meant: near matches of a misspelt key among those that stand at its place, and of a choice."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

from pydantic import BaseModel, Discriminator, Tag
from pydantic.fields import FieldInfo


def meant(word: object, known: Iterable[str]) -> str | None:
    """The known word that a misspelt one resembles, or `one or another` of those that it resembles about as much."""
    text = str(word)
    near = difflib.get_close_matches(text, set(known) - {text}, n=3, cutoff=0.65)
    likeness = [difflib.SequenceMatcher(None, each, text).ratio() for each in near]
    found = [each for each, ratio in zip(near, likeness, strict=True) if ratio > likeness[0] - 0.15]
    return " or ".join(part for part in (", ".join(found[:-1]), *found[-1:]) if part) or None


class _Way(NamedTuple):
    """A model that a field leads to, and what stands before its keys: tags of unions, and keys or numbers (None)."""

    model: type[BaseModel]
    before: tuple[str | None, ...] = ()


def keys_at(path: Sequence[str | int], root: type[BaseModel]) -> set[str]:
    """The keys that stand at a place of what a model describes.

    Args:
        path: to the place, with the tags of unions, as pydantic gives it.
        root: the model of the whole.
    """
    ways = [_Way(root)]
    for part in path:
        ways = [next_way for way in ways for next_way in _next(way, part)] or ways  # none: what pydantic itself adds
    return {key for way in ways if not way.before for key in way.model.model_fields}


def _next(way: _Way, part: str | int) -> Iterator[_Way]:
    if way.before:
        if way.before[0] in (None, part):
            yield _Way(way.model, way.before[1:])
    elif part in way.model.model_fields:
        field = way.model.model_fields[str(part)]
        yield from _ways(field.annotation, (), field.discriminator)


def _ways(annotation: Any, before: tuple[str | None, ...], chosen_by: Any = None) -> Iterator[_Way]:
    """To the models that an annotation speaks of: itself, members of unions, items of lists, values of mappings.

    Args:
        annotation: of a field, or a part of one.
        before: what stands before it.
        chosen_by: the key that chooses between members of the union that it is, if one does.
    """
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        tags = [each.tag for each in inner[1:] if isinstance(each, Tag)]
        keys = [each.discriminator for each in inner[1:] if isinstance(each, FieldInfo | Discriminator)]
        yield from _ways(inner[0], (*before, *tags), next((key for key in keys if isinstance(key, str)), chosen_by))
    elif isinstance(annotation, type) and origin is None:
        if issubclass(annotation, BaseModel):
            field = annotation.model_fields.get(chosen_by) if isinstance(chosen_by, str) else None
            values = get_args(field.annotation) if field and get_origin(field.annotation) is Literal else ()
            yield from (_Way(annotation, (*before, str(value))) for value in values)
            if not values:
                yield _Way(annotation, before)
    elif isinstance(origin, type) and issubclass(origin, Mapping):
        yield from _ways(inner[1], (*before, None))
    elif isinstance(origin, type) and issubclass(origin, Sequence):
        for each in inner:
            yield from _ways(each, (*before, None))
    else:
        for each in inner:
            yield from _ways(each, before, chosen_by)
