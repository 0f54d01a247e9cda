"""Sentences, in parts: a page and a Markdown file set them each in its own way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Part(NamedTuple):
    """Words of a sentence; strong ones name what it is about."""

    text: str
    strong: bool = False


@dataclass(frozen=True)
class Sentence:
    """One sentence or a few.

    Attributes:
        parts: in order.
        jobs: ids of the jobs that its numbers come from.
    """

    parts: tuple[Part, ...]
    jobs: Sequence[str] = ()

    @property
    def text(self) -> str:
        """Without any setting."""
        return "".join(part.text for part in self.parts)


def say(*parts: str | Part, jobs: Sequence[str] = ()) -> Sentence:
    """A sentence of these."""
    return Sentence(tuple(Part(part) if isinstance(part, str) else part for part in parts), jobs)


def strong(text: str) -> Part:
    """Words that name what a sentence is about."""
    return Part(text, strong=True)


def listed_strong(words: Sequence[str], last: str = "and") -> list[str | Part]:
    """The same, with each of them strong."""
    parts: list[str | Part] = []
    for at, word in enumerate(words):
        parts += [("" if at == 0 else f" {last} " if at == len(words) - 1 else ", "), strong(word)]
    return [part for part in parts if part]


def plural(count: int, one: str, many: str | None = None) -> str:
    """`1 chip`, `2 chips`."""
    return f"{count} {one if count == 1 else many or f'{one}s'}"
