"""What a claim says, as a tree. Printing a tree and parsing the text gives the same tree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from analogsim.claims.metrics import SHARES

Order = Literal["<", "<=", ">", ">="]

_RANK = {"+": 1, "-": 1, "*": 2, "/": 2}


@dataclass(frozen=True)
class Number:
    """A number as written: `0.5`, `44.4 %`."""

    written: float
    percent: bool = False
    column: int = field(default=1, compare=False)

    @property
    def value(self) -> float:
        """What it stands for."""
        return self.written / 100 if self.percent else self.written

    def __str__(self) -> str:
        return repr(self.written).removesuffix(".0") + (" %" if self.percent else "")


@dataclass(frozen=True)
class Quantity:
    """One number of each chip of an arm.

    Attributes:
        function: `final`, `at`, `reach`, `diverged` and so on.
        arm: its name.
        point: the place on axes that is meant, each an axis's last word and its value as written.
        metric: None for `diverged`.
        number: the epoch of `at`, the value of `reach`.
        layer: from 0, or from -1 for the last backwards; None: the mean over layers.
        column: where it stands in the claim, from 1.
        arm_column: where its arm stands.
    """

    function: str
    arm: str
    point: tuple[tuple[str, str], ...] = ()
    metric: str | None = None
    number: Number | None = None
    layer: int | None = None
    column: int = field(default=1, compare=False)
    arm_column: int = field(default=1, compare=False)

    def __str__(self) -> str:
        arm = f'"{self.arm}"' if self.arm[0].isdigit() else self.arm
        if self.point:
            arm += f"[{', '.join(f'{axis}={place}' for axis, place in self.point)}]"
        named = self.metric is not None and self.function != "angle"
        parts = [f"{arm}.{self.metric}" if named else arm]
        parts += [] if self.number is None else [str(self.number)]
        parts += [] if self.layer is None else [f"layer={self.layer}"]
        return f"{self.function}({', '.join(parts)})"


@dataclass(frozen=True)
class Applied:
    """`abs(x)`, `log(x)`, or `-x`."""

    function: Literal["abs", "log", "-"]
    operand: Expression

    def __str__(self) -> str:
        if self.function != "-":
            return f"{self.function}({self.operand})"
        return f"-({self.operand})" if isinstance(self.operand, Binary) else f"-{self.operand}"


@dataclass(frozen=True)
class Binary:
    """`left + right`, and the like."""

    operator: Literal["+", "-", "*", "/"]
    left: Expression
    right: Expression

    def __str__(self) -> str:
        return f"{self._inside(self.left, 0)} {self.operator} {self._inside(self.right, 1)}"

    def _inside(self, operand: Expression, side: int) -> str:
        weaker = isinstance(operand, Binary) and _RANK[operand.operator] < _RANK[self.operator] + side
        return f"({operand})" if weaker else str(operand)


Expression = Number | Quantity | Applied | Binary


@dataclass(frozen=True)
class Comparison:
    """`a < b`, or a chain `a < b < c`: one operator less than operands."""

    operands: tuple[Expression, ...]
    operators: tuple[Order, ...]

    def __str__(self) -> str:
        rest = (f" {o} {x}" for o, x in zip(self.operators, self.operands[1:], strict=True))
        return str(self.operands[0]) + "".join(rest)


@dataclass(frozen=True)
class Within:
    """`within(x, target, tolerance)`; the tolerance holds no quantity."""

    x: Expression
    target: Expression
    tolerance: Expression

    def __str__(self) -> str:
        return f"within({self.x}, {self.target}, {self.tolerance})"


Statement = Comparison | Within


def quantities(tree: Statement | Expression) -> Iterator[Quantity]:
    """The quantities in it, in the order of the text."""
    match tree:
        case Quantity():
            yield tree
        case Number():
            pass
        case Applied():
            yield from quantities(tree.operand)
        case _:
            for part in _parts(tree):
                yield from quantities(part)


def _parts(tree: Binary | Comparison | Within) -> tuple[Expression, ...]:
    match tree:
        case Binary():
            return tree.left, tree.right
        case Comparison():
            return tree.operands
        case Within():
            return tree.x, tree.target, tree.tolerance


def is_share(tree: Expression) -> bool | None:
    """Whether it is an accuracy, or a difference of such, which reads best in percent; None: a bare number."""
    match tree:
        case Number():
            return None
        case Quantity():
            return tree.metric in SHARES and tree.function not in ("reach", "epoch_of_best")
        case Applied():
            return is_share(tree.operand) if tree.function != "log" else False
        case Binary(operator=operator):
            left, right = is_share(tree.left), is_share(tree.right)
            if operator in "+-":
                return left if right is None else right if left is None else left and right
            scaled = right is None if operator == "/" else None in (left, right)
            return (left if right is None else right) if scaled else False
