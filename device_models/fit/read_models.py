"""Models of read noise and their restricted likelihood; see `device_models.fit.read_noise` for the formulas."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from device_models.fit.contrasts import contrasts, flicker_factor
from device_models.fit.likelihood import Array, Maximum, maximise
from device_models.fit.tables import Series


@dataclass(frozen=True)
class Contrasts:
    """What the series tell of the noise: (n,) each, `white` and `flicker` as sums of squares and log-determinants."""

    device: np.ndarray
    g: Array
    degrees: Array
    squares: dict[str, Array]
    log_det: dict[str, Array]


@dataclass(frozen=True)
class Model:
    """A law s(g; theta); parameters are positive but for the coefficients of a polynomial."""

    name: str
    kind: str
    correlation: str
    law: Callable[[Array, Array], Array]
    start: tuple[float, ...]
    parameters: tuple[str, ...]


def gather_contrasts(found: Sequence[Series], t_r: float) -> Contrasts:
    labels = np.array([each.device for each in found])
    _, device = np.unique(labels, return_inverse=True)
    factors: dict[bytes, Array] = {}
    white, flicker, log_det = [], [], []
    for each in found:
        time, y = each.numbers["time"], each.numbers["conductance"]
        steps = np.round((time - time[0]) / t_r * 1e6) / 1e6
        key = steps.tobytes()
        if key not in factors:
            factors[key] = flicker_factor(time - time[0], t_r)
        z = contrasts(len(y)) @ y
        white.append(float(z @ z))
        solved = np.linalg.solve(factors[key], z)
        flicker.append(float(solved @ solved))
        log_det.append(2 * float(np.log(np.diag(factors[key])).sum()))
    degrees = np.array([len(each.numbers["time"]) - 1 for each in found], dtype=np.float64)
    return Contrasts(
        device,
        np.array([each.numbers["conductance"].mean() for each in found]),
        degrees,
        {"white": np.array(white), "flicker": np.array(flicker)},
        {"white": np.zeros(len(found)), "flicker": np.array(log_det)},
    )


def candidates(data: Contrasts, g_max: float, spans: bool) -> list[Model]:
    """Candidates; laws in g only where conductances span enough."""
    white = math.sqrt(float(data.squares["white"].sum() / data.degrees.sum()))
    share = math.sqrt(float((data.squares["white"] / data.g**2).sum() / data.degrees.sum()))
    q = math.sqrt(float((data.squares["flicker"] / data.g**2).sum() / data.degrees.sum()))
    a, b = white / g_max, share
    additive = Model("additive", "additive", "white", lambda g, p: np.full_like(g, p[0] * g_max), (a,), ("sigma",))
    flat = Model("flicker", "flicker", "flicker", lambda g, p: p[0] * g, (q,), ("q",))
    if not spans:
        return [additive, flat]
    smallest = float(data.g.min()) / g_max
    return [
        additive,
        Model("proportional", "proportional", "white", lambda g, p: p[0] * g, (b,), ("sigma",)),
        Model(
            "both, additive and proportional",
            "both",
            "white",
            lambda g, p: np.hypot(p[0] * g_max, p[1] * g),
            (a / 1.5, b / 1.5),
            ("0.sigma", "1.sigma"),
        ),
        Model(
            "polynomial of degree 2",
            "polynomial",
            "white",
            lambda g, p: (p[0] + p[1] * (g / g_max) + p[2] * (g / g_max) ** 2) * g_max,
            (a, b / 10, b / 10),
            ("coefficients.0", "coefficients.1", "coefficients.2"),
        ),
        flat,
        Model(
            "flicker, Q against r",
            "flicker",
            "flicker",
            lambda g, p: p[0] * (g / g_max) ** -p[1] * g,
            (q * 0.7, 0.3),
            ("q", "exponent"),
        ),
        Model(
            "flicker, Q against r with a largest Q",
            "flicker",
            "flicker",
            lambda g, p: np.minimum(p[0] * (g / g_max) ** -p[1], p[2]) * g,
            (q * 0.7, 0.5, q * 0.7 * (2 * smallest) ** -0.5),
            ("q", "exponent", "q_max"),
        ),
    ]


def fit_model(data: Contrasts, model: Model) -> Maximum:
    """The maximum of the likelihood of a model."""
    squares, log_det = data.squares[model.correlation], data.log_det[model.correlation]

    def terms(theta: Array) -> Array:
        s = model.law(data.g, theta)
        if (s <= 0).any() or (model.kind != "polynomial" and (theta <= 0).any()):
            return np.full(int(data.device.max()) + 1, -np.inf)
        variance = s**2
        rows = -0.5 * (data.degrees * np.log(2 * math.pi * variance) + log_det + squares / variance)
        return np.asarray(np.bincount(data.device, rows), dtype=np.float64)

    start = np.array(model.start)
    starts = [start]
    if "q_max" in model.parameters:
        starts = [
            np.array([start[0], e, start[0] * (k * data.g.min() / data.g.max()) ** -e])
            for e in (0.3, 0.7)
            for k in (1.5, 4)
        ]
    sizes = np.full_like(start, start.max()) if model.kind == "polynomial" else start
    return maximise(terms, starts, sizes, sandwich=True)
