"""Confidence intervals by bootstrap over the images."""

from dataclasses import dataclass

import numpy as np


def draw_weights(num_images: int, resamples: int = 1000, seed: int = 0) -> np.ndarray:
    """Return how often each of I images stands in each resample of all of them, (1 + R, I); row 0 is all of them."""
    drawn = np.random.default_rng(seed).multinomial(num_images, np.full(num_images, 1 / num_images), size=resamples)
    return np.vstack([np.ones(num_images, int), drawn])


@dataclass
class Estimate:
    """A value with its 95% bootstrap percentile interval; NaN where there is nothing to count."""

    value: float
    low: float
    high: float


def estimate(values: np.ndarray) -> Estimate:
    """Turn (1 + R,), the value and its resamples, into an estimate; resamples without the animals do not count."""
    drawn = values[1:][~np.isnan(values[1:])]
    low, high = np.percentile(drawn, [2.5, 97.5]) if len(drawn) and not np.isnan(values[0]) else (np.nan, np.nan)
    return Estimate(float(values[0]), float(low), float(high))
