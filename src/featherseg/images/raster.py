"""PNG, JPEG, TIFF and PPM/PGM/PBM files to pixels, with their size checked before decoding.

Pillow reads the header first; only these four formats are ever opened. Pixels stay on the
grid they are stored on: an EXIF rotation is not applied, since masks are drawn on that grid.
A file with the suffix .gz is unpacked in memory, never beyond what its header asks for.
"""

import contextlib
import gzip
import io
import warnings
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import PIL.Image

# Pillow loads the readers of all formats it knows, a fifth of the time to a first mask, when one
# that it is asked to try is not loaded yet.
import PIL.JpegImagePlugin
import PIL.PngImagePlugin
import PIL.PpmImagePlugin

from featherseg.errors import ImageError
from featherseg.storage import write_bytes
from featherseg.types import Image, Mask, Pixels

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"})
# TIFF last: its reader is loaded when nothing else fits.
FORMATS = ("PNG", "JPEG", "PPM", "TIFF")
# 100 megapixels decode to 300 MB of RGB; medical frames and photographs stay far below.
MAX_PIXELS = 100_000_000
# A network's receptive field and every resize need at least this many pixels a side.
MIN_SIDE_PX = 8
_GRAY_MODES = frozenset({"1", "L", "LA"})
_COLOR_MODES = frozenset({"P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"})
_DEEP = "more than 8 bits"
_DEEP_KINDS = {"F": "32-bit float", "LAB": "the CIELAB color space"}
_UINT8_MAX = 255
# Enough of an unpacked file for its size: the comments of a PPM header take a few lines.
_HEADER_BYTES = 1 << 16
# 3 channels of 8 bits; what is longer is not the image that its header describes.
_MOST_BYTES_A_PIXEL = 3
_TOO_LARGE = (
    f"over the limit of {MAX_PIXELS // 1_000_000} megapixels; crop it or scale it down first"
)


def read_image(path: str | Path, page: int | None = None) -> Image:
    """Read one 8-bit raster image.

    Gray files give (H, W) uint8, all others (H, W, 3) RGB uint8; an alpha channel is dropped.
    Spacing is None: raster files do not state it in a way that can be trusted. `page` counts
    from 0 in a stack; None expects a file of one image.

    Raises ImageError for a missing, unknown or truncated file, for a page that is not there and
    a stack without `page`, for more than 8 bits a channel, and for sides under 8 pixels or more
    than 100 megapixels (before decoding).
    """
    path = Path(path)
    pixels = _decode(path, page=page)
    if min(pixels.shape[:2]) < MIN_SIDE_PX:
        height, width = pixels.shape[:2]
        raise ImageError(
            f"{path}: expected an image of at least {MIN_SIDE_PX}x{MIN_SIDE_PX} pixels, "
            f"got {height}x{width}"
        )
    return Image(pixels, None, str(path))


def read_mask(path: str | Path, page: int | None = None) -> Mask:
    """Read a mask file as stored: (H, W) uint8, the largest of the color channels.

    1-bit files give 0 and 255. What the values mean is for the caller to say.
    Raises ImageError as `read_image` does.
    """
    pixels = _decode(Path(path), page=page)
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


def write_png(path: Path, pixels: Pixels) -> None:
    """Write uint8 pixels, gray (H, W) or RGB (H, W, 3), atomically; StorageError on failure."""
    stored = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".png", stored)
    write_bytes(path, encoded.tobytes())


def image_size(path: str | Path) -> tuple[int, int]:
    """(height, width) from the header alone; raises ImageError as `read_image` does."""
    with _opened(Path(path)) as opened:
        return opened.height, opened.width


def page_count(path: str | Path) -> int:
    """How many images a file holds, from its headers; ImageError where it is no image."""
    path = Path(path)
    with _opened(path, page=0) as opened, _mended(path, "the header is damaged"):
        return int(getattr(opened, "n_frames", 1))


