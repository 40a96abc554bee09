"""Model bundles: a folder with a network's files and a manifest that says what they are.

A bundle holds exactly `manifest.json` and the files below, each with its SHA-256 in the
manifest; OpenVINO's two files may be absent, it then reads the ONNX file, and an int8 network has
only those two. Loading checks all of them, follows no link and reads nothing outside the folder.
"""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from featherseg.errors import BundleError
from featherseg.manifest import (
    CARD_FILE,
    CHECK_FILE,
    FILES,
    INT8_FILES,
    IR_FILE,
    IR_FILES,
    IR_WEIGHTS_FILE,
    MANIFEST_FILE,
    ONNX_FILE,
    SCHEMA,
    AgreementEntry,
    CrossValidationEntry,
    DifferenceEntry,
    FloatPrecision,
    GateEntry,
    Manifest,
    ScoreEntry,
    StoredPrecision,
    Weights,
)
from featherseg.postprocess import OperatingPoint
from featherseg.preprocess import Preprocessing
from featherseg.storage import sha256_bytes, sha256_file, write_bytes
from featherseg.types import Floats, Pixels

# The largest network here has 106 M parameters (424 MB); whatever is far above is no bundle.
_MAX_MANIFEST_BYTES = 1 << 20
_MAX_FILE_BYTES = 1 << 30
_MAX_CHECK_BYTES = 1 << 28
_ID_DIGITS = 12


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files are what its manifest says; `id` is short and made from the manifest."""

    folder: Path
    manifest: Manifest
    id: str

    @property
    def preprocessing(self) -> Preprocessing:
        """What the network expects."""
        return Preprocessing(**self.manifest.preprocessing.model_dump(exclude={"padding"}))

    @property
    def openvino_file(self) -> Path:
        """What OpenVINO reads: its own format where the bundle has it, else ONNX."""
        return self.folder / (IR_FILE if IR_FILE in self.manifest.files else ONNX_FILE)

    @property
    def size_mb(self) -> float:
        """The size of the files that the manifest names, in megabytes (10^6 bytes)."""
        return sum((self.folder / name).stat().st_size for name in self.manifest.files) / 1e6

    @property
    def operating_point(self) -> OperatingPoint:
        """How its probabilities become a mask."""
        return OperatingPoint(**self.manifest.operating_point.model_dump())


@dataclass(frozen=True)
class CheckData:
    """What `check.npz` holds: inputs, their masks, and the logits expected of them.

    They are those of torch, of an int8 network its own on the machine that made the bundle.

    ``images`` is uint8 (n, h, w, C), ``masks`` uint8 (n, h, w), ``logits`` float32 (n, K, h, w).
    """

    images: Pixels
    masks: Pixels
    logits: Floats


def load_bundle(path: str | Path) -> Bundle:
    """Load the bundle in folder `path` and check every file against its SHA-256.

    Raises BundleError for a missing folder or file, an unknown schema, a manifest with missing or
    unknown entries, a file that is too large, a link, or one whose content has changed.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise BundleError(f"{folder}: expected a bundle folder, found {_what_is(folder)}")
    content = _content(folder / MANIFEST_FILE)
    manifest = _parse(content, folder / MANIFEST_FILE)
    for name, sha256 in sorted(manifest.files.items()):
        _check_file(folder / name, _MAX_FILE_BYTES)
        if sha256_file(folder / name) != sha256:
            raise BundleError(
                f"{folder / name}: the content is not what the manifest says (another SHA-256); "
                "copy or export the bundle again"
            )
    return Bundle(folder, manifest, bundle_id(content))


def bundle_id(manifest: bytes) -> str:
    """A bundle's id: the first twelve digits of the SHA-256 of its manifest.json."""
    return sha256_bytes(manifest)[:_ID_DIGITS]


def write_manifest(folder: Path, manifest: Manifest) -> Bundle:
    """Write manifest.json as the last file of a bundle and give the bundle."""
    content = manifest.model_dump_json(by_alias=True, indent=2).encode() + b"\n"
    write_bytes(folder / MANIFEST_FILE, content)
    return Bundle(folder, manifest, bundle_id(content))


