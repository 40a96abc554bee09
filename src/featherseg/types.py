"""The frozen values that flow between the modules.

Axes always stand in the order (row, column); spacing is millimeters per pixel in that order.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Mask = NDArray[np.uint8]
Floats = NDArray[np.float32]

# What tables say of a network whose training began with random weights.
FROM_SCRATCH = "from scratch"


@dataclass(frozen=True)
class Image:
    """A decoded image.

    ``pixels`` is uint8, (H, W) gray or (H, W, 3) RGB. ``spacing_mm`` is (row, column) in
    millimeters, or None where it is unknown: nothing then speaks of millimeters.
    """

    pixels: Pixels
    spacing_mm: tuple[float, float] | None
    source: str


@dataclass(frozen=True)
class Case:
    """One image of a dataset with its mask files.

    ``id`` is unique in its dataset and stable across machines. ``group`` names what must stay
    together in a split (a patient or an exam; the id itself where nothing is known). ``masks``
    may be several files, to be united, and may be empty where the layout says "no lesion"
    without a file. ``label`` is the class of the whole image, '' where there is none.
    ``spacing_mm`` is (row, column), where the release states it; ``frame`` counts from 0 in
    files that hold several images.
    """

    id: str
    group: str
    image: Path
    masks: tuple[Path, ...]
    label: str
    spacing_mm: tuple[float, float] | None = None
    frame: int = 0


@dataclass(frozen=True)
class Segmentation:
    """What a model found in one image, on the image's own grid.

    ``mask`` is uint8 (H, W) with 0 as background and k for ``labels[k - 1]``; ``probability``
    is float32 (H, W) in [0, 1], that of any foreground.
    """

    mask: Mask
    probability: Floats
    labels: tuple[str, ...]
    image: Image
    model_id: str
