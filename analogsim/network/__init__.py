"""Frozen description of a network: what is computed, not on what.

Known to everybody: the chip runs it, the learner knows its shape and the derivatives of its activation functions.
"""

from analogsim.network.activations import Activation, Binary, HardThreshold, Identity, LeakyReLU, Sigmoid, Tanh
from analogsim.network.convolution import Conv2d
from analogsim.network.layer import Dense, Layer, unclipped
from analogsim.network.network import Initialisation, Network
from analogsim.network.operations import AvgPool2d, Dropout, MaxPool2d, Operation, Softmax
from analogsim.network.stack import Stack
from analogsim.network.torch_modules import weights_of
from analogsim.network.window import Window

__all__ = [
    "Activation",
    "AvgPool2d",
    "Binary",
    "Conv2d",
    "Dense",
    "Dropout",
    "HardThreshold",
    "Identity",
    "Initialisation",
    "Layer",
    "LeakyReLU",
    "MaxPool2d",
    "Network",
    "Operation",
    "Sigmoid",
    "Softmax",
    "Stack",
    "Tanh",
    "Window",
    "unclipped",
    "weights_of",
]
