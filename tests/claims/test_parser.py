"""Claims are read, printed as they are read, and refused with the column and what would be right."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analogsim.claims import parse
from analogsim.claims.parser import OF_ARM, OF_METRIC
from analogsim.claims.tree import Applied, Binary, Comparison, Expression, Number, Quantity, Within, quantities
from analogsim.errors import ClaimError

ACCURACY = "best(np.test_accuracy)"


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("", 1, ["expected a number, a quantity such as final(danp.test_accuracy)", "found the end of the claim"]),
        (ACCURACY, 23, ["expected a comparison: <, <=, > or >="]),
        ("bset(np.test_accuracy) > 1", 1, ["no function is called 'bset'", "choose one of final, initial, best"]),
        ("0.5 < bset(np.test_accuracy)", 7, ["no function is called 'bset'"]),
        ("best(0.5) > 1", 6, ["best of ARM.METRIC, such as danp.test_accuracy", "quoted", "found 0.5"]),
        ("best(np) > 1", 8, ["a dot and a metric after the arm", "found )"]),
        ("diverged(3) > 0", 10, ["diverged of ARM, such as danp"]),
        ("np.test_accuracy > 0.5", 1, ["np.test_accuracy is no number", "final(np.test_accuracy)"]),
        ("best(np.test_accuracy > 0.5", 23, ["> inside parentheses", "outside"]),
        (f"({ACCURACY} < 1) + 1", 25, ["< inside parentheses"]),
        (f"{ACCURACY} == 1", 24, ["== is no comparison; choose <, <=, > or >=, or take within"]),
        (f"{ACCURACY} => 1", 24, ["= is no comparison"]),
        (f"{ACCURACY} < 1 and 2 < 3", 28, ["and: write two claims"]),
        (f"{ACCURACY} < 1 > 0", 28, ["a chain goes one way, but > follows <"]),
        ("1 < 2", 1, ["1 against 2 compares two numbers", "name a quantity"]),
        (f"{ACCURACY} < 1 < 2", 1, ["1 against 2 compares two numbers"]),
        ("best(np.test_accuracy < 1", 23, ["inside parentheses"]),
        ("best(np.test_accuracy", 22, ["expected ) that ends best", "found the end"]),
        (f"({ACCURACY} < 1", 25, ["inside parentheses"]),
        (f"{ACCURACY} < (1 + 2", 32, ["expected ) that ends the parenthesis"]),
        (f"{ACCURACY} < 1)", 27, ["a ) that nothing opened"]),
        (f"{ACCURACY} < 5x", 26, ["5x is no number"]),
        (f"{ACCURACY} < 1e999", 26, ["too large"]),
        (f"{ACCURACY} < ", 26, ["expected a number"]),
        (f"{ACCURACY} < 1 × 2", 28, ["expected an operator, or the end of the claim (found ×)"]),
        ("at(np.test_accuracy) > 1", 20, ["an epoch, such as 10"]),
        ("reach(np.test_accuracy, high) > 1", 25, ["a value, such as 90 %", "found high"]),
        ("final(np.test_loss, layer=1) > 1", 21, ["test_loss is of the whole network, so it takes no layer"]),
        ("final(np.angle, layer=x) > 1", 17, ["layer=N"]),
        ("final(np.angle, 3) > 1", 17, ["layer=N, or ) after what final is of"]),
        ("final(np[lr 0.1].angle) > 1", 13, ["= and a value after the axis lr"]),
        ("final(np[lr=0.1.angle) > 1", 27, ["] after the point of the axes"]),
        ("within(1, 2) ", 12, [", and the tolerance"]),
        ("within(1, 2, 3)", 1, ["speaks of numbers only"]),
        (f"within({ACCURACY}, 2, {ACCURACY})", 35, ["a tolerance is made of numbers only"]),
        (f"within({ACCURACY}, 2, -1)", 35, ["must be a finite number, not below 0 (got -1)"]),
        (f"within({ACCURACY}, 2, 1 / 0)", 35, ["must be a finite number, not below 0 (got 1 / 0)"]),
        (f"within({ACCURACY}, 2, 3) < 4", 38, ["within(...) stands alone"]),
        (f"1 + within({ACCURACY}, 2, 3) < 4", 5, ["a claim of its own"]),
        (f"log < {ACCURACY}", 5, ["( after log"]),
        (f"{ACCURACY} < {'(' * 70}", 86, ["more than 60 operations and parentheses"]),
        (f"{ACCURACY} < {'+'.join('1' * 70)}", 147, ["more than 60 operations"]),
        ("1" * 1001, 1001, ["at most 1000 characters (got 1001)"]),
    ],
)
def test_a_fault_is_told_with_its_column(text: str, column: int, words: list[str]) -> None:
    with pytest.raises(ClaimError) as caught:
        parse(text)
    message = str(caught.value)
    assert message.startswith(f"column {column}: "), message
    for word in words:
        assert word in message


def test_what_stands_for_what() -> None:
    tree = parse(
        '2 * reach("3x1024"[lr=0.01, sigma = 1 %].test_loss, 5 %) - 1 < at(np-1+2.angle,10,layer=-1) <= log(3)'
    )
    left = Quantity("reach", "3x1024", (("lr", "0.01"), ("sigma", "1 %")), "test_loss", Number(5, percent=True))
    right = Quantity("at", "np-1+2", (), "angle", Number(10), -1)
    first = Binary("-", Binary("*", Number(2), left), Number(1))
    assert tree == Comparison((first, right, Applied("log", Number(3))), ("<", "<="))
    assert [each.column for each in quantities(tree)] == [5, 64]
    assert Number(5, percent=True).value == 0.05
    assert parse("angle(np) > 1") == Comparison((Quantity("angle", "np", (), "angle"), Number(1)), (">",))


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("(1+2)*3-(4-5)-6/(7/8)<best(np.x)", "(1 + 2) * 3 - (4 - 5) - 6 / (7 / 8) < best(np.x)"),
        ("-(1+2)*-3 >= - - best( np . x )", "-(1 + 2) * -3 >= --best(np.x)"),
        ("within(angle(np,layer=0),44.4%,2%)", "within(angle(np, layer=0), 44.4 %, 2 %)"),
        ("diverged(a)\n  > 1e-6", "diverged(a) > 1e-06"),
    ],
)
def test_printing(text: str, printed: str) -> None:
    assert str(parse(text)) == printed
    assert parse(printed) == parse(text)


NUMBERS = st.builds(Number, st.floats(0, 1e12), st.booleans())
ARMS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_+-]{0,6}", fullmatch=True)
METRICS = st.sampled_from(["test_accuracy", "angle", "weight_norm"])
POINTS = st.lists(st.tuples(st.sampled_from(["lr", "0.sigma"]), st.sampled_from(["0.1", "1 %", "-3"])), max_size=2)


@st.composite
def _quantities(draw: st.DrawFn) -> Quantity:
    function = draw(st.sampled_from([*OF_METRIC, *OF_ARM]))
    metric = {"diverged": None, "angle": "angle"}.get(function, draw(METRICS))
    number = draw(NUMBERS) if function in ("at", "reach") else None
    layer = draw(st.none() | st.integers(-3, 3)) if metric in ("angle", "weight_norm") else None
    return Quantity(function, draw(ARMS), tuple(draw(POINTS)), metric, number, layer)


def _larger(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    return st.builds(Binary, st.sampled_from("+-*/"), inner, inner) | st.builds(
        Applied, st.sampled_from(["abs", "log", "-"]), inner
    )


TREES = st.recursive(_quantities() | NUMBERS, _larger, max_leaves=8)


@settings(max_examples=300, deadline=None)
@given(_quantities(), TREES, TREES, NUMBERS, st.sampled_from(["<", "<=", ">", ">="]))
def test_a_tree_that_is_printed_is_read_again(
    named: Quantity, left: Expression, right: Expression, number: Number, operator: str
) -> None:
    for tree in (
        Comparison((Binary("+", left, named), right), (operator,)),  # pyright: ignore[reportArgumentType]
        Within(Binary("*", right, named), left, number),
    ):
        assert parse(str(tree)) == tree


PIECES = st.sampled_from(
    [*"()<>=+-*/.,%[]\"' \n", "best", "at", "within", "np", "test_accuracy", "layer=1", "0.5", "1e9", "²", "\x00", "٣"]
)


@settings(max_examples=500, deadline=None)
@given(st.text(max_size=80) | st.lists(PIECES, max_size=40).map("".join))
def test_arbitrary_text_is_read_or_refused(text: str) -> None:
    try:
        assert parse(str(parse(text))) == parse(text)
    except ClaimError as error:
        assert str(error).startswith("column ")
