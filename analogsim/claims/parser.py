"""From the text of a claim to its tree, by recursive descent. Every fault is told with its column, from 1."""

from __future__ import annotations

import math
import re
from typing import NoReturn, cast

from analogsim.claims.arithmetic import evaluate
from analogsim.claims.reader import NUMBER, WORD, Reader
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

OF_METRIC = ("final", "initial", "best", "least", "most", "at", "reach", "epoch_of_best")
"""Functions of ARM.METRIC."""
OF_ARM = ("diverged", "angle")
"""Functions of ARM."""
_OF_NUMBER = ("abs", "log")
_FUNCTIONS = ", ".join((*OF_METRIC, *OF_ARM, *_OF_NUMBER, "within"))
_SECOND = {"at": "an epoch, such as 10", "reach": "a value, such as 90 %"}

_ARM = re.compile(r'[A-Za-z][A-Za-z0-9_+-]*|"[A-Za-z0-9][A-Za-z0-9_+-]*"')
_AXIS = re.compile(r"[A-Za-z0-9_.]+")
_PLACE = re.compile(r"[^\],\[=]+")


def parse(text: str) -> Statement:
    """Read a claim.

    Raises:
        ClaimError: it is none; with the column, what was found there, and what would be right.
    """
    if len(text) > LONGEST:
        raise ClaimError(f"column {LONGEST + 1}: a claim has at most {LONGEST} characters (got {len(text)})")
    return _Grammar(text).statement()


