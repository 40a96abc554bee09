"""NIfTI-1: ``images/NAME.nii.gz`` and ``masks/NAME.nii.gz``, spacing in the header.

NIfTI counts voxels (i, j, k) = (column, row, slice): a file holds the transposed image as one
slice. The axes point left and posterior, as ITK has them for a picture, so that editors show it
upright. Gray and labels are uint8, color is RGB24. Where no spacing is known the header's unit
is "unknown" and its 1 means nothing; a reader takes only a stated unit of length as spacing.
The format: https://nifti.nimh.nih.gov/nifti-1.
"""

import contextlib
import gzip
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featherseg.datasets.exchange.export import Export, Progress, items
from featherseg.datasets.exchange.names import case_of, read_names, write_names
from featherseg.datasets.folder import LABELS_FILE, read_label_names
from featherseg.datasets.layout import Dataset, named, natural_key
from featherseg.errors import DataError, ImageError
from featherseg.extras import require
from featherseg.images.raster import MAX_PIXELS, MIN_SIDE_PX
from featherseg.storage import write_bytes, write_json
from featherseg.types import Case, Image, Mask, Pixels

SUFFIXES = (".nii.gz", ".nii")
_RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
_MM_PER_UNIT = {"meter": 1000.0, "mm": 1.0, "micron": 0.001}
_UINT8_MAX = 255


def is_nifti(path: Path) -> bool:
    """Whether a file's name is that of a NIfTI file."""
    return path.name.lower().endswith(SUFFIXES)


def stem(path: Path) -> str:
    """A file's name without `.nii.gz` or its one suffix."""
    ending = next((end for end in SUFFIXES if path.name.lower().endswith(end)), path.suffix)
    return path.name[: len(path.name) - len(ending)]


def write(export: Export, root: Path, progress: Progress) -> None:
    """Write ``images/``, ``masks/``, labels.json and, last, names.json into `root`."""
    known, files = {}, [root / LABELS_FILE]
    for item in items(export, progress):
        for part, pixels in (("images", item.pixels), ("masks", item.mask)):
            files.append(root / part / f"{item.name}{SUFFIXES[0]}")
            write_nifti(files[-1], pixels, item.case.spacing_mm)
        known[item.name] = item.known
    write_json(root / LABELS_FILE, list(export.labels))
    write_names(root, export.labels, known, files)


def write_nifti(path: Path, pixels: Pixels, spacing_mm: tuple[float, float] | None) -> None:
    """Write uint8 pixels, (H, W) or (H, W, 3), as one slice; `spacing_mm` None is "unknown"."""
    nibabel = _nibabel()
    stored: Any = np.swapaxes(pixels, 0, 1)
    if pixels.ndim == 3:
        stored = np.ascontiguousarray(stored).view(_RGB)
    else:
        stored = stored[:, :, np.newaxis]
    row_mm, column_mm = spacing_mm or (1.0, 1.0)
    image = nibabel.Nifti1Image(stored, np.diag([-column_mm, -row_mm, 1.0, 1.0]))
    image.header.set_xyzt_units("mm" if spacing_mm else "unknown")
    content = image.to_bytes()
    # Without a time stamp, the same image gives the same file.
    write_bytes(path, content if path.suffix == ".nii" else gzip.compress(content, mtime=0))


def scan(folder: Path) -> Dataset:
    """Find the cases; DataError for images or masks without a partner.

    labels.json names the labels, as in the layout `folder`; without it a mask is 0 and any
    other value.
    """
    images, masks = (_by_stem(folder, part) for part in ("images", "masks"))
    for part, own, others in (("masks", masks, images), ("images", images, masks)):
        missing = [name for name in others if name not in own]
        if missing:
            raise DataError(
                f"{folder / part}: expected the same names in images/ and masks/, none for "
                f"{named(missing)}"
            )
    has_labels = (folder / LABELS_FILE).is_file()
    labels = read_label_names(folder / LABELS_FILE) if has_labels else ("lesion",)
    names = read_names(folder)
    cases = []
    for name, path in images.items():
        case = case_of(names, name, path, masks[name])
        cases.append(_with_spacing(case))
    return Dataset("nifti", folder, labels, tuple(cases), "labels" if has_labels else "binary")


def read_image(case: Case) -> Image:
    """A case's image, without its spacing."""
    return read_nifti(case.image)


def read_mask(dataset: Dataset, case: Case) -> Mask:
    """A case's labels 0..K, uint8 (H, W)."""
    if dataset.mask_kind == "binary":
        return np.asarray(read_nifti_mask(case.masks[0], None, case.image) != 0, np.uint8)
    return read_nifti_mask(case.masks[0], len(dataset.labels), case.image)


def read_nifti(path: Path) -> Image:
    """Read one 2-D image: (H, W) gray or (H, W, 3) RGB uint8, its spacing where it is stated.

    Raises ImageError for a file that is not NIfTI or damaged, for more than one slice, values
    that are not 0 to 255, and sides under 8 pixels or more than 100 megapixels.
    """
    opened = _opened(path)
    pixels = _pixels(path, opened)
    if min(pixels.shape[:2]) < MIN_SIDE_PX:
        raise ImageError(f"{path}: expected at least {MIN_SIDE_PX}x{MIN_SIDE_PX} pixels")
    return Image(pixels, _spacing(opened), str(path))


