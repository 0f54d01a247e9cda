"""What there is to know of a metric: whether more of it is better, and what stands for a missing number."""

from __future__ import annotations

import math

OF_NETWORK = ("test_accuracy", "test_loss", "train_loss")
"""Metrics that every evaluation has, of the whole network; the others are listed under `train.metrics`."""

MORE_IS_BETTER = {
    "test_accuracy": True,
    "test_loss": False,
    "train_loss": False,
    "angle": False,
    "feedback_alignment": False,
    "feedback_angle": False,
    "sign_agreement": True,
}
"""Of metrics of which one end is the good one; `best` and `reach` know no others."""

SHARES = ("test_accuracy", "sign_agreement")
"""Metrics between 0 and 1, which read best in percent."""

MISSING = {"test_accuracy": 0.0, "test_loss": math.inf, "train_loss": math.inf}
"""What a number counts as that was not finite."""