def _decode(path: Path, mode: str | None = None, page: int | None = None) -> Pixels:
    """Pixels in Pillow's `mode`: gray for gray files and RGB for others if None."""
    with _opened(path, page) as opened, _mended(path, "the file is truncated or damaged"):
        mode = mode or ("L" if opened.mode in _GRAY_MODES else "RGB")
        return np.array(opened.convert(mode), dtype=np.uint8)


def _opened(path: Path, page: int | None = None) -> PIL.Image.Image:
    """Open a file's header at `page`, and refuse what must not be decoded."""
    if not path.is_file():
        raise ImageError(f"{path}: expected an image file, found {_what_is(path)}")
    unknown = "expected a PNG, JPEG, TIFF or PPM image of 8 bits a channel, got something else"
    with _mended(path, unknown):
        source = _unpacked(path) if path.suffix.lower() == ".gz" else path
        opened = PIL.Image.open(source, formats=FORMATS)
    try:
        with _mended(path, "the header is damaged"):
            _turn_to(path, opened, page)
            _check_header(path, opened)
    except ImageError:
        opened.close()
        raise
    return opened


@contextlib.contextmanager
def _mended(path: Path, problem: str) -> Iterator[None]:
    """Turn whatever Pillow raises at a bad file into an ImageError, and silence its warnings."""
    try:
        with warnings.catch_warnings():
            # Pillow warns of odd metadata and of sizes that are checked here anyhow.
            warnings.simplefilter("ignore")
            yield
    except ImageError:
        raise
    except PIL.Image.DecompressionBombError as error:
        raise ImageError(f"{path}: {_TOO_LARGE}") from error
    # Damaged headers make Pillow's readers raise nearly anything, from TypeError to struct.error.
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ImageError(f"{path}: {problem} ({reason}); export it again") from error


def _check_header(path: Path, opened: PIL.Image.Image) -> None:
    width, height = opened.size
    if width * height > MAX_PIXELS:
        raise ImageError(f"{path}: {height}x{width} pixels, {_TOO_LARGE}")
    if opened.mode not in _GRAY_MODES | _COLOR_MODES or _is_deep(opened):
        raise ImageError(
            f"{path}: expected 8 bits a channel, got {_DEEP_KINDS.get(opened.mode, _DEEP)}; "
            "choose a display window and convert it to 8 bits first"
        )


def _turn_to(path: Path, opened: PIL.Image.Image, page: int | None) -> None:
    pages = getattr(opened, "n_frames", 1)
    if page is None and pages != 1:
        raise ImageError(f"{path}: expected one image, got {pages} pages; split it into files")
    if page is not None and not 0 <= page < pages:
        raise ImageError(f"{path}: expected a page from 0 to {pages - 1}, got {page}")
    if page:
        opened.seek(page)


def _unpacked(path: Path) -> io.BytesIO:
    """A gzip file in memory: first its header, then as much as an image of that size needs."""
    with gzip.open(path) as file:
        header = file.read(_HEADER_BYTES)
        with PIL.Image.open(io.BytesIO(header), formats=("PPM",)) as opened:
            _check_header(path, opened)
            limit = _HEADER_BYTES + opened.width * opened.height * _MOST_BYTES_A_PIXEL
        content = header + file.read(limit + 1 - len(header))
    if len(content) > limit:
        raise ImageError(
            f"{path}: expected {opened.height}x{opened.width} pixels as its header says, "
            f"unpacks to more than {limit} bytes; export it again"
        )
    return io.BytesIO(content)


def _is_deep(opened: PIL.Image.Image) -> bool:
    """Whether color channels have 16 bits, which Pillow would cut to 8 without a word."""
    for codec, _, _, args in getattr(opened, "tile", []):
        raw = args if isinstance(args, tuple) else (args,)
        if ";16" in str(raw[0]) or (codec.startswith("ppm") and int(raw[-1]) > _UINT8_MAX):
            return True
    return False


def _what_is(path: Path) -> str:
    return "a folder" if path.is_dir() else "nothing"
