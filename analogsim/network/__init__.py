"""Frozen description of a network: what is computed, not on what.

Known to everybody: the chip runs it, the learner knows its shape and the derivatives of its activation functions.
"""

from analogsim.network.activations import Activation, Identity, LeakyReLU
from analogsim.network.layer import Dense, Layer, unclipped
from analogsim.network.network import Network
from analogsim.network.operations import Operation

__all__ = ["Activation", "Dense", "Identity", "Layer", "LeakyReLU", "Network", "Operation", "unclipped"]
