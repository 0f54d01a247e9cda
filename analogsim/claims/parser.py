"""From the text of a claim to its tree, by recursive descent. Every fault is told with its column, from 1."""

from __future__ import annotations

import re
from typing import NoReturn, cast

from analogsim.claims.arithmetic import evaluate
from analogsim.claims.tree import (
    Applied,
    Binary,
    Comparison,
    Expression,
    Number,
    Order,
    Quantity,
    Statement,
    Within,
    quantities,
)
from analogsim.errors import ClaimError

LONGEST = 1000
"""Characters of a claim."""
DEEPEST = 60
"""Operations and parentheses of a claim."""

OF_METRIC = ("final", "initial", "best", "least", "most", "at", "reach")
"""Functions of ARM.METRIC."""
OF_ARM = ("diverged", "angle")
"""Functions of ARM."""
_OF_NUMBER = ("abs", "log")
_FUNCTIONS = ", ".join((*OF_METRIC, *OF_ARM, *_OF_NUMBER, "within"))
_SECOND = {"at": "an epoch, such as 10", "reach": "a value, such as 90 %"}

_NUMBER = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ARM = re.compile(r'[A-Za-z][A-Za-z0-9_+-]*|"[A-Za-z0-9][A-Za-z0-9_+-]*"')
_AXIS = re.compile(r"[A-Za-z0-9_.]+")
_PLACE = re.compile(r"[^\],\[=]+")
_FOUND = re.compile(r"[A-Za-z_][A-Za-z0-9_+.-]*|[0-9.]+|[<>=!]=?|.", re.DOTALL)


