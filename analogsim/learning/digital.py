"""Digital: arithmetic operations that rules take on the controller in one step, counted, a multiply-add as two.

Products are counted in full, what goes with units or samples to its leading term; solutions of linear systems of size n
as n^3 / 3 for a Cholesky factor, 2/3 n^3 for an LU factor, and 2 n^2 for each right-hand side.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from analogsim.network import Layer, Network

Counts = tuple[int, ...]
"""Operations of one step, per layer."""


def outer_products(network: Network, batch: int) -> Counts:
    """Of post pre^T, summed over the batch and positions."""
    return tuple(2 * batch * layer.positions * layer.columns * layer.rows for layer in network.layers)


def backward_products(network: Network, batch: int, decorrelated: Collection[int]) -> Counts:
    """Of sending a vector of each sample backwards through digital weights, R^T and derivatives; the first has none.

    Args:
        network: what is sent through.
        batch: samples.
        decorrelated: layers that have an R.
    """
    found = [0]
    for index, (earlier, layer) in enumerate(zip(network.layers, network.layers[1:], strict=False), start=1):
        turned = layer.fan_in if index in decorrelated else 0
        found.append(2 * batch * (layer.positions * layer.fan_in * (layer.columns + turned) + earlier.units))
    return tuple(found)


def of_units(layers: Sequence[Layer], each: int) -> Counts:
    """`each` operations of every pre-activation."""
    return tuple(each * layer.units for layer in layers)


def added(*parts: Sequence[int]) -> Counts:
    """All of them, layer by layer."""
    return tuple(sum(each) for each in zip(*parts, strict=True))


def cholesky(n: int, right: int) -> int:
    """Of solving a symmetric system of size n for that many right-hand sides."""
    return n**3 // 3 + 2 * n * n * right


def lu(n: int, right: int) -> int:
    """Of solving any system of size n for that many right-hand sides."""
    return 2 * n**3 // 3 + 2 * n * n * right
