"""Is an image like those a network was trained on? Simple statistics, kept as quantiles.

This is a plausibility check against plain mistakes (a photograph, an inverted or blank image,
another kind of scan), not a measure of how far a result can be trusted.
"""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from featherseg.types import Pixels

Reference = dict[str, dict[str, float]]

# All statistics are taken on this grid, (row, col), so that an image and its packed copy of
# another size give the same values.
_GRID_PX = (128, 128)
_UINT8_MAX = 255.0
_DARK_BELOW = 26
_BRIGHT_FROM = 204
_QUANTILES = (0.01, 0.25, 0.5, 0.75, 0.99)
# An image is flagged only outside the training range widened by this share of its width ...
_MARGIN = 0.5
# ... and by at least this much in the statistic's own unit, for very uniform training sets.
_LEAST_MARGIN = {
    "mean": 0.05,
    "sd": 0.03,
    "dark_share": 0.08,
    "bright_share": 0.05,
    "sharpness": 0.3,
    "saturation": 0.05,
}


def image_statistics(pixels: Pixels) -> dict[str, float]:
    """Statistics of (H, W) gray, (H, W, 1) or (H, W, 3) RGB uint8 pixels.

    ``mean`` and ``sd`` of the luma, ``dark_share`` and ``bright_share`` of its pixels below 10 %
    and from 80 %, and ``saturation`` (mean of largest minus smallest channel) are in [0, 1];
    ``sharpness`` is the decimal logarithm of the Laplacian's mean square (gray levels). With an
    explicit single channel the color is not known, and ``saturation`` is left out.
    """
    small = np.asarray(cv2.resize(pixels, _GRID_PX[::-1], interpolation=cv2.INTER_AREA), np.uint8)
    gray = small if small.ndim == 2 else np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))
    laplacian = cv2.Laplacian(gray, cv2.CV_32F)
    statistics = {
        "mean": float(gray.mean()) / _UINT8_MAX,
        "sd": float(gray.std()) / _UINT8_MAX,
        "dark_share": float((gray < _DARK_BELOW).mean()),
        "bright_share": float((gray >= _BRIGHT_FROM).mean()),
        "sharpness": float(np.log10(1.0 + np.square(laplacian).mean())),
    }
    if pixels.ndim == 2:
        statistics["saturation"] = 0.0
    elif pixels.shape[2] == 3:
        spread = small.max(axis=2) - small.min(axis=2)
        statistics["saturation"] = float(spread.mean()) / _UINT8_MAX
    return statistics


def reference_statistics(images: Sequence[Mapping[str, float]]) -> Reference:
    """Quantiles (1, 25, 50, 75 and 99 %) of each statistic over the training images."""
    names = sorted(set[str]().union(*images))
    return {
        name: {
            f"q{round(100 * level):02d}": float(np.quantile(values, level)) for level in _QUANTILES
        }
        for name in names
        if (values := [image[name] for image in images if name in image])
    }


def unlike(statistics: Mapping[str, float], reference: Reference) -> list[str]:
    """One sentence for each statistic far outside the training range; empty when none is.

    Statistics missing on either side are passed over.
    """
    return [
        f"{name.replace('_', ' ')} is {statistics[name]:.2f}, "
        f"but {quantiles['q01']:.2f} to {quantiles['q99']:.2f} in the training images"
        for name, quantiles in sorted(reference.items())
        if name in statistics and _excess(name, statistics[name], quantiles) > 1.0
    ]


def unlikeness(statistics: Mapping[str, float], reference: Reference) -> float:
    """How far an image is outside the training range: above 1 where `unlike` says something.

    The largest excess over the range's nearer end, in margins, of any statistic; below 0 inside
    the range of all. 0 where no statistic is known on both sides.
    """
    known = statistics.keys() & reference.keys()
    return max((_excess(name, statistics[name], reference[name]) for name in known), default=0.0)


def _excess(name: str, value: float, quantiles: Mapping[str, float]) -> float:
    low, high = quantiles["q01"], quantiles["q99"]
    margin = max(_MARGIN * (high - low), _LEAST_MARGIN.get(name, 0.0))
    beyond = max(low - value, value - high)
    if margin == 0.0:
        return float(np.inf) if beyond > 0.0 else 0.0
    return beyond / margin
