"""A data set decoded and resized once: uint8 arrays in one file, mapped into memory.

The file has the safetensors layout: eight bytes with the header's length, a JSON header, the
tensors `images` (N, h, w, C) and `masks` (N, h, w), and what the cases are called in the
header's `__metadata__`. It holds nothing that could run.
"""

import json
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featherseg.datasets import Dataset, images_sha256, read_case
from featherseg.datasets.layout import named
from featherseg.errors import DataError
from featherseg.preprocess import fit_mask, fit_pixels
from featherseg.storage import replacing
from featherseg.types import Case

Progress = Callable[[Sequence[Case]], Iterable[Case]]

_FORMAT = "featherseg-pack-1"
_LENGTH = struct.Struct("<Q")
# Names of a million cases stay below this; a larger header is not ours.
_LARGEST_HEADER_BYTES = 64 << 20
_SIDES_PX = (8, 4096)
_DIMENSIONS = {"images": 4, "masks": 3}


@dataclass(frozen=True, eq=False)
class Packed:
    """Images and masks of one size, ready for training.

    ``images`` is uint8 (N, h, w, C), ``masks`` uint8 (N, h, w) with labels 0..K. ``ids``,
    ``classes`` and ``groups`` have N entries; ``labels`` names the foreground labels 1..K.
    ``images_sha256`` is that of the whole dataset, also after `select`.
    """

    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    ids: tuple[str, ...]
    classes: tuple[str, ...]
    groups: tuple[str, ...]
    labels: tuple[str, ...]
    layout: str
    images_sha256: str

    def select(self, ids: Iterable[str]) -> "Packed":
        """The cases named, in that order, copied into memory; DataError for an unknown name."""
        wanted = tuple(ids)
        places = {name: place for place, name in enumerate(self.ids)}
        unknown = [name for name in wanted if name not in places]
        if unknown:
            raise DataError(
                f"the pack has no case {named(unknown)}; pack the data set that the split is of"
            )
        index = np.array([places[name] for name in wanted], dtype=np.intp)
        return replace(
            self,
            images=np.asarray(self.images[index]),
            masks=np.asarray(self.masks[index]),
            ids=wanted,
            classes=tuple(self.classes[place] for place in index),
            groups=tuple(self.groups[place] for place in index),
        )


def pack(
    dataset: Dataset, size: tuple[int, int], channels: int, progress: Progress = iter
) -> Packed:
    """Decode every case once and fit it to `size` (height, width) with 1 or 3 channels.

    Raises DataError or ImageError at the first case that cannot be used.
    """
    least, most = _SIDES_PX
    if not least <= min(size) <= max(size) <= most or channels not in (1, 3):
        raise DataError(
            f"expected sides of {least} to {most} pixels and 1 or 3 channels, "
            f"got {size[0]}x{size[1]} with {channels}"
        )
    cases = dataset.cases
    images = np.empty((len(cases), *size, channels), np.uint8)
    masks = np.empty((len(cases), *size), np.uint8)
    for place, case in enumerate(progress(cases)):
        image, mask = read_case(dataset, case)
        images[place] = fit_pixels(image.pixels, size, channels)
        masks[place] = fit_mask(mask, size)
    return Packed(
        images=images,
        masks=masks,
        ids=tuple(case.id for case in cases),
        classes=tuple(case.label for case in cases),
        groups=tuple(case.group for case in cases),
        labels=dataset.labels,
        layout=dataset.layout,
        images_sha256=images_sha256(dataset),
    )


def save_pack(packed: Packed, path: Path) -> None:
    """Write a pack as one safetensors file, atomically."""
    tensors = {"images": packed.images, "masks": packed.masks}
    header: dict[str, Any] = {"__metadata__": _metadata(packed)}
    start = 0
    for name, tensor in tensors.items():
        end = start + tensor.nbytes
        header[name] = {"dtype": "U8", "shape": tensor.shape, "data_offsets": [start, end]}
        start = end
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % _LENGTH.size)
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(_LENGTH.pack(len(encoded)))
        file.write(encoded)
        for tensor in tensors.values():
            file.write(np.ascontiguousarray(tensor).data)


