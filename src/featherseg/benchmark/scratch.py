"""Bundles of networks with random weights, made for one run: speed does not ask for training."""

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

import featherseg
from featherseg.benchmark.onnx_int8 import write_int8_onnx
from featherseg.bundle import (
    CARD_FILE,
    CHECK_FILE,
    IR_FILE,
    ONNX_FILE,
    SCHEMA,
    Bundle,
    Manifest,
    file_hashes,
    write_manifest,
)
from featherseg.compress.cost import count_parameters
from featherseg.compress.quantize import FEWEST_IMAGES, quantize, save_int8
from featherseg.datasets.simulate import simulate
from featherseg.export import torch_logits
from featherseg.export.models import write_ir, write_onnx
from featherseg.postprocess import OperatingPoint
from featherseg.preprocess import Preprocessing, fit_mask, fit_pixels, normalize
from featherseg.storage import write_text

_FACTS: dict[str, Any] = {
    "schema": SCHEMA,
    "featherseg": featherseg.__version__,
    "labels": ("lesion",),
    "operating_point": asdict(OperatingPoint()),
    "operating_point_chosen_on": "none",
    "statistics": {},
    "sources": {
        "images_sha256": "",
        "split_sha256": "",
        "recipe_sha256": "",
        "checkpoint_sha256": "0" * 64,
        "layout": "none",
        "protocol": "none",
    },
    "training": {
        "initial_weights": "random",
        "epochs": 0,
        "best_epoch": 0,
        "validation": {},
        "validation_images": 0,
    },
    "checks": (),
}


def write_scratch_bundle(network: nn.Module, name: str, size: int, folder: Path) -> Bundle:
    """Write `network`, which takes three channels, as a bundle for inputs of `size` x `size`.

    Nothing in its manifest stands for a training.
    """
    folder.mkdir(parents=True)
    expected = Preprocessing((size, size))
    write_onnx(network, expected, folder / ONNX_FILE)
    write_ir(folder / ONNX_FILE, folder / IR_FILE)
    _write_check(network, expected, folder / CHECK_FILE)
    write_text(folder / CARD_FILE, f"# {name}\n\nRandom weights, for a benchmark.\n")
    facts = {**_FACTS, "network": {"name": name, "options": {}}}
    facts["parameters"] = count_parameters(network)
    facts["preprocessing"] = asdict(expected)
    return write_manifest(folder, Manifest.model_validate({**facts, "files": file_hashes(folder)}))


def write_int8_scratch(bundle: Bundle, folder: Path) -> Bundle:
    """A copy of `bundle` whose files, for both runtimes, are in int8, calibrated on noise.

    It is for speed only. Its manifest does not call it an int8 bundle, since no gate was passed;
    the copy is for this run alone.
    """
    shape = (bundle.preprocessing.channels, *bundle.preprocessing.input_size)
    noise = np.random.default_rng(0).random((FEWEST_IMAGES, *shape), np.float32)
    folder.mkdir(parents=True)
    for name in (CHECK_FILE, CARD_FILE):
        shutil.copyfile(bundle.folder / name, folder / name)
    save_int8(quantize(bundle.openvino_file, noise), folder / IR_FILE)
    write_int8_onnx(bundle.folder / ONNX_FILE, noise, folder / ONNX_FILE)
    return write_manifest(folder, bundle.manifest.model_copy(update={"files": file_hashes(folder)}))


def _write_check(network: nn.Module, expected: Preprocessing, path: Path) -> None:
    pixels, mask = simulate(0, "benign")
    image = fit_pixels(pixels, expected.input_size, expected.channels)[np.newaxis]
    np.savez_compressed(
        path,
        images=image,
        masks=fit_mask(mask, expected.input_size)[np.newaxis],
        logits=torch_logits(network, normalize(image, expected)),
    )
