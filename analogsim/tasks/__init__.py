"""Data sets and losses: what turns a chip's outputs into one scalar per sample."""

from analogsim.tasks.corruption import Corruption, GaussianNoise, Masking
from analogsim.tasks.data import DATA_SETS
from analogsim.tasks.data_set import DataSet
from analogsim.tasks.losses import LOSSES, CrossEntropy, Loss, SquaredError
from analogsim.tasks.task import Task

__all__ = [
    "DATA_SETS",
    "LOSSES",
    "Corruption",
    "CrossEntropy",
    "DataSet",
    "GaussianNoise",
    "Loss",
    "Masking",
    "SquaredError",
    "Task",
]
