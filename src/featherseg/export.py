"""A training run to a bundle: fuse, write the model files, compare the runtimes, describe.

Nothing stands at the bundle's place until everything agreed: it is built in a temporary folder
beside it and renamed.
"""

import contextlib
import os
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
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
    file_hashes,
    load_bundle,
    write_manifest,
)
from featherseg.compress.fuse import fuse
from featherseg.errors import BundleError, StorageError
from featherseg.postprocess import OperatingPoint
from featherseg.preprocess import Preprocessing, normalize
from featherseg.runtime import Session
from featherseg.runtime.cpu import default_precision
from featherseg.runtime.onnxruntime import open_onnxruntime
from featherseg.runtime.openvino import load_openvino, open_openvino
from featherseg.storage import replacing, write_text
from featherseg.types import Floats, Pixels
from featherseg.verify import compare, disagreements

# A bundle keeps this many of the images that export compared, so that it stays small.
_KEPT_IMAGES = 4
_AXES = ("batch", None, "height", "width")


@dataclass(frozen=True)
class Trained:
    """What export needs of a training run.

    ``images`` are uint8 (n, h, w, C) and ``masks`` uint8 (n, h, w), of the validation subset.
    ``facts`` are the manifest's entries that come from the run, by their names there.
    """

    network: nn.Module
    images: Pixels
    masks: Pixels
    facts: dict[str, Any]


def export_trained(trained: Trained, out: Path, overwrite: bool = False) -> Bundle:
    """Write a trained network as the bundle `out`.

    Raises StorageError when `out` holds anything (with `overwrite`: anything but a bundle), and
    BundleError, leaving `out` as it was, when a runtime does not agree with torch.
    """
    check_place(out, overwrite)
    with _built_beside(out) as folder:
        preprocessing = Preprocessing(**trained.facts["preprocessing"])
        write_onnx(fuse(trained.network), preprocessing, folder / ONNX_FILE)
        write_ir(folder / ONNX_FILE, folder / IR_FILE)
        batch = normalize(trained.images, preprocessing)
        check = CheckData(trained.images, trained.masks, torch_logits(trained.network, batch))
        point = OperatingPoint(**trained.facts["operating_point"])
        agreements = [
            compare(session, batch, check, point) for session in _sessions(folder, preprocessing)
        ]
        require_agreement(agreements)
        _write_check(folder / CHECK_FILE, check)
        _describe(folder, trained, agreements)
    return load_bundle(out)


def require_agreement(agreements: list[AgreementEntry]) -> None:
    """Raise BundleError with every limit that is broken."""
    findings = [finding for each in agreements for finding in disagreements(each)]
    if findings:
        raise BundleError(
            f"no bundle was written, since a runtime disagrees with torch: {'; '.join(findings)}"
        )


def torch_logits(network: nn.Module, batch: Floats) -> Floats:
    """The network's float32 logits (n, K, h, w), one image at a time."""
    network = network.eval()
    with torch.inference_mode():
        return np.concatenate([network(torch.from_numpy(each[None])).numpy() for each in batch])


def write_onnx(network: nn.Module, preprocessing: Preprocessing, path: Path) -> None:
    """Write `network` as plain ONNX with dynamic batch, height and width, and check it.

    Traces of the source code that the exporter leaves in the file are removed.
    """
    dynamic = torch.export.Dim.DYNAMIC
    example = torch.zeros(2, preprocessing.channels, *preprocessing.input_size)
    with warnings.catch_warnings():
        # The exporter warns of its own deprecations; what it writes is checked below.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network.eval(),
            (example,),
            dynamo=True,
            dynamic_shapes=({0: dynamic, 2: dynamic, 3: dynamic},),
            input_names=["image"],
            output_names=["logits"],
            verbose=False,
        )
    if program is None:
        raise BundleError("torch.onnx.export gave no program; update torch and onnxscript")
    model = program.model_proto
    _anonymize(model)
    _name_axes(model)
    onnx.helper.set_model_props(model, _input_description(preprocessing))
    onnx.checker.check_model(model, full_check=True)
    with replacing(path) as temporary:
        temporary.write_bytes(model.SerializeToString())


def _anonymize(model: onnx.ModelProto) -> None:
    graph = model.graph
    values = (*graph.input, *graph.output, *graph.value_info, *graph.initializer)
    for part in (model, graph, *graph.node, *values):
        del part.metadata_props[:]
        part.doc_string = ""


def _name_axes(model: onnx.ModelProto) -> None:
    for value in (*model.graph.input, *model.graph.output):
        for name, axis in zip(_AXES, value.type.tensor_type.shape.dim, strict=True):
            if name and axis.dim_param:
                axis.dim_param = name
    # Sizes in between are inferred again from those of the inputs.
    del model.graph.value_info[:]


