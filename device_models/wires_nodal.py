"""The resistor network of a crossbar, solved exactly: every node, every sneak path.

Each crossing has two nodes, one on its word line and one on its bit line, joined by the device. An ideal driver feeds
each word line in front of column 0; a virtual ground ends each bit line behind row n - 1. Kirchhoff's laws are
eliminated line by line instead of node by node. With D_j = diag(G of column j) and word-line voltages V_j:

- a bit line alone: its voltages are r_b M_b I_j with the device currents I_j, since M_b[i,k] = n - max(i,k) counts the
  segments that crossings i and k share on their way to ground. So the devices of column j see
  U_j = S_j V_j, S_j = (1 + r_b M_b D_j)^-1, and draw I_j = A_j V_j, A_j = D_j S_j;
- along the word lines: 2 V_j - V_j-1 - V_j+1 + r_w A_j V_j = 0 with V_-1 = the drivers and V_m = V_m-1. From the open
  end, V_j = P_j V_j-1 with P_j = (2 + r_w A_j - P_j+1)^-1, P_m = 1.

The current of column j per volt on each row is G_eff = 1^T A_j P_j ... P_0. No step divides by a resistance, so a wire
may be ideal. All is dense, batched over chips and in double precision: per column two inverses and a product of n x n
matrices. Which side is eliminated is free: rows, where they are shorter.

Swapping the parts of rows and columns, and the ends of both, turns the network round: its terminals stay where they
are. It is made of resistors, hence reciprocal: the turned network has the transposed G_eff.
"""

from __future__ import annotations

import torch
from torch import Tensor

_BYTES = 1 << 28  # of memory that the chips solved together may take


def turned(g: Tensor) -> Tensor:
    """The same crossbar seen from its columns' terminals: (C, out, rows) -> (C, rows, out); its own inverse."""
    return g.transpose(1, 2).flip(1, 2)


def nodal_conductance(g: Tensor, word: Tensor, bit: Tensor) -> Tensor:
    """G_eff: current of each column per volt on each row, all other drivers at zero.

    Args:
        g: conductances of one array, siemens, (C, out, rows).
        word, bit: ohms of one segment of a word line, of a bit line; (C, 1, 1).

    Returns:
        Siemens, (C, out, rows), in double precision.
    """
    if g.shape[1] < g.shape[2]:  # the shorter lines are eliminated as blocks
        return turned(_solve(turned(g), bit, word, voltages=False)[0])
    return _solve(g, word, bit, voltages=False)[0]


def nodal_attenuation(g: Tensor, word: Tensor, bit: Tensor) -> tuple[Tensor, Tensor]:
    """G_eff, and the share of a device's own fluctuation that arrives: dG_eff[j,i] / dG[j,i].

    A change of one conductance acts through the voltage across that device when its row alone is driven, and arrives
    in its column with the share that equals, by reciprocity, the voltage across it when its column alone is driven:
    the derivative is their product. It lies between 0 and 1 and exists for G = 0, where sneak currents make
    G_eff / G infinite.

    Args and shapes: see `nodal_conductance`.
    """
    effective, driven = _solve(g, word, bit, voltages=True)
    return effective, driven * turned(_solve(turned(g), bit, word, voltages=True)[1])


def _solve(g: Tensor, word: Tensor, bit: Tensor, *, voltages: bool) -> tuple[Tensor, Tensor]:
    g, word, bit = g.double(), word.double(), bit.double()
    count = max(1, _BYTES // (8 * g[0].numel() * g.shape[2]))
    blocks = zip(g.split(count), word.split(count), bit.split(count), strict=True)
    effective, driven = zip(*(_eliminate(*block, voltages) for block in blocks), strict=True)
    return torch.cat(effective), torch.cat(driven)


def _eliminate(g: Tensor, word: Tensor, bit: Tensor, voltages: bool) -> tuple[Tensor, Tensor]:
    """(G_eff, voltage across each device when its row alone is driven with 1 V); the latter only where asked for."""
    columns, n = g.shape[1:]
    one = torch.eye(n, dtype=g.dtype, device=g.device)
    shared = bit * shared_segments(n, g)
    steps: list[Tensor] = []  # P_j, from the open end to the driver
    drawn = torch.empty_like(g)
    step = one
    for d in reversed(g.unbind(1)):
        current = d[:, :, None] * torch.linalg.inv(one + shared * d[:, None, :])  # A_j
        drawn[:, columns - 1 - len(steps)] = current.sum(1)
        step = torch.linalg.inv(2 * one + word * current - step)
        steps.append(step)
    effective, driven = torch.empty_like(g), torch.empty_like(g)
    response = one  # V_j per volt on each row
    for j, d in enumerate(g.unbind(1)):
        response = steps.pop() @ response
        effective[:, j] = (drawn[:, j, None] @ response)[:, 0]
        if voltages:
            across = torch.linalg.solve(one + shared * d[:, None, :], response)  # U_j
            driven[:, j] = across.diagonal(dim1=1, dim2=2)
    return effective, driven


def shared_segments(n: int, like: Tensor) -> Tensor:
    """M[i,k] = n - max(i,k), (n, n): segments that crossings i and k share on their way to the end behind n - 1."""
    index = torch.arange(n, dtype=like.dtype, device=like.device)
    return n - torch.maximum(index[:, None], index)