def parse(text: str) -> Statement:
    """Read a claim.

    Raises:
        ClaimError: it is none; with the column, what was found there, and what would be right.
    """
    if len(text) > LONGEST:
        raise ClaimError(f"column {LONGEST + 1}: a claim has at most {LONGEST} characters (got {len(text)})")
    return _Reader(text).statement()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text, self._at, self._operations = text, 0, 0

    def statement(self) -> Statement:
        self._skip()
        tree = self._within() if self._word() == "within" else self._comparison()
        self._skip()
        if self._at < len(self._text):
            self._refuse_rest(after_within=isinstance(tree, Within))
        return tree

    def _within(self) -> Within:
        self._take_word()
        self._open("within")
        x = self._expression()
        self._comma("within", "the target")
        target = self._expression()
        self._comma("within", "the tolerance")
        self._skip()
        at = self._at
        tolerance = self._expression()
        self._close("within")
        tree = Within(x, target, tolerance)
        if any(quantities(tolerance)):
            self._fault("a tolerance is made of numbers only, such as 2 %", at)
        if not evaluate(tolerance, _no_quantity) >= 0:
            self._fault(f"a tolerance must not be below 0 (got {tolerance})", at)
        if not any(quantities(tree)):
            self._fault("speaks of numbers only; name a quantity, such as best(danp.test_accuracy)", 0)
        return tree

    def _comparison(self) -> Comparison:
        operands, operators = [self._expression()], []
        while (operator := self._order()) is not None:
            if operators and operators[-1][0] != operator[0]:
                at = self._at - len(operator)
                self._fault(f"a chain goes one way, but {operator} follows {operators[-1]}; write two claims", at)
            operators.append(operator)
            operands.append(self._expression())
        if not operators:
            self._expected("a comparison: <, <=, > or >=")
        tree = Comparison(tuple(operands), tuple(operators))
        for left, right in zip(operands, operands[1:], strict=False):
            if not any(quantities(left)) and not any(quantities(right)):
                self._fault(
                    f"{left} against {right} compares two numbers; name a quantity, such as best(danp.test_accuracy)", 0
                )
        return tree

    def _order(self) -> Order | None:
        self._skip()
        for operator in ("<=", ">=", "<", ">"):
            if self._text.startswith(operator, self._at):
                self._at += len(operator)
                return cast(Order, operator)
        return None

    def _expression(self) -> Expression:
        tree = self._term()
        while (operator := self._one_of("+-")) is not None:
            self._count()
            tree = Binary(operator, tree, self._term())  # pyright: ignore[reportArgumentType]
        return tree

    def _term(self) -> Expression:
        tree = self._factor()
        while (operator := self._one_of("*/")) is not None:
            self._count()
            tree = Binary(operator, tree, self._factor())  # pyright: ignore[reportArgumentType]
        return tree

    def _factor(self) -> Expression:
        self._skip()
        if self._one_of("-"):
            self._count()
            return Applied("-", self._factor())
        if self._one_of("("):
            self._count()
            tree = self._expression()
            self._close("the parenthesis")
            return tree
        if _NUMBER.match(self._text, self._at):
            return self._number()
        if not self._word():
            self._expected("a number, a quantity such as final(danp.test_accuracy), or a parenthesis")
        return self._call()

    def _call(self) -> Expression:
        begin, name = self._at, self._take_word()
        self._skip()
        if not self._text.startswith("(", self._at):
            known = name in (*OF_METRIC, *OF_ARM, *_OF_NUMBER)
            if known:
                self._expected(f"( after {name}")
            found = _found(self._text, begin)
            self._fault(f"{found} is no number; a quantity has a function, such as final({found})", begin)
        if name == "within":
            self._fault("within(...) is a claim of its own, no number to reckon with", begin)
        if name in OF_METRIC or name in OF_ARM:
            return self._quantity(name, begin)
        if name not in _OF_NUMBER:
            self._fault(f"no function is called {name!r}; choose one of {_FUNCTIONS}", begin)
        self._count()
        self._open(name)
        operand = self._expression()
        self._close(name)
        return Applied(name, operand)  # pyright: ignore[reportArgumentType]

    def _quantity(self, name: str, begin: int) -> Quantity:
        self._open(name)
        what = "ARM.METRIC, such as danp.test_accuracy" if name in OF_METRIC else "ARM, such as danp"
        self._skip()
        at, match = self._at, _ARM.match(self._text, self._at)
        if match is None:
            quoted = "; a name that starts with a digit is quoted" if _NUMBER.match(self._text, self._at) else ""
            self._expected(f"{name} of {what}{quoted}")
        self._at = match.end()
        point = self._point()
        metric = "angle" if name == "angle" else None
        if name in OF_METRIC:
            self._skip()
            if not self._text.startswith(".", self._at):
                self._expected(f"a dot and a metric after the arm: {name} is of {what}")
            self._at += 1
            self._skip()
            metric = self._take_word("a metric, such as test_accuracy")
        number = None
        if name in _SECOND:
            self._comma(name, _SECOND[name])
            self._skip()
            if _NUMBER.match(self._text, self._at) is None:
                self._expected(_SECOND[name])
            number = self._number()
        layer = self._layer(name, metric)
        self._close(name)
        return Quantity(name, match[0].strip('"'), point, metric, number, layer, begin + 1, at + 1)

    def _point(self) -> tuple[tuple[str, str], ...]:
        self._skip()
        if not self._one_of("["):
            return ()
        found: list[tuple[str, str]] = []
        while True:
            self._skip()
            axis = self._match(_AXIS, "an axis and its value, such as lr=0.01")
            self._skip()
            if not self._one_of("="):
                self._expected(f"= and a value after the axis {axis}")
            self._skip()
            place = self._match(_PLACE, f"a value of the axis {axis}").strip()
            found.append((axis, " ".join(place.split())))
            if self._one_of("]"):
                return tuple(found)
            if not self._one_of(","):
                self._expected("] after the point of the axes")

    def _layer(self, name: str, metric: str | None) -> int | None:
        self._skip()
        if not self._text.startswith(",", self._at):
            return None
        self._at += 1
        self._skip()
        at = self._at
        match = re.compile(r"layer\s*=\s*(-?[0-9]{1,4})(?![0-9.])").match(self._text, at)
        if match is None:
            self._expected(f"layer=N, or ) after what {name} is of")
        if metric is None or metric in ("test_accuracy", "test_loss", "train_loss"):
            self._fault(f"{metric or name} is of the whole network, so it takes no layer", at)
        self._at = match.end()
        return int(match[1])

    def _number(self) -> Number:
        begin = self._at
        match = _NUMBER.match(self._text, begin)
        assert match is not None
        self._at = match.end()
        if _WORD.match(self._text, self._at) or self._text.startswith(".", self._at):
            found = _found(self._text, self._at)
            self._fault(f"{match[0]}{found} is no number; a name that starts with a digit is quoted", begin)
        value = float(match[0])
        if value == float("inf"):
            self._fault(f"{match[0]} is too large for a number", begin)
        return Number(value, self._one_of("%") is not None, begin + 1)

    def _open(self, name: str) -> None:
        self._skip()
        if not self._one_of("("):
            self._expected(f"( after {name}")

    def _comma(self, name: str, what: str) -> None:
        self._refuse_comparison()
        if not self._one_of(","):
            self._expected(f", and {what}: {name} takes it")

    def _close(self, name: str) -> None:
        self._refuse_comparison()
        if not self._one_of(")"):
            self._expected(f") that ends {name}")

    def _refuse_comparison(self) -> None:
        self._skip()
        if self._at < len(self._text) and self._text[self._at] in "<>":
            self._fault(f"{_found(self._text, self._at)} inside parentheses; a comparison stands outside all of them")

    def _refuse_rest(self, after_within: bool) -> NoReturn:
        found = _found(self._text, self._at)
        if found[0] in "<>=!":
            hint = "within(...) stands alone" if after_within else "compare with <, <=, > or >=, or take within"
            self._fault(f"{found} cannot stand here; {hint}")
        if found in ("and", "or"):
            self._fault(f"{found}: write two claims, of which each has its verdict")
        if found == ")":
            self._fault("a ) that nothing opened; remove it")
        self._expected("an operator, or the end of the claim")

    def _expected(self, what: str) -> NoReturn:
        found = _found(self._text, self._at)
        if found[:1] in ("=", "!"):
            self._fault(f"{found} is no comparison; choose <, <=, > or >=, or take within(x, target, tolerance)")
        self._fault(f"expected {what} (found {found or 'the end of the claim'})")

    def _fault(self, message: str, at: int | None = None) -> NoReturn:
        raise ClaimError(f"column {(self._at if at is None else at) + 1}: {message}")

    def _count(self) -> None:
        self._operations += 1
        if self._operations > DEEPEST:
            self._fault(f"more than {DEEPEST} operations and parentheses; write several claims", self._at - 1)

    def _skip(self) -> None:
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1

    def _one_of(self, characters: str) -> str | None:
        self._skip()
        if self._at < len(self._text) and self._text[self._at] in characters:
            self._at += 1
            return self._text[self._at - 1]
        return None

    def _word(self) -> str:
        match = _WORD.match(self._text, self._at)
        return match[0] if match else ""

    def _take_word(self, what: str = "a word") -> str:
        return self._match(_WORD, what)

    def _match(self, pattern: re.Pattern[str], what: str) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            self._expected(what)
        self._at = match.end()
        return match[0]


def _no_quantity(quantity: Quantity) -> float:
    raise ValueError(f"{quantity} stands among numbers")


def _found(text: str, at: int) -> str:
    """What stands there, as a reader would call it; empty at the end."""
    match = _FOUND.match(text, at)
    return match[0][:40] if match else ""
