"""Probability maps of other tools: the formats, and what is refused before it is decoded."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from featherseg.errors import ImageError
from featherseg.images.probability import read_probability

SIZE = (12, 16)
VALUES = np.random.default_rng(0).random(SIZE)
Array = NDArray[Any]


@pytest.mark.parametrize(
    ("name", "tolerance", "stored"),
    [
        ("a.png", 0.5 / 255, (VALUES * 255).round().astype(np.uint8)),
        ("b.png", 0.5 / 65535, (VALUES * 65535).round().astype(np.uint16)),
        ("c.npy", 1e-3, VALUES.astype(np.float16)),
        ("d.npy", 1e-7, VALUES),
        ("e.npy", 0.5 / 65535, (VALUES * 65535).round().astype(np.uint16)),
    ],
)
def test_each_format_gives_the_probability(
    tmp_path: Path, name: str, tolerance: float, stored: Array
) -> None:
    if name.endswith(".png"):
        assert cv2.imwrite(str(tmp_path / name), stored)
    else:
        np.save(tmp_path / name, stored)
    found = read_probability(tmp_path / name, SIZE)
    assert found.dtype == np.float32
    assert found.shape == SIZE
    np.testing.assert_allclose(found, VALUES, atol=tolerance + 1e-7)


@pytest.mark.parametrize("shape", [(2, 1, *SIZE), (2, *SIZE)])
def test_nnunets_file_gives_the_foreground(tmp_path: Path, shape: tuple[int, ...]) -> None:
    both = np.stack([1 - VALUES, VALUES]).astype(np.float16)
    np.savez_compressed(tmp_path / "a.npz", probabilities=both.reshape(shape))
    np.testing.assert_allclose(read_probability(tmp_path / "a.npz", SIZE), VALUES, atol=1e-3)


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (VALUES[1:], r"mask's size 12x16, got 11x16"),
        (VALUES * 8 - 4, r"expected probabilities in \[0, 1\], got -"),
        (np.full(SIZE, np.nan), r"expected probabilities in \[0, 1\], got nan"),
        (np.full(SIZE, 2, np.int64), "expected floats, uint8 or uint16, got int64"),
        (np.zeros((*SIZE, 1)), "got 12x16x1"),
        (np.full(SIZE, {}, object), "cannot be read as a probability map"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, stored: Array, message: str) -> None:
    np.save(tmp_path / "a.npy", stored)
    with pytest.raises(ImageError, match=message):
        read_probability(tmp_path / "a.npy", SIZE)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00 and nothing more")
    (tmp_path / "b.png").write_bytes(b"no picture")
    np.savez(tmp_path / "c.npz", probabilities=np.zeros((3, 1, *SIZE)))
    np.savez(tmp_path / "d.npz", other=np.zeros(SIZE))
    assert cv2.imwrite(str(tmp_path / "e.png"), np.zeros((*SIZE, 3), np.uint8))
    assert cv2.imwrite(str(tmp_path / "f.png"), np.zeros((13, 16), np.uint8))
    for name, message in {
        "a.npy": "cannot be read",
        "b.png": "cannot be read",
        "c.npz": "background and one label",
        "d.npz": "cannot be read",
        "e.png": "gray of 8 or 16 bits, got the mode RGB",
        "f.png": "size 12x16, got 13x16",
        "g.png": "found nothing",
    }.items():
        with pytest.raises(ImageError, match=message):
            read_probability(tmp_path / name, SIZE)
