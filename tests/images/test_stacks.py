"""Files that hold several images, and files packed with gzip."""

import gzip
import io
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from featherseg.errors import ImageError
from featherseg.images import raster

PAGES = [np.full((10, 12), value, np.uint8) for value in (3, 4, 5)]


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    path = tmp_path / "stack.tif"
    first, *others = (PIL.Image.fromarray(page) for page in PAGES)
    first.save(path, save_all=True, append_images=others)
    return path


def ppm(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, "PPM")
    return buffer.getvalue()


def test_pages(stack: Path) -> None:
    assert raster.page_count(stack) == 3
    for number, page in enumerate(PAGES):
        np.testing.assert_array_equal(raster.read_image(stack, number).pixels, page)
        np.testing.assert_array_equal(raster.read_mask(stack, number), page)


@pytest.mark.parametrize("page", [3, -1, 10**9])
def test_pages_that_are_not_there(stack: Path, page: int) -> None:
    with pytest.raises(ImageError, match=rf"stack\.tif: expected a page from 0 to 2, got {page}"):
        raster.read_image(stack, page)


def test_a_stack_is_never_read_unasked(stack: Path) -> None:
    with pytest.raises(ImageError, match="expected one image, got 3 pages"):
        raster.read_image(stack)


def test_every_page_is_checked_before_it_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "deep.tif"
    deep = PIL.Image.fromarray(np.full((10, 12), 300, np.uint16))
    PIL.Image.fromarray(PAGES[0]).save(path, save_all=True, append_images=[deep])
    assert raster.read_image(path, 0).pixels[0, 0] == 3
    with pytest.raises(ImageError, match="expected 8 bits a channel"):
        raster.read_image(path, 1)


def test_one_image_has_one_page(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    PIL.Image.fromarray(PAGES[0]).save(path)
    assert raster.page_count(path) == 1
    np.testing.assert_array_equal(raster.read_image(path, 0).pixels, PAGES[0])


@pytest.mark.parametrize("shape", [(60, 70), (300, 200, 3)])
def test_packed_files(tmp_path: Path, shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    path = tmp_path / "a.ppm.gz"
    path.write_bytes(gzip.compress(ppm(pixels)))
    np.testing.assert_array_equal(raster.read_image(path).pixels, pixels)
    assert raster.image_size(path) == shape[:2]


def test_a_packed_file_is_not_unpacked_beyond_its_header(tmp_path: Path) -> None:
    """A gigabyte of zeros behind a small image takes a megabyte of file and no memory."""
    path = tmp_path / "bomb.ppm.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(ppm(PAGES[0]))
        for _ in range(64):
            file.write(bytes(1 << 20))
    with pytest.raises(ImageError, match="expected 10x12 pixels as its header says, unpacks to"):
        raster.read_image(path)


def test_a_packed_header_is_checked_first(tmp_path: Path) -> None:
    path = tmp_path / "huge.ppm.gz"
    path.write_bytes(gzip.compress(b"P5\n90000 90000\n255\n" + bytes(1000)))
    with pytest.raises(ImageError, match="over the limit of 100 megapixels"):
        raster.read_image(path)
    path.write_bytes(gzip.compress(b"P5\n#" + b"a" * (1 << 20) + b"\n2 2\n255\n" + bytes(4)))
    with pytest.raises(ImageError, match=r"huge\.ppm\.gz"):
        raster.read_image(path)


def test_what_is_no_packed_image(tmp_path: Path) -> None:
    path = tmp_path / "a.ppm.gz"
    good = gzip.compress(ppm(np.random.default_rng(0).integers(0, 256, (90, 90), dtype=np.uint8)))
    buffer = io.BytesIO()
    PIL.Image.fromarray(PAGES[0]).save(buffer, "PNG")
    for content in (
        b"",
        b"P5\n1 1\n255\n\0",
        good[:900],
        good[:20],
        gzip.compress(buffer.getvalue()),
    ):
        path.write_bytes(content)
        with pytest.raises(ImageError, match=r"a\.ppm\.gz: expected a PNG, JPEG, TIFF or PPM"):
            raster.read_image(path)
