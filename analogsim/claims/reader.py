"""A text that is read from left to right, and how faults of it are told."""

from __future__ import annotations

import re
from typing import NoReturn

from analogsim.errors import ClaimError

DEEPEST = 60
"""Operations and parentheses of a claim."""

NUMBER = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FOUND = re.compile(r"[A-Za-z_][A-Za-z0-9_+.-]*|[0-9.]+|[<>=!]=?|.", re.DOTALL)


class Reader:
    """A place in a text.

    Attributes:
        text: of the claim.
        at: how many of its characters were read.
    """

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self._operations = 0

    def skip(self) -> None:
        """Read white space."""
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def one_of(self, characters: str) -> str | None:
        """Read the next character but for white space, if it is one of these."""
        self.skip()
        if self.at < len(self.text) and self.text[self.at] in characters:
            self.at += 1
            return self.text[self.at - 1]
        return None

    def word(self) -> str:
        """The word that begins here, unread; empty if there is none."""
        match = WORD.match(self.text, self.at)
        return match[0] if match else ""

    def match(self, pattern: re.Pattern[str], what: str) -> str:
        """Read what a pattern matches.

        Raises:
            ClaimError: it matches nothing; `what` says what was expected.
        """
        match = pattern.match(self.text, self.at)
        if match is None:
            self.expected(what)
        self.at = match.end()
        return match[0]

    def found(self, at: int | None = None) -> str:
        """What stands here, or elsewhere, as a reader would call it; empty at the end."""
        match = _FOUND.match(self.text, self.at if at is None else at)
        return match[0][:40] if match else ""

    def count(self) -> None:
        """Count an operation or a parenthesis.

        Raises:
            ClaimError: there are too many.
        """
        self._operations += 1
        if self._operations > DEEPEST:
            self.fault(f"more than {DEEPEST} operations and parentheses; write several claims", self.at - 1)

    def expected(self, what: str) -> NoReturn:
        """Refuse what stands here."""
        found = self.found()
        if found[:1] in ("=", "!"):
            self.fault(f"{found} is no comparison; choose <, <=, > or >=, or take within(x, target, tolerance)")
        self.fault(f"expected {what} (found {found or 'the end of the claim'})")

    def fault(self, message: str, at: int | None = None) -> NoReturn:
        """Refuse the claim, here or elsewhere."""
        raise ClaimError(f"column {(self.at if at is None else at) + 1}: {message}")
