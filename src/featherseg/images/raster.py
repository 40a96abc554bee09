"""PNG, JPEG, TIFF and PPM/PGM/PBM files to pixels, with their size checked before decoding.

Pillow reads the header first; only these four formats are ever opened. Pixels stay on the
grid they are stored on: an EXIF rotation is not applied, since masks are drawn on that grid.
"""

import warnings
from pathlib import Path

import numpy as np
import PIL.Image

from featherseg.errors import ImageError
from featherseg.types import Image, Mask, Pixels

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"})
FORMATS = ("PNG", "JPEG", "TIFF", "PPM")
# 100 megapixels decode to 300 MB of RGB; medical frames and photographs stay far below.
MAX_PIXELS = 100_000_000
# A network's receptive field and every resize need at least this many pixels a side.
MIN_SIDE_PX = 8
_GRAY_MODES = frozenset({"1", "L", "LA"})
_COLOR_MODES = frozenset({"P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"})


def read_image(path: str | Path) -> Image:
    """Read one 8-bit raster image.

    Gray files give (H, W) uint8, all others (H, W, 3) RGB uint8; an alpha channel is dropped.
    Spacing is None: raster files do not state it in a way that can be trusted.

    Raises ImageError for a missing, unknown, truncated or multi-page file, for more than 8
    bits a channel, and for sides under 8 pixels or more than 100 megapixels (before decoding).
    """
    path = Path(path)
    pixels = _decode(path)
    if min(pixels.shape[:2]) < MIN_SIDE_PX:
        height, width = pixels.shape[:2]
        raise ImageError(
            f"{path}: expected an image of at least {MIN_SIDE_PX}x{MIN_SIDE_PX} pixels, "
            f"got {height}x{width}"
        )
    return Image(pixels, None, str(path))


def read_mask(path: str | Path) -> Mask:
    """Read a mask file as stored: (H, W) uint8, the largest of the color channels.

    1-bit files give 0 and 255. What the values mean is for the caller to say.
    Raises ImageError as `read_image` does.
    """
    pixels = _decode(Path(path))
    return pixels if pixels.ndim == 2 else np.ascontiguousarray(pixels.max(axis=2))


def read_labels(path: str | Path) -> Mask:
    """Read a label map: (H, W) uint8, the gray value of each pixel.

    In a palette file the label is the palette's index, unless its palette is all gray. Files
    with real color hold no labels and are refused. Raises ImageError as `read_image` does.
    """
    path = Path(path)
    with _opened(path) as opened:
        palette = opened.getpalette() if opened.mode == "P" else None
    if palette and not palette[0::3] == palette[1::3] == palette[2::3]:
        return _decode(path, "P")
    pixels = _decode(path)
    if pixels.ndim == 3 and not (pixels == pixels[:, :, :1]).all():
        raise ImageError(
            f"{path}: expected a label map of gray values or palette indices, got colors; "
            "store the number of each label instead of its color"
        )
    return pixels if pixels.ndim == 2 else np.ascontiguousarray(pixels[:, :, 0])


def image_size(path: str | Path) -> tuple[int, int]:
    """(height, width) from the header alone; raises ImageError as `read_image` does."""
    with _opened(Path(path)) as opened:
        return opened.height, opened.width


def _decode(path: Path, mode: str | None = None) -> Pixels:
    """Pixels in Pillow's `mode`: gray for gray files and RGB for others if None."""
    with _opened(path) as opened:
        mode = mode or ("L" if opened.mode in _GRAY_MODES else "RGB")
        try:
            with warnings.catch_warnings():
                # Pillow warns of odd metadata; what cannot be decoded raises.
                warnings.simplefilter("ignore")
                return np.array(opened.convert(mode), dtype=np.uint8)
        except (OSError, ValueError, SyntaxError, EOFError) as error:
            raise ImageError(
                f"{path}: the file is truncated or damaged ({error}); export it again"
            ) from error


def _opened(path: Path) -> PIL.Image.Image:
    """Open a file's header, and refuse what must not be decoded."""
    if not path.is_file():
        raise ImageError(f"{path}: expected an image file, found {_what_is(path)}")
    try:
        with warnings.catch_warnings():
            # The size is checked below, against our own limit and with our own words.
            warnings.simplefilter("ignore")
            opened = PIL.Image.open(path, formats=FORMATS)
    except PIL.Image.DecompressionBombError as error:
        raise ImageError(f"{path}: {error}") from error
    except (OSError, ValueError, SyntaxError) as error:
        raise ImageError(
            f"{path}: expected a PNG, JPEG, TIFF or PPM image, got something else "
            "or a damaged header; convert or export it again"
        ) from error
    try:
        _check_header(path, opened)
    except ImageError:
        opened.close()
        raise
    return opened


def _check_header(path: Path, opened: PIL.Image.Image) -> None:
    width, height = opened.size
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"{path}: {height}x{width} pixels are over the limit of "
            f"{MAX_PIXELS // 1_000_000} megapixels; crop or scale it down first"
        )
    if opened.mode not in _GRAY_MODES | _COLOR_MODES:
        kind = "32-bit float" if opened.mode == "F" else "more than 8 bits a channel"
        raise ImageError(
            f"{path}: expected 8 bits a channel, got {kind} (mode {opened.mode}); "
            "choose a display window and convert it to 8 bits first"
        )
    pages = getattr(opened, "n_frames", 1)
    if pages != 1:
        raise ImageError(f"{path}: expected one image, got {pages} pages; split it into files")


def _what_is(path: Path) -> str:
    return "a folder" if path.is_dir() else "nothing"
