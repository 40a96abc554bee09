"""One compressed .npz of arrays, as MedSegBench and MedMNIST have it.

``train_images``, ``train_label``, ``val_images``, ``val_label``, ``test_images`` and
``test_label``: uint8, (N, H, W) or (N, H, W, 3), and labels 0..K as (N, H, W), all images of one
size. Kuş Z, Aydin M. MedSegBench: a comprehensive benchmark for medical image segmentation in
diverse data modalities. Scientific Data 2024;11:1283. doi:10.1038/s41597-024-04159-2. Images of
other sizes are stretched as for training, masks by nearest neighbor: that is not exact, and
scores belong to the stretched grid. names.json beside the file keeps ids, groups and spacing.
"""

import zipfile
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from featherseg.datasets.exchange.export import WHOLE, Export, Item, Progress, as_rgb, items
from featherseg.datasets.exchange.names import (
    NAMES_FILE,
    NamedCase,
    Names,
    case_of,
    read_names,
    write_names,
)
from featherseg.datasets.layout import Dataset, named
from featherseg.errors import DataError, ImageError
from featherseg.images.raster import MIN_SIDE_PX
from featherseg.preprocess import fit_mask, fit_pixels
from featherseg.storage import replacing
from featherseg.types import Case, Image, Mask, Pixels

CITATION = (
    "the data set's own; of the format: Kuş Z, Aydin M. MedSegBench. Scientific Data "
    "2024;11:1283. doi:10.1038/s41597-024-04159-2"
)
# Our words -> the format's. Without a split all cases are "train".
_PREFIXES = {"train": "train", WHOLE: "train", "validation": "val", "test": "test"}
_ORDER = ("train", "val", "test")
# The largest file of MedSegBench unpacks to about 5 GB; far more would fill a computer's memory.
_LARGEST_ARRAY_BYTES = 16 << 30
_Header = tuple[tuple[int, ...], bool, np.dtype[Any]]


def write(export: Export, root: Path, progress: Progress) -> None:
    """Write ``NAME_HEIGHT.npz`` and names.json into `root`.

    Raises DataError where the images differ in size and `export.size_px` is None. The arrays
    are held in memory until they are written.
    """
    known: dict[str, NamedCase] = {}
    images: dict[str, list[Pixels]] = {name: [] for name in _ORDER}
    masks: dict[str, list[Mask]] = {name: [] for name in _ORDER}
    size = export.size_px
    for item in items(export, progress):
        size = size or (item.mask.shape[0], item.mask.shape[1])
        _check_size(item, size, export.size_px is not None)
        prefix = _PREFIXES[item.subset]
        images[prefix].append(_fitted(item.pixels, size))
        masks[prefix].append(fit_mask(item.mask, size))
        known[item.name] = _stretched(item, size)
    assert size is not None  # an export holds at least one case
    arrays = _arrays(images, masks, size)
    path = root / f"{export.name}_{size[0]}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)
    write_names(root, export.labels, known, [path])


def _check_size(item: Item, size: tuple[int, int], may_stretch: bool) -> None:
    if min(size) < MIN_SIDE_PX:
        raise DataError(f"expected a size of at least {MIN_SIDE_PX} pixels, got {min(size)}")
    if not may_stretch and item.mask.shape != size:
        height, width = item.mask.shape
        raise DataError(
            f"case '{item.case.id}': .npz holds images of one size, expected {size[0]}x{size[1]}, "
            f"got {height}x{width}; give --size to stretch all to one"
        )