def _input_description(preprocessing: Preprocessing) -> dict[str, str]:
    height, width = preprocessing.input_size
    return {
        "input": "RGB" if preprocessing.channels == 3 else "gray",
        "input_size": f"{height}x{width}, stretched",
        "scale": "divide by 255, subtract mean, divide by std",
        "mean": str(preprocessing.mean),
        "std": str(preprocessing.std),
        "output": "logits, not probabilities",
    }


def write_ir(onnx_file: Path, path: Path) -> None:
    """Write an ONNX file as OpenVINO IR (.xml and .bin) with f32 weights."""
    openvino = load_openvino()
    try:
        openvino.save_model(openvino.Core().read_model(onnx_file), path, compress_to_fp16=False)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise BundleError(f"OpenVINO cannot convert the network: {reason}") from error


def _sessions(folder: Path, preprocessing: Preprocessing) -> Iterator[Session]:
    shape = (preprocessing.channels, *preprocessing.input_size)
    yield open_onnxruntime(folder / ONNX_FILE)
    yield open_openvino(folder / IR_FILE, shape, "f32")
    if default_precision() != "f32":
        yield open_openvino(folder / IR_FILE, shape, default_precision())


def _write_check(path: Path, check: CheckData) -> None:
    """Keep a few images, from no lesion to the largest."""
    by_area = np.argsort((check.masks > 0).sum(axis=(1, 2)), kind="stable")
    places = np.linspace(0, len(by_area) - 1, min(_KEPT_IMAGES, len(by_area)))
    kept = by_area[places.round().astype(int)]
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file, images=check.images[kept], masks=check.masks[kept], logits=check.logits[kept]
        )


def _describe(folder: Path, trained: Trained, agreements: list[AgreementEntry]) -> None:
    """Write the model card and, as the last file, the manifest that names all others."""
    parameters = sum(each.numel() for each in trained.network.parameters() if each.requires_grad)
    facts = {
        "schema": SCHEMA,
        "featherseg": featherseg.__version__,
        "parameters": parameters,
        "checks": agreements,
        **trained.facts,
    }
    write_text(folder / CARD_FILE, model_card(facts))
    write_manifest(folder, Manifest.model_validate({**facts, "files": file_hashes(folder)}))


def model_card(facts: dict[str, Any]) -> str:
    """The README.md of a bundle, from the entries of its manifest."""
    network, point, training = facts["network"], facts["operating_point"], facts["training"]
    height, width = facts["preprocessing"]["input_size"]
    scores = [
        f"| {name.replace('_', ' ')} | {value:.4f} |"
        for name, value in sorted(training["validation"].items())
    ]
    sources = [
        f"| {name.replace('_', ' ')} | `{value}` |" for name, value in facts["sources"].items()
    ]
    checks = [
        f"| {each.runtime} {each.precision} | {each.largest_difference:.1e} "
        f"| {each.differing_pixels:.1e} | {each.dice_change:+.4f} |"
        for each in facts["checks"]
    ]
    lines = [
        f"# {network['name']}: {', '.join(facts['labels'])}",
        "",
        f"A segmentation network of {facts['parameters']:,} parameters, made by FeatherSeg "
        f"{facts['featherseg']}. It is not a medical device.",
        "",
        f"* Input: {height}x{width}, to which images are stretched, "
        f"{facts['preprocessing']['channels']} channel(s).",
        f"* Operating point, chosen on {facts['operating_point_chosen_on']}: probability above "
        f"{point['threshold']:g}, parts of at least {point['smallest_area']:g} of the image, "
        f"components kept: {point['components']}.",
        f"* Training: {training['epochs']} epochs, weights of epoch {training['best_epoch']}.",
        "",
        "Use: `featherseg predict BUNDLE IMAGES --out MASKS`",
        "",
        f"## Validation ({training['validation_images']} images, used to choose the weights)",
        "",
        "| Score | Value |",
        "|---|---|",
        *scores,
        "",
        "Scores for comparison come from a test subset: `featherseg evaluate BUNDLE`.",
        "",
        "## Agreement with PyTorch on validation images",
        "",
        "| Runtime | Logits (share of the largest) | Pixels that differ | Dice change |",
        "|---|---|---|---|",
        *checks,
        "",
        "## Made from",
        "",
        "| What | Value |",
        "|---|---|",
        *sources,
    ]
    return "\n".join(lines) + "\n"


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
            if out.exists():
                os.replace(out, old)
            os.replace(new, out)
    except OSError as error:
        raise StorageError(f"cannot write {out}: {error.strerror or error}") from error