class _Grammar(Reader):
    def statement(self) -> Statement:
        self.skip()
        tree = self._within() if self.word() == "within" else self._comparison()
        self.skip()
        if self.at < len(self.text):
            self._refuse_rest(after_within=isinstance(tree, Within))
        return tree

    def _within(self) -> Within:
        self.match(WORD, "a word")
        self._open("within")
        x = self._expression()
        self._comma("within", "the target")
        target = self._expression()
        self._comma("within", "the tolerance")
        self.skip()
        at = self.at
        tolerance = self._expression()
        self._close("within")
        tree = Within(x, target, tolerance)
        if any(quantities(tolerance)):
            self.fault("a tolerance is made of numbers only, such as 2 %", at)
        if not 0 <= evaluate(tolerance, _no_quantity) < math.inf:
            self.fault(f"a tolerance must be a finite number, not below 0 (got {tolerance})", at)
        if not any(quantities(tree)):
            self.fault("speaks of numbers only; name a quantity, such as best(danp.test_accuracy)", 0)
        return tree

    def _comparison(self) -> Comparison:
        operands, operators = [self._expression()], []
        while (operator := self._order()) is not None:
            if operators and operators[-1][0] != operator[0]:
                at = self.at - len(operator)
                self.fault(f"a chain goes one way, but {operator} follows {operators[-1]}; write two claims", at)
            operators.append(operator)
            operands.append(self._expression())
        if not operators:
            self.expected("a comparison: <, <=, > or >=")
        tree = Comparison(tuple(operands), tuple(operators))
        for left, right in zip(operands, operands[1:], strict=False):
            if not any(quantities(left)) and not any(quantities(right)):
                self.fault(
                    f"{left} against {right} compares two numbers; name a quantity, such as best(danp.test_accuracy)", 0
                )
        return tree

    def _order(self) -> Order | None:
        self.skip()
        for operator in ("<=", ">=", "<", ">"):
            if self.text.startswith(operator, self.at):
                self.at += len(operator)
                return cast(Order, operator)
        return None

    def _expression(self) -> Expression:
        tree = self._term()
        while (operator := self.one_of("+-")) is not None:
            self.count()
            tree = Binary(operator, tree, self._term())  # pyright: ignore[reportArgumentType]
        return tree

    def _term(self) -> Expression:
        tree = self._factor()
        while (operator := self.one_of("*/")) is not None:
            self.count()
            tree = Binary(operator, tree, self._factor())  # pyright: ignore[reportArgumentType]
        return tree

    def _factor(self) -> Expression:
        self.skip()
        if self.one_of("-"):
            self.count()
            return Applied("-", self._factor())
        if self.one_of("("):
            self.count()
            tree = self._expression()
            self._close("the parenthesis")
            return tree
        if NUMBER.match(self.text, self.at):
            return self._number()
        if not self.word():
            self.expected("a number, a quantity such as final(danp.test_accuracy), or a parenthesis")
        return self._call()

    def _call(self) -> Expression:
        begin, name = self.at, self.match(WORD, "a word")
        self.skip()
        if not self.text.startswith("(", self.at):
            known = name in (*OF_METRIC, *OF_ARM, *_OF_NUMBER)
            if known:
                self.expected(f"( after {name}")
            found = self.found(begin)
            self.fault(f"{found} is no number; a quantity has a function, such as final({found})", begin)
        if name == "within":
            self.fault("within(...) is a claim of its own, no number to reckon with", begin)
        if name in OF_METRIC or name in OF_ARM:
            return self._quantity(name, begin)
        if name not in _OF_NUMBER:
            self.fault(f"no function is called {name!r}; choose one of {_FUNCTIONS}", begin)
        self.count()
        self._open(name)
        operand = self._expression()
        self._close(name)
        return Applied(name, operand)  # pyright: ignore[reportArgumentType]

    def _quantity(self, name: str, begin: int) -> Quantity:
        self._open(name)
        what = "ARM.METRIC, such as danp.test_accuracy" if name in OF_METRIC else "ARM, such as danp"
        self.skip()
        at, match = self.at, _ARM.match(self.text, self.at)
        if match is None:
            quoted = "; a name that starts with a digit is quoted" if NUMBER.match(self.text, self.at) else ""
            self.expected(f"{name} of {what}{quoted}")
        self.at = match.end()
        point = self._point()
        metric = "angle" if name == "angle" else None
        if name in OF_METRIC:
            self.skip()
            if not self.text.startswith(".", self.at):
                self.expected(f"a dot and a metric after the arm: {name} is of {what}")
            self.at += 1
            self.skip()
            metric = self.match(WORD, "a metric, such as test_accuracy")
        number = None
        if name in _SECOND:
            self._comma(name, _SECOND[name])
            self.skip()
            if NUMBER.match(self.text, self.at) is None:
                self.expected(_SECOND[name])
            number = self._number()
        layer = self._layer(name, metric)
        self._close(name)
        return Quantity(name, match[0].strip('"'), point, metric, number, layer, begin + 1, at + 1)

    def _point(self) -> tuple[tuple[str, str], ...]:
        self.skip()
        if not self.one_of("["):
            return ()
        found: list[tuple[str, str]] = []
        while True:
            self.skip()
            axis = self.match(_AXIS, "an axis and its value, such as lr=0.01")
            self.skip()
            if not self.one_of("="):
                self.expected(f"= and a value after the axis {axis}")
            self.skip()
            place = self.match(_PLACE, f"a value of the axis {axis}").strip()
            found.append((axis, " ".join(place.split())))
            if self.one_of("]"):
                return tuple(found)
            if not self.one_of(","):
                self.expected("] after the point of the axes")

    def _layer(self, name: str, metric: str | None) -> int | None:
        self.skip()
        if not self.text.startswith(",", self.at):
            return None
        self.at += 1
        self.skip()
        at = self.at
        match = re.compile(r"layer\s*=\s*(-?[0-9]{1,4})(?![0-9.])").match(self.text, at)
        if match is None:
            self.expected(f"layer=N, or ) after what {name} is of")
        if metric is None or metric in ("test_accuracy", "test_loss", "train_loss"):
            self.fault(f"{metric or name} is of the whole network, so it takes no layer", at)
        self.at = match.end()
        return int(match[1])

    def _number(self) -> Number:
        begin = self.at
        match = NUMBER.match(self.text, begin)
        assert match is not None
        self.at = match.end()
        if WORD.match(self.text, self.at) or self.text.startswith(".", self.at):
            found = self.found()
            self.fault(f"{match[0]}{found} is no number; a name that starts with a digit is quoted", begin)
        value = float(match[0])
        if value == float("inf"):
            self.fault(f"{match[0]} is too large for a number", begin)
        return Number(value, self.one_of("%") is not None, begin + 1)

    def _open(self, name: str) -> None:
        self.skip()
        if not self.one_of("("):
            self.expected(f"( after {name}")

    def _comma(self, name: str, what: str) -> None:
        self._refuse_comparison()
        if not self.one_of(","):
            self.expected(f", and {what}: {name} takes it")

    def _close(self, name: str) -> None:
        self._refuse_comparison()
        if not self.one_of(")"):
            self.expected(f") that ends {name}")

    def _refuse_comparison(self) -> None:
        self.skip()
        if self.at < len(self.text) and self.text[self.at] in "<>":
            self.fault(f"{self.found()} inside parentheses; a comparison stands outside all of them")

    def _refuse_rest(self, after_within: bool) -> NoReturn:
        found = self.found()
        if found[0] in "<>=!":
            hint = "within(...) stands alone" if after_within else "compare with <, <=, > or >=, or take within"
            self.fault(f"{found} cannot stand here; {hint}")
        if found in ("and", "or"):
            self.fault(f"{found}: write two claims, of which each has its verdict")
        if found == ")":
            self.fault("a ) that nothing opened; remove it")
        self.expected("an operator, or the end of the claim")


def _no_quantity(quantity: Quantity) -> float:
    raise ValueError(f"{quantity} stands among numbers")
