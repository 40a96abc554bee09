"""A training run to a bundle: fuse, write the model files, compare the runtimes, describe.

Nothing stands at the bundle's place until everything agreed: it is built in a temporary folder
beside it and renamed.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import nn

import featherseg
from featherseg.bundle import (
    CARD_FILE,
    CHECK_FILE,
    FILES,
    IR_FILE,
    MANIFEST_FILE,
    ONNX_FILE,
    SCHEMA,
    AgreementEntry,
    Bundle,
    CheckData,
    Manifest,
    Weights,
    file_hashes,
    load_bundle,
    write_manifest,
)
from featherseg.compress.fuse import fuse
from featherseg.datasets.simulate import KINDS, simulate
from featherseg.errors import BundleError, StorageError
from featherseg.export.card import model_card
from featherseg.export.ensemble import joined
from featherseg.export.half import halve_weights
from featherseg.export.models import write_ir, write_onnx
from featherseg.export.trained import Trained, read_trained
from featherseg.postprocess import OperatingPoint
from featherseg.preprocess import Preprocessing, fit_mask, fit_pixels, normalize
from featherseg.runtime import Session
from featherseg.runtime.cpu import default_precision
from featherseg.runtime.onnxruntime import open_onnxruntime
from featherseg.runtime.openvino import open_openvino
from featherseg.storage import replacing, write_text
from featherseg.types import Floats
from featherseg.verify import compare, disagreements

# Which images a bundle keeps for `verify`.
Kept = Literal["validation", "simulated"]
# A bundle keeps this many of the images that export compared, so that it stays small.
_KEPT_IMAGES: dict[Weights, int] = {"float32": 4, "float16": 2}


def export_bundle(
    run: str | Path,
    out: str | Path,
    overwrite: bool = False,
    weights: Weights = "float32",
    *,
    kept: Kept = "validation",
) -> Bundle:
    """Write the best weights of run folder `run` as the bundle `out`.

    Raises RunError for a run that is unfinished or damaged, and what `export_trained` raises.
    """
    check_place(Path(out), overwrite)
    return export_trained(read_trained(Path(run)), Path(out), overwrite, weights, kept=kept)


def export_ensemble(
    runs: Sequence[str | Path],
    out: str | Path,
    overwrite: bool = False,
    weights: Weights = "float32",
    *,
    kept: Kept = "validation",
) -> Bundle:
    """Write several runs of one network as the bundle `out`, which averages their probabilities.

    Raises RunError for runs that do not fit each other (see `ensemble.joined`), and what
    `export_bundle` raises.
    """
    check_place(Path(out), overwrite)
    members = {str(run): read_trained(Path(run)) for run in runs}
    return export_trained(joined(members), Path(out), overwrite, weights, kept=kept)


def export_trained(
    trained: Trained,
    out: Path,
    overwrite: bool = False,
    weights: Weights = "float32",
    *,
    kept: Kept = "validation",
) -> Bundle:
    """Write a trained network as the bundle `out`.

    The runtimes are compared on validation images; with `kept` "simulated" the images that the
    bundle keeps for `verify` are simulated ones instead, for data that must not be given away.
    With `weights` "float16" the bundle is small: it stores rounded weights in one model file, the
    ONNX file that OpenVINO can read too. Raises StorageError when `out` holds anything (with
    `overwrite`: anything but a bundle), and BundleError, leaving `out` as it was, when a weight
    does not fit float16 or a runtime does not agree with torch.
    """
    check_place(out, overwrite)
    with _built_beside(out) as folder:
        preprocessing = Preprocessing(**trained.facts["preprocessing"])
        _write_models(trained.network, preprocessing, folder, weights)
        batch = normalize(trained.images, preprocessing)
        check = CheckData(trained.images, trained.masks, torch_logits(trained.network, batch))
        point = OperatingPoint(**trained.facts["operating_point"])
        agreements = [
            compare(session, batch, check, point) for session in _sessions(folder, preprocessing)
        ]
        require_agreement(agreements, weights)
        if kept == "simulated":
            check = _simulated_check(trained.network, preprocessing)
        _write_check(folder / CHECK_FILE, check, weights)
        _describe(folder, trained, agreements, weights)
    return load_bundle(out)


def _write_models(
    network: nn.Module, preprocessing: Preprocessing, folder: Path, weights: Weights
) -> None:
    write_onnx(fuse(network), preprocessing, folder / ONNX_FILE)
    if weights == "float16":
        halve_weights(folder / ONNX_FILE)
    else:
        write_ir(folder / ONNX_FILE, folder / IR_FILE)


def require_agreement(agreements: list[AgreementEntry], weights: Weights = "float32") -> None:
    """Raise BundleError with every limit that is broken."""
    findings = [finding for each in agreements for finding in disagreements(each, weights)]
    if findings:
        raise BundleError(
            f"no bundle was written, since a runtime disagrees with torch: {'; '.join(findings)}"
        )


def torch_logits(network: nn.Module, batch: Floats) -> Floats:
    """The network's float32 logits (n, K, h, w), one image at a time."""
    network = network.eval()
    with torch.inference_mode():
        return np.concatenate([network(torch.from_numpy(each[None])).numpy() for each in batch])


