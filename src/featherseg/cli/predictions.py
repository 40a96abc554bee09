"""What `featherseg predict` writes: file names that never collide, pictures, predictions.json."""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import featherseg
from featherseg.errors import ImageError, StorageError
from featherseg.images import read_image
from featherseg.images.overlay import overlay
from featherseg.images.raster import write_png
from featherseg.measure import Spacing, as_json, confidence, measure
from featherseg.segment import Segmenter
from featherseg.storage import write_json
from featherseg.types import Mask, Segmentation

PREDICTIONS_FILE = "predictions.json"
_SCHEMA = 1


@dataclass(frozen=True)
class Target:
    """An input image and where its results go; `overlay` is None when none is wanted."""

    image: Path
    mask: Path
    overlay: Path | None

    @property
    def files(self) -> list[Path]:
        """The files that will be written."""
        return [self.mask] if self.overlay is None else [self.mask, self.overlay]


def plan(images: list[Path], out: Path, with_overlay: bool) -> list[Target]:
    """Where the results for `images` go: STEM.png and STEM_overlay.png in folder `out`.

    Equal stems keep their suffix (a_png.png, a_jpg.png); what would still share a file is
    numbered (a_png_2.png). Upper and lower case count as equal, as some file systems have it.
    Raises StorageError where a result would replace an input.
    """
    stems = Counter(image.stem.casefold() for image in images)
    taken: set[str] = set()
    targets = []
    for image in images:
        shared = stems[image.stem.casefold()] > 1
        wanted = f"{image.stem}_{image.suffix.lstrip('.')}" if shared else image.stem
        name = _free(wanted, taken, with_overlay)
        taken |= _occupied(name, with_overlay)
        drawn = out / f"{name}_overlay.png" if with_overlay else None
        targets.append(Target(image, out / f"{name}.png", drawn))
    _spare_inputs(targets)
    return targets


def _free(wanted: str, taken: set[str], with_overlay: bool) -> str:
    name, number = wanted, 1
    while taken & _occupied(name, with_overlay):
        number += 1
        name = f"{wanted}_{number}"
    return name


def _occupied(name: str, with_overlay: bool) -> set[str]:
    names = {name.casefold()}
    return names | {f"{name}_overlay".casefold()} if with_overlay else names


def _spare_inputs(targets: list[Target]) -> None:
    inputs = {target.image.resolve() for target in targets}
    for target in targets:
        for file in target.files:
            if file.resolve() in inputs:
                raise StorageError(
                    f"{file} is an input image and would be replaced; choose another --out folder"
                )


def predict_images(
    segmenter: Segmenter, targets: Iterable[Target], spacing_mm: Spacing | None
) -> dict[str, Any]:
    """Segment every image and write its pictures; give what predictions.json holds.

    An image that cannot be used becomes an entry of ``errors``; a file that cannot be written
    raises StorageError.
    """
    images, errors = [], []
    for target in targets:
        try:
            images.append(_predict_one(segmenter, target, spacing_mm))
        except ImageError as error:
            errors.append({"input": str(target.image), "error": str(error)})
    return {
        "schema": _SCHEMA,
        "featherseg": featherseg.__version__,
        "bundle": segmenter.model_id,
        "runtime": segmenter.session.runtime,
        "precision": segmenter.session.precision,
        "flips": getattr(segmenter.session, "flips", None),
        "labels": list(segmenter.labels),
        "spacing_mm": None if spacing_mm is None else list(spacing_mm),
        "images": images,
        "errors": errors,
    }


def write_predictions(out: Path, predictions: dict[str, Any]) -> None:
    """Write predictions.json into folder `out`."""
    write_json(out / PREDICTIONS_FILE, predictions)


def _predict_one(
    segmenter: Segmenter, target: Target, spacing_mm: Spacing | None
) -> dict[str, Any]:
    """Segment one image; ``time_ms`` runs from its pixels to its mask, without files."""
    image = read_image(target.image)
    started = time.perf_counter()
    found = segmenter(image)
    time_ms = 1000.0 * (time.perf_counter() - started)
    measurements = measure(found.mask, spacing_mm, found.labels)
    _draw(found, target)
    return {
        "input": str(target.image),
        "mask": target.mask.name,
        "overlay": None if target.overlay is None else target.overlay.name,
        "size_px": list(image.pixels.shape[:2]),
        "measurements": [as_json(measurement) for measurement in measurements],
        "confidence": confidence(found),
        "time_ms": time_ms,
        "unlike_training": segmenter.unlike(image),
    }


def _draw(found: Segmentation, target: Target) -> None:
    write_png(target.mask, shown_mask(found.mask, found.labels))
    if target.overlay is not None:
        write_png(target.overlay, overlay(found.image.pixels, found.mask))


def shown_mask(mask: Mask, labels: tuple[str, ...]) -> Mask:
    """The values of a mask file: 0 and 255 for one label, the labels themselves for several."""
    return mask * 255 if len(labels) == 1 else mask
