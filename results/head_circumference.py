"""Compare head circumferences with those that HC18 states, over its annotated images.

From the drawn outlines and from the filled masks that the layout `hc18` makes of them:

    python results/head_circumference.py HC18
"""

import sys
from pathlib import Path

import numpy as np

from featherseg.circumference import ellipse_of_mask, ellipse_of_outline
from featherseg.datasets import load_dataset, read_case
from featherseg.datasets.hc18 import TABLE, read_table
from featherseg.ellipse import Ellipse
from featherseg.images.raster import read_mask


def around(ellipse: Ellipse | None) -> float:
    """The circumference, 0 where there is no ellipse."""
    return 0.0 if ellipse is None else ellipse.circumference


def differences(folder: Path) -> dict[str, list[float]]:
    """Measured minus stated circumference in millimeters, of every annotated image."""
    dataset = load_dataset(folder, "hc18")
    stated = read_table(folder / TABLE)
    found: dict[str, list[float]] = {"drawn outline": [], "filled mask": []}
    for case in dataset.cases:
        true_mm = stated[f"{case.id}.png"].circumference_mm
        if case.spacing_mm is None or true_mm is None:
            continue
        outline = read_mask(case.masks[0]) > 0
        mask = read_case(dataset, case)[1] > 0
        found["drawn outline"].append(
            around(ellipse_of_outline(outline, case.spacing_mm)) - true_mm
        )
        found["filled mask"].append(around(ellipse_of_mask(mask, case.spacing_mm)) - true_mm)
    return found


def main(folder: Path) -> None:
    """Print one line a source: n, mean, mean absolute and largest absolute difference."""
    print("| measured in | n | mean difference | mean absolute | largest |\n|---|---|---|---|---|")
    for name, values in differences(folder).items():
        off = np.array(values)
        size = np.abs(off)
        print(
            f"| {name} | {len(off)} | {off.mean():+.4f} mm | {size.mean():.4f} mm "
            f"| {size.max():.4f} mm |"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