def _sessions(folder: Path, preprocessing: Preprocessing) -> Iterator[Session]:
    shape = (preprocessing.channels, *preprocessing.input_size)
    yield open_onnxruntime(folder / ONNX_FILE)
    model = folder / (IR_FILE if (folder / IR_FILE).exists() else ONNX_FILE)
    yield open_openvino(model, shape, "f32")
    if default_precision() != "f32":
        yield open_openvino(model, shape, default_precision())


def _simulated_check(network: nn.Module, expected: Preprocessing) -> CheckData:
    """Simulated ultrasound of the breast, without and with a lesion, in place of real images."""
    pairs = [simulate(seed, kind) for seed, kind in enumerate(KINDS)]
    images = np.stack(
        [fit_pixels(pixels, expected.input_size, expected.channels) for pixels, _ in pairs]
    )
    masks = np.stack([fit_mask(mask, expected.input_size) for _, mask in pairs])
    return CheckData(images, masks, torch_logits(network, normalize(images, expected)))


def _write_check(path: Path, check: CheckData, weights: Weights) -> None:
    """Keep a few images, from no lesion to the largest.

    Beside float16 weights the logits are rounded to float16 too: that is far within what such
    weights may differ by, and compresses to half.
    """
    by_area = np.argsort((check.masks > 0).sum(axis=(1, 2)), kind="stable")
    places = np.linspace(0, len(by_area) - 1, min(_KEPT_IMAGES[weights], len(by_area)))
    kept = by_area[places.round().astype(int)]
    logits = check.logits[kept]
    if weights == "float16":
        logits = logits.astype(np.float16).astype(np.float32)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, images=check.images[kept], masks=check.masks[kept], logits=logits)


def _describe(
    folder: Path, trained: Trained, agreements: list[AgreementEntry], weights: Weights
) -> None:
    """Write the model card and, as the last file, the manifest that names all others."""
    parameters = sum(each.numel() for each in trained.network.parameters() if each.requires_grad)
    facts = {
        "schema": SCHEMA,
        "featherseg": featherseg.__version__,
        "parameters": parameters,
        "checks": agreements,
        "weights": weights,
        **trained.facts,
    }
    write_text(folder / CARD_FILE, model_card(facts))
    write_manifest(folder, Manifest.model_validate({**facts, "files": file_hashes(folder)}))


def check_place(out: Path, overwrite: bool) -> None:
    """Raise StorageError unless `out` is free or, with `overwrite`, a bundle and nothing else."""
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise StorageError(f"--out {out}: expected a folder, found something else")
    names = {child.name for child in out.iterdir()} if out.is_dir() else set()
    if names and not overwrite:
        raise StorageError(
            f"--out {out} is not empty; choose another folder, or add --overwrite to replace "
            "a bundle that stands there"
        )
    foreign = sorted(names - FILES - {MANIFEST_FILE})
    if foreign:
        raise StorageError(
            f"--out {out} holds files that are no part of a bundle ({', '.join(foreign[:3])}); "
            "choose another folder"
        )


@contextlib.contextmanager
def _built_beside(out: Path) -> Iterator[Path]:
    """A temporary folder that takes the place of `out` when the block succeeds."""
    out = out.absolute()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch:
            new, old = Path(scratch) / "new", Path(scratch) / "old"
            new.mkdir()
            yield new
            _swap(new, out, old)
    except OSError as error:
        raise StorageError(f"cannot write {out}: {error.strerror or error}") from error


def _swap(new: Path, out: Path, old: Path) -> None:
    """Rename `new` to `out` and what stood there to `old`; on an error `out` is as before."""
    if out.exists():
        os.replace(out, old)
    try:
        os.replace(new, out)
    except OSError:
        if old.exists():
            os.replace(old, out)
        raise


__all__ = [
    "Trained",
    "check_place",
    "export_bundle",
    "export_ensemble",
    "export_trained",
    "read_trained",
    "require_agreement",
    "torch_logits",
]
