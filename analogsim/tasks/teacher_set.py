"""A data set that a random network gives: as many samples as are asked for, from a seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from analogsim.network import Activation, Tanh
from analogsim.randomness import Purpose, Streams
from analogsim.tasks.data_set import DataSet

_TRAIN, _TRAIN_NOISE, _TEST, _TEST_NOISE, _WEIGHTS = range(5)


def teacher_set(
    inputs: int = 20,
    outputs: int = 5,
    hidden: Sequence[int] = (),
    activation: Activation | None = None,
    noise: float = 0.0,
    train: int = 1000,
    test: int = 200,
    classes: bool = False,
    seed: int = 0,
) -> DataSet:
    """Samples of a teacher: x standard normal, y* = W_n f(... f(W_1 x)) + noise zeta, zeta standard normal.

    W ~ N(0, 2 / (inputs + outputs of the layer)), without biases: a linear teacher where nothing is hidden, as in
    N. Hiratani, Y. Mehta, T. Lillicrap, P. Latham, NeurIPS 2022, section 4, but with finitely many samples. Test
    targets have noise, too, so half the squared distance to them is at least outputs x noise^2 / 2 on average.

    Args:
        inputs, outputs: numbers of them.
        hidden: units of hidden layers, from the inputs on.
        activation: of hidden units; tanh unless given.
        noise: its standard deviation.
        train, test: numbers of samples; more of them have the same first ones.
        classes: targets say, one-hot, which of the outputs y* is the largest.
        seed: of all of it; the same teacher and samples for every chip.
    """
    streams = Streams([seed], [0], torch.device("cpu"))

    def normal(stream: int, *shape: int) -> Tensor:
        return streams.draw(Purpose.TEACHER, stream, 1, shape, torch.float64)[0, 0]

    sizes = [inputs, *hidden, outputs]
    weights = [normal(_WEIGHTS + layer, m, n) * math.sqrt(2 / (n + m)) for layer, (n, m) in enumerate(pairwise(sizes))]
    f = Tanh() if activation is None else activation
    parts: list[Tensor] = []
    for count, of_inputs, of_noise in ((train, _TRAIN, _TRAIN_NOISE), (test, _TEST, _TEST_NOISE)):
        y = x = normal(of_inputs, count, inputs)
        for layer, w in enumerate(weights):
            y = (f(y) if layer else y) @ w.T
        y = y + noise * normal(of_noise, count, outputs)
        y = torch.nn.functional.one_hot(y.argmax(1), outputs) if classes else y
        parts += [x.float(), y.float()]
    x, t, test_x, test_t = parts
    return DataSet(x, t, test_x, test_t, classes=classes)