def read_nifti_mask(path: Path, count: int | None, image: Path | None = None) -> Mask:
    """Read labels 0..`count` (None: any), uint8 (H, W), on the grid of `image` where it is NIfTI.

    Raises ImageError as `read_nifti` does, and DataError for a larger label or a mask whose
    axes point elsewhere than those of `image`: its pixels would lie mirrored.
    """
    opened = _opened(path)
    if image is not None and is_nifti(image):
        axes = _nibabel().aff2axcodes
        directions = [axes(file.affine)[:2] for file in (_opened(image), opened)]
        if directions[0] != directions[1]:
            raise DataError(
                f"{path}: expected the axes of its image, {'/'.join(directions[0])}, got "
                f"{'/'.join(directions[1])}; save it on the image's grid"
            )
    mask = _pixels(path, opened)
    if mask.ndim != 2:
        raise ImageError(f"{path}: expected a mask of labels, got colors")
    if count is not None and mask.max(initial=0) > count:
        raise DataError(
            f"{path}: expected labels 0 to {count}, got the value {mask.max()}; name it in "
            f"{LABELS_FILE} or correct the mask"
        )
    return mask


@cache
def _nibabel() -> ModuleType:
    require("evaluate")
    import nibabel

    return nibabel


def _by_stem(folder: Path, part: str) -> dict[str, Path]:
    if not (folder / part).is_dir():
        raise DataError(f"{folder}: expected the folders images/ and masks/, found no {part}/")
    found = [p for p in (folder / part).iterdir() if is_nifti(p) and not p.name.startswith(".")]
    return {stem(path): path for path in sorted(found, key=lambda path: natural_key(stem(path)))}


def _with_spacing(case: Case) -> Case:
    """The case with its header's spacing; that of names.json where it is the same in float32."""
    stated = _spacing(_opened(case.image))
    known = case.spacing_mm
    if stated and known and np.array_equal(np.array(stated, "f4"), np.array(known, "f4")):
        return case
    return Case(case.id, case.group, case.image, case.masks, case.label, stated)


def _opened(path: Path) -> Any:
    """A file's header, with its size checked; nothing is decoded."""
    if not path.is_file():
        raise ImageError(f"{path}: expected a NIfTI file, found nothing")
    nibabel = _nibabel()
    with _mended(path):
        opened = nibabel.Nifti1Image.from_filename(path)
        shape = tuple(int(side) for side in opened.shape)
    if len(shape) < 2 or any(side != 1 for side in shape[2:]):
        sides = "x".join(str(side) for side in shape)
        raise ImageError(f"{path}: expected one 2-D image, got {sides}; store one slice a file")
    if not 1 <= shape[0] * shape[1] <= MAX_PIXELS:
        raise ImageError(f"{path}: {shape[1]}x{shape[0]} pixels, expected 1 to {MAX_PIXELS}")
    return opened


def _pixels(path: Path, opened: Any) -> Pixels:
    """The one slice as uint8 (H, W) or (H, W, 3)."""
    with _mended(path):
        values = np.asarray(opened.dataobj)
    values = values.reshape(values.shape[:2]).swapaxes(0, 1)
    if values.dtype.names:
        if values.dtype != _RGB:
            raise ImageError(f"{path}: expected gray or RGB24, got {values.dtype.names}")
        return np.stack([values[channel] for channel in ("R", "G", "B")], axis=2)
    return _as_uint8(path, values)


def _as_uint8(path: Path, values: NDArray[Any]) -> Pixels:
    whole = np.issubdtype(values.dtype, np.integer) or bool(
        np.issubdtype(values.dtype, np.floating) and (values == np.floor(values)).all()
    )
    if not whole or values.min() < 0 or values.max() > _UINT8_MAX:
        raise ImageError(
            f"{path}: expected whole values from 0 to {_UINT8_MAX}, got {values.dtype} from "
            f"{values.min()} to {values.max()}; choose a display window and convert it first"
        )
    return np.ascontiguousarray(values, np.uint8)


def _spacing(opened: Any) -> tuple[float, float] | None:
    """(row, column) in millimeters; None where the header names no unit of length."""
    factor = _MM_PER_UNIT.get(opened.header.get_xyzt_units()[0])
    column, row = (_shortest(side) for side in opened.header.get_zooms()[:2])
    if factor is None or not (np.isfinite([row, column]).all() and min(row, column) > 0):
        return None
    return row * factor, column * factor


def _shortest(value: np.float32) -> float:
    """The shortest decimal that is stored as this float32: 0.1 comes back as 0.1."""
    return float(np.format_float_positional(np.float32(value), unique=True))


@contextlib.contextmanager
def _mended(path: Path) -> Iterator[None]:
    """Turn whatever a bad file makes nibabel raise into an ImageError."""
    try:
        yield
    # A damaged header raises nearly anything, from zlib.error to nibabel's own errors.
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ImageError(
            f"{path}: expected a NIfTI file, got a damaged one or another ({reason})"
        ) from error
