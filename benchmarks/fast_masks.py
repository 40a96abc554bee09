"""How often the masks of `--stream` differ from those of `predict` and `evaluate`.

    python benchmarks/fast_masks.py BUNDLE IMAGES... [--json]

For every image: the share of pixels that differ, and the Dice of the two masks; the images' own
size matters, so give images as they come from the scanner and not those a bundle keeps.
"""

import argparse
import json
from dataclasses import asdict
from typing import Any

import numpy as np

from featherseg.bundle import load_bundle
from featherseg.cli.files import find_images
from featherseg.images import read_image
from featherseg.runtime.cpu import capabilities
from featherseg.segment import Segmenter
from featherseg.stream import overlap


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("images", nargs="+", help="files, folders or quoted patterns")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    bundle = load_bundle(given.bundle)
    segmenter = Segmenter.from_bundle(bundle)
    differing, dice = [], []
    for path in find_images(given.images):
        image = read_image(path)
        scored, fast = segmenter(image).mask, segmenter.fast_mask(image)
        differing.append(float((scored != fast).mean()))
        dice.append(overlap(scored, fast))
    result: dict[str, Any] = {
        "cpu": asdict(capabilities()),
        "network": bundle.manifest.network.name,
        "input_size": list(bundle.preprocessing.input_size),
        "stored_precision": bundle.manifest.precision,
        "precision": segmenter.session.precision,
        "images": len(dice),
        "differing_pixels": {"mean": float(np.mean(differing)), "most": max(differing)},
        "dice": {"mean": float(np.mean(dice)), "least": min(dice)},
    }
    if given.json:
        print(json.dumps(result, indent=2))
        return
    print(
        f"{len(dice)} images: {100 * np.mean(differing):.2f} % of the pixels differ (most in one "
        f"image {100 * max(differing):.2f} %), Dice of the two masks {np.mean(dice):.4f} on "
        f"average, {min(dice):.4f} at least"
    )


if __name__ == "__main__":
    main()
