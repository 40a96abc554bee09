"""Probability maps of any tool: 8- and 16-bit PNG, .npy, and nnU-Net's .npz.

Nothing here unpickles, and the size is checked before a map is decoded.
"""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from featherseg.errors import ImageError
from featherseg.types import Floats

SUFFIXES = (".png", ".npy", ".npz")
# What nnUNetv2_predict --save_probabilities calls its array: (classes, 1, H, W).
_NNUNET_KEY = "probabilities"
_BACKGROUND_AND_LABEL = 2
_PNG_MAXIMA = {"L": 255.0, "I;16": 65535.0, "I;16B": 65535.0, "I": 65535.0}
_LARGEST = {np.dtype(np.uint8): 255.0, np.dtype(np.uint16): 65535.0}
_DAMAGED = (OSError, ValueError, EOFError, KeyError, SyntaxError, zipfile.BadZipFile)


def read_probability(path: Path, size: tuple[int, int]) -> Floats:
    """The probability of the one label as float32 (H, W) in [0, 1]; `size` is (height, width).

    PNG and integer arrays are divided by the largest value of their type (255 or 65535);
    floats are taken as they are. An .npz is one of nnU-Net, with background and one label.
    Raises ImageError for another size, values outside [0, 1], NaN, and files that are neither.
    """
    if not path.is_file():
        raise ImageError(f"{path}: expected a probability map, found nothing")
    try:
        values = _from_png(path, size) if path.suffix.lower() == ".png" else _from_numpy(path, size)
    except _DAMAGED as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ImageError(f"{path}: cannot be read as a probability map ({reason})") from error
    # A NaN makes both comparisons false.
    if not (values.min() >= 0.0 and values.max() <= 1.0):
        raise ImageError(
            f"{path}: expected probabilities in [0, 1], got {values.min():g} to {values.max():g}; "
            "apply the sigmoid or softmax first"
        )
    return values


def _from_png(path: Path, size: tuple[int, int]) -> Floats:
    with PIL.Image.open(path, formats=("PNG",)) as opened:
        _check_size(path, (opened.height, opened.width), size)
        maximum = _PNG_MAXIMA.get(opened.mode)
        if maximum is None:
            raise ImageError(
                f"{path}: expected gray of 8 or 16 bits, got the mode {opened.mode}; store the "
                "probability as gray, 0 as 0 and 1 as the largest value"
            )
        return np.asarray(np.asarray(opened, np.float32) / np.float32(maximum), np.float32)


def _from_numpy(path: Path, size: tuple[int, int]) -> Floats:
    if path.suffix.lower() == ".npz":
        stored = _nnunet_array(path, size)
    else:
        # Mapped: nothing is read before the size is known to be right.
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
        _check_size(path, stored.shape, size)
    maximum = _LARGEST.get(stored.dtype)
    if maximum is None and not np.issubdtype(stored.dtype, np.floating):
        raise ImageError(f"{path}: expected floats, uint8 or uint16, got {stored.dtype}")
    values = np.asarray(stored, np.float32)
    return values if maximum is None else np.asarray(values / np.float32(maximum), np.float32)


def _nnunet_array(path: Path, size: tuple[int, int]) -> NDArray[Any]:
    expected = (_BACKGROUND_AND_LABEL, 1, *size)
    with zipfile.ZipFile(path) as archive, archive.open(f"{_NNUNET_KEY}.npy") as file:
        major, _ = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0
        shape, _, _ = read(file) if major == 1 else np.lib.format.read_array_header_2_0(file)
    if shape not in (expected, expected[:1] + size):
        raise ImageError(
            f"{path}: expected nnU-Net's probabilities of background and one label, "
            f"{expected}, got {shape}"
        )
    with np.load(path, allow_pickle=False) as arrays:
        return np.asarray(arrays[_NNUNET_KEY][1]).reshape(size)


def _check_size(path: Path, found: tuple[int, ...], size: tuple[int, int]) -> None:
    if found != size:
        raise ImageError(
            f"{path}: expected a probability map of the mask's size {size[0]}x{size[1]}, got "
            f"{'x'.join(str(side) for side in found)}; save it on the image's own grid"
        )