def file_hashes(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file a manifest names, by name."""
    present = (name for name in sorted(FILES) if (folder / name).exists())
    return {name: sha256_file(folder / name) for name in present}


def read_check(bundle: Bundle) -> CheckData:
    """Read a bundle's `check.npz`; raises BundleError where its arrays do not fit the manifest."""
    path = bundle.folder / CHECK_FILE
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _MAX_CHECK_BYTES:
                raise BundleError(f"{path}: over the limit of {_MAX_CHECK_BYTES >> 20} MiB")
        with np.load(path, allow_pickle=False) as arrays:
            check = CheckData(arrays["images"], arrays["masks"], arrays["logits"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise BundleError(f"{path}: cannot be read ({error}); export the bundle again") from error
    _check_arrays(check, bundle, path)
    return check


def _check_arrays(check: CheckData, bundle: Bundle, path: Path) -> None:
    expected = bundle.manifest.preprocessing
    count, size = len(check.images), expected.input_size
    outputs = check.logits.shape[1] if check.logits.ndim == 4 else 0
    labels = len(bundle.manifest.labels)
    fits = (
        count > 0
        and check.images.dtype == check.masks.dtype == np.uint8
        and check.logits.dtype == np.float32
        and check.images.shape == (count, *size, expected.channels)
        and check.masks.shape == (count, *size)
        and check.logits.shape == (count, outputs, *size)
        and (outputs == labels + 1 or outputs == labels == 1)
    )
    if not fits:
        raise BundleError(
            f"{path}: expected images (n, h, w, {expected.channels}) and masks (n, h, w) as uint8 "
            f"and logits (n, K, h, w) as float32 for {size[0]}x{size[1]} and {labels} label(s), "
            f"got {check.images.shape}, {check.masks.shape}, {check.logits.shape}; "
            "export the bundle again"
        )


def _content(path: Path) -> bytes:
    _check_file(path, _MAX_MANIFEST_BYTES)
    return path.read_bytes()


def _check_file(path: Path, limit_bytes: int) -> None:
    """Refuse what is missing, a link or too large, before a byte of it is read."""
    if path.is_symlink() or not path.is_file():
        raise BundleError(
            f"{path}: expected a file of a bundle, found {_what_is(path)}; "
            "copy or export the bundle again"
        )
    if path.stat().st_size > limit_bytes:
        raise BundleError(
            f"{path}: {path.stat().st_size} bytes, over the limit of {limit_bytes >> 20} MiB"
        )


def _parse(content: bytes, path: Path) -> Manifest:
    try:
        raw = json.loads(content)
    except ValueError as error:
        raise BundleError(f"{path}: not valid JSON ({error}); export the bundle again") from error
    schema = raw.get("schema") if isinstance(raw, dict) else None
    if schema != SCHEMA:
        raise BundleError(
            f"{path}: expected bundle schema {SCHEMA}, got {schema!r}; "
            "export the bundle again, or install the FeatherSeg version that wrote it"
        )
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        entry = ".".join(str(part) for part in first["loc"])
        raise BundleError(
            f"{path}: entry '{entry}': {first['msg']}; export the bundle again"
        ) from error


def _what_is(path: Path) -> str:
    if path.is_symlink():
        return "a link"
    if path.is_dir():
        return "a folder"
    return "a file" if path.exists() else "nothing"


__all__ = [
    "CARD_FILE",
    "CHECK_FILE",
    "FILES",
    "INT8_FILES",
    "IR_FILE",
    "IR_FILES",
    "IR_WEIGHTS_FILE",
    "MANIFEST_FILE",
    "ONNX_FILE",
    "SCHEMA",
    "AgreementEntry",
    "Bundle",
    "CheckData",
    "CrossValidationEntry",
    "DifferenceEntry",
    "FloatPrecision",
    "GateEntry",
    "Manifest",
    "ScoreEntry",
    "StoredPrecision",
    "Weights",
    "bundle_id",
    "file_hashes",
    "load_bundle",
    "read_check",
    "write_manifest",
]