def _fitted(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    fitted = fit_pixels(pixels, size, 1 if pixels.ndim == 2 else 3)
    return fitted[:, :, 0] if pixels.ndim == 2 else fitted


def _stretched(item: Item, size: tuple[int, int]) -> NamedCase:
    """What names.json says, with the spacing of the stretched image."""
    spacing = item.case.spacing_mm
    if spacing is None or item.mask.shape == size:
        return item.known
    row, column = (
        mm * old / new for mm, old, new in zip(spacing, item.mask.shape, size, strict=True)
    )
    return item.known.model_copy(update={"spacing_mm": (row, column)})


def _arrays(
    images: dict[str, list[Pixels]], masks: dict[str, list[Mask]], size: tuple[int, int]
) -> dict[str, Any]:
    """All six arrays; gray only where every image is."""
    is_gray = all(pixels.ndim == 2 for part in images.values() for pixels in part)
    shape = size if is_gray else (*size, 3)
    arrays: dict[str, NDArray[np.uint8]] = {}
    for prefix in _ORDER:
        shown = images[prefix] if is_gray else [as_rgb(pixels) for pixels in images[prefix]]
        arrays[f"{prefix}_images"] = np.array(shown, np.uint8).reshape(-1, *shape)
        arrays[f"{prefix}_label"] = np.array(masks[prefix], np.uint8).reshape(-1, *size)
    return arrays


def scan(folder: Path) -> Dataset:
    """Find the cases of the one .npz file in `folder`, in the order train, val, test.

    With names.json ids, groups, classes and spacing are those of the export; else a case is
    called ``train_0001`` and so on, and the labels are named by their numbers. Raises DataError
    for a file without these arrays, or with others than uint8 of one size.
    """
    path = _file(folder)
    counts = _counts(path)
    names = read_names(folder)
    total = sum(counts.values())
    stems = list(names.cases) if names else _numbered(counts)
    if len(stems) != total:
        raise DataError(
            f"{folder / NAMES_FILE}: expected {total} cases as in {path.name}, got {len(stems)}; "
            "export the data again"
        )
    cases = tuple(case_of(names, stem, path, path, frame) for frame, stem in enumerate(stems))
    return Dataset("npz", folder, _label_names(path, names), cases, "labels")


def read_image(case: Case) -> Image:
    """A case's image; one channel again where the export had to repeat it."""
    pixels, frame = _array(case, "images")
    image = np.ascontiguousarray(pixels[frame])
    names = read_names(case.image.parent)
    if names and image.ndim == 3 and tuple(names.cases.values())[case.frame].gray:
        image = np.ascontiguousarray(image[:, :, 0])
    return Image(image, None, f"{case.image}#{case.id}")


def read_mask(dataset: Dataset, case: Case) -> Mask:
    """A case's labels 0..K, uint8 (H, W); DataError for a value above K."""
    masks, frame = _array(case, "label")
    mask = np.ascontiguousarray(masks[frame])
    if mask.max(initial=0) > len(dataset.labels):
        raise DataError(
            f"{case.image}, case '{case.id}': expected labels 0 to {len(dataset.labels)}, got the "
            f"value {mask.max()}; correct names.json or the mask"
        )
    return mask


def _file(folder: Path) -> Path:
    found = sorted(path for path in folder.glob("*.npz") if not path.name.startswith("."))
    if len(found) != 1:
        raise DataError(
            f"{folder}: expected one .npz file, found "
            f"{named(path.name for path in found) if found else 'none'}; "
            "keep each data set in a folder of its own"
        )
    return found[0]


def _counts(path: Path) -> dict[str, int]:
    """How many images each subset has, from the arrays' headers alone."""
    counts, sizes = {}, set()
    for prefix in _ORDER:
        images, labels = (_shape(path, f"{prefix}_{kind}") for kind in ("images", "label"))
        if images is None and labels is None:
            continue
        if (
            images is None
            or labels is None
            or len(images) not in (3, 4)
            or images[3:] not in ((), (3,))
            or images[:3] != labels
        ):
            raise DataError(
                f"{path}: expected {prefix}_images (N, H, W) or (N, H, W, 3) and {prefix}_label "
                f"(N, H, W), got {images} and {labels}"
            )
        counts[prefix] = images[0]
        sizes.add(images[1:3])
    if not counts or min(min(size) for size in sizes) < MIN_SIDE_PX:
        raise DataError(
            f"{path}: expected arrays such as train_images and train_label, of at least "
            f"{MIN_SIDE_PX} pixels a side, got none"
        )
    return counts


def _shape(path: Path, name: str) -> tuple[int, ...] | None:
    """The shape of an array of uint8 from its header; None where there is none of that name."""
    try:
        with zipfile.ZipFile(path) as archive:
            if f"{name}.npy" not in archive.namelist():
                return None
            with archive.open(f"{name}.npy") as file:
                shape, _, dtype = _header(file)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, RuntimeError) as error:
        raise DataError(f"{path}: cannot be read as an .npz file ({error})") from error
    if dtype not in (np.uint8, np.bool_):
        raise DataError(f"{path}: expected {name} as uint8, got {dtype}")
    if np.prod(shape, dtype=np.float64) > _LARGEST_ARRAY_BYTES:
        raise DataError(f"{path}: {name} is over the limit of {_LARGEST_ARRAY_BYTES >> 30} GiB")
    return shape


def _header(file: IO[bytes]) -> _Header:
    version = np.lib.format.read_magic(file)
    reader = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, fortran, dtype = reader(file)
    return shape, fortran, dtype


def _numbered(counts: dict[str, int]) -> list[str]:
    digits = max(4, len(str(max(counts.values()))))
    return [f"{p}_{n + 1:0{digits}d}" for p, count in counts.items() for n in range(count)]


def _label_names(path: Path, names: Names | None) -> tuple[str, ...]:
    if names:
        return names.labels
    largest = max(
        int(_load(path, f"{p}_label", _stamp(path)).max(initial=0)) for p in _counts(path)
    )
    return ("lesion",) if largest <= 1 else tuple(str(n) for n in range(1, largest + 1))


def _array(case: Case, kind: str) -> tuple[NDArray[np.uint8], int]:
    """The array that holds a case's image or mask, and the case's place in it."""
    frame = case.frame
    for prefix, count in _counts_of(case.image, _stamp(case.image)).items():
        if frame < count:
            return _load(case.image, f"{prefix}_{kind}", _stamp(case.image)), frame
        frame -= count
    raise ImageError(f"{case.image}: there is no image {case.frame}")


def _stamp(path: Path) -> int:
    return path.stat().st_mtime_ns


@lru_cache(maxsize=2)
def _counts_of(path: Path, _: int) -> dict[str, int]:
    return _counts(path)


# Unpacking an array for each of its images would take hours; the six of one file are kept.
@lru_cache(maxsize=len(_ORDER) * 2)
def _load(path: Path, name: str, _: int) -> NDArray[np.uint8]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return np.asarray(arrays[name], np.uint8)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, KeyError) as error:
        raise ImageError(f"{path}: {name} is damaged ({error}); export it again") from error
