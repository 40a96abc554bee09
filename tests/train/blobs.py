"""Packs of bright boxes on noise: what a narrow network learns in a few steps."""

import numpy as np

from featherseg.datasets.pack import Packed

SETTINGS = ("input_size=32", "network_options.width=4", "batch_size=4", "epochs=3")


def blob_pack(
    count: int, size: tuple[int, int] = (32, 32), *, channels: int = 3, labels: int = 1
) -> Packed:
    """`count` images, every fourth without a box; box i has label 1 + i modulo `labels`."""
    random = np.random.default_rng(0)
    images = random.integers(0, 80, (count, *size, channels), dtype=np.uint8)
    masks = np.zeros((count, *size), np.uint8)
    for place in range(count):
        if place % 4 == 0:
            continue
        row, column = (int(random.integers(1, side // 2)) for side in size)
        label = 1 + place % labels
        masks[place, row : row + size[0] // 3, column : column + size[1] // 3] = label
        images[place] += (masks[place, :, :, np.newaxis] * np.uint8(150 // labels)).astype(np.uint8)
    ids = tuple(f"case {place}" for place in range(count))
    return Packed(
        images=images,
        masks=masks,
        ids=ids,
        classes=("",) * count,
        groups=ids,
        labels=tuple(f"label {number}" for number in range(1, labels + 1)),
        layout="folder",
        images_sha256="0" * 64,
    )


def halves(pack: Packed) -> dict[str, tuple[str, ...]]:
    """The first half trains, the second validates."""
    middle = len(pack.ids) // 2
    return {"train": pack.ids[:middle], "validation": pack.ids[middle:]}
