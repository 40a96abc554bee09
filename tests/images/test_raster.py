"""Reading image files: every mode, and everything that must be refused."""

import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from featherseg.errors import ImageError
from featherseg.images import raster

GRAY = np.arange(24 * 32, dtype=np.uint16).reshape(24, 32).astype(np.uint8)
COLOR = np.dstack([GRAY, GRAY[::-1], GRAY[:, ::-1]])


def saved(path: Path, image: PIL.Image.Image, **options: Any) -> Path:
    image.save(path, **options)
    return path


def encoded(path: Path, pixels: NDArray[np.integer[Any]] | NDArray[np.floating[Any]]) -> Path:
    """Write with OpenCV, which writes the 16-bit and float files Pillow cannot."""
    assert cv2.imwrite(str(path), pixels)
    return path


def huge_png(path: Path, side_px: int) -> Path:
    """A PNG whose header claims a square of `side_px`, with nothing behind it."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = struct.pack(">IIBBBBB", side_px, side_px, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_gray_is_read_as_it_is(tmp_path: Path, suffix: str) -> None:
    path = saved(tmp_path / f"a.{suffix}", PIL.Image.fromarray(GRAY))
    image = raster.read_image(path)
    np.testing.assert_array_equal(image.pixels, GRAY)
    assert image.pixels.dtype == np.uint8
    assert (image.spacing_mm, image.source) == (None, str(path))
    assert raster.image_size(path) == (24, 32)


@pytest.mark.parametrize("suffix", ["png", "tiff", "ppm"])
def test_color_is_read_as_rgb(tmp_path: Path, suffix: str) -> None:
    path = saved(tmp_path / f"a.{suffix}", PIL.Image.fromarray(COLOR))
    np.testing.assert_array_equal(raster.read_image(path).pixels, COLOR)


def test_jpeg_is_read_closely(tmp_path: Path) -> None:
    smooth = cv2.GaussianBlur(GRAY, (0, 0), 4)
    path = saved(tmp_path / "a.jpg", PIL.Image.fromarray(smooth), quality=95)
    difference = raster.read_image(path).pixels.astype(int) - smooth
    assert np.abs(difference).max() <= 8


def test_alpha_is_dropped(tmp_path: Path) -> None:
    for alpha in (0, 255):
        layer = np.full_like(GRAY, alpha)
        rgba = PIL.Image.fromarray(np.dstack([COLOR, layer]))
        path = saved(tmp_path / "rgba.png", rgba)
        np.testing.assert_array_equal(raster.read_image(path).pixels, COLOR)
        la = PIL.Image.merge("LA", (PIL.Image.fromarray(GRAY), PIL.Image.fromarray(layer)))
        path = saved(tmp_path / "la.png", la)
        np.testing.assert_array_equal(raster.read_image(path).pixels, GRAY)


def test_one_bit_gives_0_and_255(tmp_path: Path) -> None:
    bits = GRAY > 100
    path = saved(tmp_path / "a.png", PIL.Image.fromarray(bits))
    assert path.read_bytes()[24] == 1  # the bit depth in the PNG header
    np.testing.assert_array_equal(raster.read_mask(path), bits * 255)
    np.testing.assert_array_equal(raster.read_image(path).pixels, bits * 255)


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    cyan = np.zeros((16, 16, 4), np.uint8)
    cyan[..., 0] = 255
    path = saved(tmp_path / "a.tif", PIL.Image.fromarray(cyan, mode="CMYK"))
    assert (raster.read_image(path).pixels == (0, 255, 255)).all()


def test_a_palette_gives_its_colors(tmp_path: Path) -> None:
    path = palette_file(tmp_path / "a.png", [0, 0, 0, 128, 0, 0, 0, 128, 0])
    pixels = raster.read_image(path).pixels
    assert {tuple(color) for color in pixels.reshape(-1, 3)} == {
        (0, 0, 0),
        (128, 0, 0),
        (0, 128, 0),
    }
    assert set(np.unique(raster.read_mask(path))) == {0, 128}


def palette_file(path: Path, palette: list[int]) -> Path:
    image = PIL.Image.fromarray(np.repeat([[0, 1, 2]], 12, axis=0).repeat(4, 1).astype(np.uint8))
    image = image.convert("L")
    indexed = PIL.Image.frombytes("P", image.size, image.tobytes())
    indexed.putpalette(palette)
    return saved(path, indexed)


def test_mask_is_the_largest_channel(tmp_path: Path) -> None:
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[2, 3], pixels[4, 5] = (0, 7, 0), (0, 0, 9)
    mask = raster.read_mask(saved(tmp_path / "m.png", PIL.Image.fromarray(pixels)))
    assert mask.shape == (16, 16)
    assert (mask[2, 3], mask[4, 5], mask.sum()) == (7, 9, 16)


def test_labels_are_gray_values_or_palette_indices(tmp_path: Path) -> None:
    colorful = palette_file(tmp_path / "p.png", [0, 0, 0, 128, 0, 0, 0, 128, 0])
    assert set(np.unique(raster.read_labels(colorful))) == {0, 1, 2}
    swapped = palette_file(tmp_path / "g.png", [2, 2, 2, 1, 1, 1, 0, 0, 0])
    np.testing.assert_array_equal(raster.read_labels(swapped)[0, ::4], [2, 1, 0])
    gray = saved(tmp_path / "l.png", PIL.Image.fromarray(GRAY % 3))
    np.testing.assert_array_equal(raster.read_labels(gray), GRAY % 3)
    equal = saved(tmp_path / "rgb.png", PIL.Image.fromarray(np.dstack([GRAY % 3] * 3)))
    np.testing.assert_array_equal(raster.read_labels(equal), GRAY % 3)
    with pytest.raises(ImageError, match=r"rgb2\.png: expected a label map .* got colors"):
        raster.read_labels(saved(tmp_path / "rgb2.png", PIL.Image.fromarray(COLOR)))


def test_the_content_counts_not_the_suffix(tmp_path: Path) -> None:
    path = tmp_path / "really_a_png.jpg"
    saved(tmp_path / "a.png", PIL.Image.fromarray(GRAY)).rename(path)
    np.testing.assert_array_equal(raster.read_image(path).pixels, GRAY)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "ppm"])
def test_truncated_files_are_refused(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = saved(tmp_path / f"a.{suffix}", PIL.Image.fromarray(noise))
    content = path.read_bytes()
    for kept in (0, 1, 10, len(content) // 2, len(content) * 9 // 10):
        path.write_bytes(content[:kept])
        with pytest.raises(ImageError, match=rf"a\.{suffix}: .*export it again"):
            raster.read_image(path)


def test_damaged_bytes_never_raise_anything_else(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for suffix, options in (("png", {}), ("jpg", {}), ("tif", {"compression": "tiff_lzw"})):
        path = saved(tmp_path / f"a.{suffix}", PIL.Image.fromarray(COLOR), **options)
        content = np.frombuffer(path.read_bytes(), np.uint8)
        for _ in range(150):
            damaged = content.copy()
            damaged[rng.integers(0, content.size, 4)] = rng.integers(0, 256, 4)
            path.write_bytes(damaged.tobytes())
            try:
                pixels = raster.read_image(path).pixels
            except ImageError as error:
                assert "\n" not in str(error)  # noqa: PT017
            else:
                assert pixels.dtype == np.uint8


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm"])
def test_16_bit_gray_is_refused(tmp_path: Path, name: str) -> None:
    path = encoded(tmp_path / name, GRAY.astype(np.uint16) * 200)
    with pytest.raises(ImageError, match="expected 8 bits a channel, got more than 8 bits"):
        raster.read_image(path)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.ppm"])
def test_16_bit_color_is_refused(tmp_path: Path, name: str) -> None:
    path = encoded(tmp_path / name, COLOR.astype(np.uint16) * 200)
    with pytest.raises(ImageError, match="expected 8 bits a channel, got more than 8 bits"):
        raster.read_image(path)


def test_float_is_refused(tmp_path: Path) -> None:
    path = encoded(tmp_path / "a.tif", GRAY.astype(np.float32))
    with pytest.raises(ImageError, match="expected 8 bits a channel, got 32-bit float"):
        raster.read_image(path)
    path = encoded(tmp_path / "b.tif", COLOR.astype(np.float32))
    with pytest.raises(ImageError, match=r"expected a PNG, .* 8 bits a channel, got something"):
        raster.read_image(path)


def test_several_pages_are_refused(tmp_path: Path) -> None:
    page = PIL.Image.fromarray(GRAY)
    path = saved(tmp_path / "a.tif", page, save_all=True, append_images=[page, page])
    with pytest.raises(ImageError, match="expected one image, got 3 pages"):
        raster.read_image(path)


@pytest.mark.parametrize("side_px", [11_000, 30_000, 2_000_000_000])
def test_huge_images_are_refused_before_decoding(tmp_path: Path, side_px: int) -> None:
    path = huge_png(tmp_path / "a.png", side_px)
    with pytest.raises(ImageError, match="over the limit of 100 megapixels"):
        raster.read_image(path)
    with pytest.raises(ImageError, match="over the limit of 100 megapixels"):
        raster.image_size(path)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 100), (100, 7)])
def test_tiny_images_are_refused(tmp_path: Path, height: int, width: int) -> None:
    path = saved(tmp_path / "a.png", PIL.Image.new("L", (width, height)))
    with pytest.raises(ImageError, match=rf"at least 8x8 pixels, got {height}x{width}"):
        raster.read_image(path)


def test_what_is_no_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="expected an image file, found a folder"):
        raster.read_image(tmp_path)
    with pytest.raises(ImageError, match="expected an image file, found nothing"):
        raster.read_image(tmp_path / "absent.png")
    (tmp_path / "a.png").write_text("not an image")
    with pytest.raises(ImageError, match="expected a PNG, JPEG, TIFF or PPM image"):
        raster.read_image(tmp_path / "a.png")
    gif = saved(tmp_path / "a.gif", PIL.Image.fromarray(GRAY)).rename(tmp_path / "gif.png")
    with pytest.raises(ImageError, match="expected a PNG, JPEG, TIFF or PPM image"):
        raster.read_image(gif)


@pytest.mark.parametrize("shape", [(9, 13), (9, 13, 3)])
def test_written_png_files_are_read_back_equal(tmp_path: Path, shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    raster.write_png(tmp_path / "new" / "a.png", pixels)
    assert np.array_equal(raster.read_image(tmp_path / "new" / "a.png").pixels, pixels)


@pytest.mark.parametrize("suffix", ["png", "jpg", "pgm"])
def test_common_images_are_read_without_loading_every_reader(tmp_path: Path, suffix: str) -> None:
    path = saved(tmp_path / f"a.{suffix}", PIL.Image.fromarray(GRAY))
    program = (
        "import sys; from featherseg.images import read_image; read_image(sys.argv[1]); "
        "print(*(name for name in sys.modules if name.startswith('PIL.')))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    loaded = set(ended.stdout.split())
    assert "PIL.PngImagePlugin" in loaded
    assert loaded.isdisjoint({"PIL.PdfImagePlugin", "PIL.TiffImagePlugin", "PIL.WebPImagePlugin"})