def open_pack(path: Path) -> Packed:
    """Map a pack into memory, read-only; nothing is decoded or copied.

    Raises DataError where the file is missing, truncated or not a pack.
    """
    header, start = _read_header(path)
    mapped = {name: _map_tensor(path, header.get(name), start, name) for name in _DIMENSIONS}
    expected_bytes = start + sum(array.nbytes for array in mapped.values())
    if path.stat().st_size != expected_bytes:
        raise _not_a_pack(path, "its size differs from what its header says")
    known = _read_metadata(path, header.get("__metadata__"))
    images, masks = mapped["images"], mapped["masks"]
    lengths = {len(masks), *(len(known[name]) for name in ("ids", "classes", "groups"))}
    if lengths != {len(images)} or images.shape[:3] != masks.shape:
        raise _not_a_pack(path, "its images, masks and names differ in number or size")
    return Packed(images=images, masks=masks, **known)


def _metadata(packed: Packed) -> dict[str, str]:
    known = {
        field.name: json.dumps(getattr(packed, field.name))
        for field in fields(Packed)
        if field.name not in _DIMENSIONS
    }
    return {"format": _FORMAT, **known}


def _read_metadata(path: Path, metadata: Any) -> dict[str, Any]:
    """The fields of `Packed` that are not arrays, checked one by one."""
    if not isinstance(metadata, dict) or metadata.get("format") != _FORMAT:
        raise _not_a_pack(path, f"its format is not {_FORMAT}")
    known: dict[str, Any] = {}
    for name in ("ids", "classes", "groups", "labels", "layout", "images_sha256"):
        try:
            value = json.loads(metadata[name])
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise _not_a_pack(path, f"its field {name} is missing or damaged") from error
        is_text = name in ("layout", "images_sha256")
        texts = [value] if is_text else value
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise _not_a_pack(path, f"its field {name} does not hold text")
        known[name] = value if is_text else tuple(value)
    return known


def _read_header(path: Path) -> tuple[dict[str, Any], int]:
    """The JSON header and the position of the first tensor."""
    try:
        with path.open("rb") as file:
            (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
            if length > min(_LARGEST_HEADER_BYTES, path.stat().st_size - _LENGTH.size):
                raise _not_a_pack(path, "its header is longer than the file or too long")
            header = json.loads(file.read(length))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except (struct.error, ValueError, RecursionError) as error:
        raise _not_a_pack(path, "it has no readable header") from error
    if not isinstance(header, dict):
        raise _not_a_pack(path, "it has no readable header")
    return header, _LENGTH.size + length


def _map_tensor(path: Path, entry: Any, start: int, name: str) -> NDArray[np.uint8]:
    """Map one tensor after checking its type, its shape and its place in the file."""
    entry = entry if isinstance(entry, dict) else {}
    shape, offsets = entry.get("shape"), entry.get("data_offsets")
    valid = entry.get("dtype") == "U8" and _are_counts(shape, _DIMENSIONS[name])
    if not valid or not _are_counts(offsets, 2) or 0 in shape:
        raise _not_a_pack(path, f"it has no valid tensor '{name}'")
    first, last = offsets
    count = int(np.prod([int(side) for side in shape], dtype=object))
    if last - first != count or start + last > path.stat().st_size:
        raise _not_a_pack(path, f"its tensor '{name}' does not fit in the file")
    mapped = np.memmap(path, dtype=np.uint8, mode="r", offset=start + first, shape=tuple(shape))
    return np.asarray(mapped)


def _are_counts(value: Any, length: int) -> bool:
    """Whether `value` is a list of `length` integers of 0 or more."""
    if not isinstance(value, list) or len(value) != length:
        return False
    return all(type(number) is int and number >= 0 for number in value)


def _not_a_pack(path: Path, reason: str) -> DataError:
    return DataError(
        f"{path}: expected a pack, but {reason}; make it again with: featherseg data pack"
    )
