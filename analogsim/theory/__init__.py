"""Closed forms and mean fields from the papers, and an exact simulation that they are checked by. Knows no chip.

How an update of node perturbation relates to the gradient: `mean_cosine`, `update_covariance`. How it learns in a
linear network with one hidden layer: `StudentTeacher` (initial values, critical learning rate), `MeanField` (four
order parameters), `two_variable_error` (two), `RotatedSimulation` (the process itself, in few units).
"""

from analogsim.theory.mean_field import MeanField
from analogsim.theory.perturbation import Covariance, mean_cosine, update_covariance
from analogsim.theory.rotated import Draws, RotatedSimulation, gradient_step, memory_bytes, perturbation_step
from analogsim.theory.student_teacher import OrderParameters, StudentTeacher
from analogsim.theory.two_variable import nullcline, two_variable_error

__all__ = [
    "Covariance",
    "Draws",
    "MeanField",
    "OrderParameters",
    "RotatedSimulation",
    "StudentTeacher",
    "gradient_step",
    "mean_cosine",
    "memory_bytes",
    "nullcline",
    "perturbation_step",
    "two_variable_error",
    "update_covariance",
]
