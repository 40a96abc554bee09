"""Tiny bundles made by hand, so that tests of bundles and runtimes need no training.

The network is a 3x3 convolution, ReLU and a 1x1 convolution: it answers high where a pixel's
neighborhood is bright. Its logits are computed here in plain numpy.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx

from featherseg.bundle import (
    CARD_FILE,
    CHECK_FILE,
    IR_FILE,
    ONNX_FILE,
    Bundle,
    Manifest,
    file_hashes,
    write_manifest,
)
from featherseg.likeness import image_statistics, reference_statistics
from featherseg.preprocess import Preprocessing, normalize
from featherseg.runtime.library import load_openvino
from featherseg.types import Floats, Pixels

SIZE = (32, 48)
SHARPNESS = 20.0
THRESHOLD = 0.45


def blob_images(count: int, seed: int, size: tuple[int, int] = SIZE) -> tuple[Pixels, Pixels]:
    """Dark noise with one bright ellipse each, gray (n, h, w), and the ellipses' masks 0/1."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[: size[0], : size[1]]
    images, masks = [], []
    for _ in range(count):
        row, column = (generator.uniform(0.3, 0.7) * side for side in size)
        radii = [generator.uniform(0.15, 0.25) * side for side in size]
        inside = ((rows - row) / radii[0]) ** 2 + ((columns - column) / radii[1]) ** 2 <= 1.0
        images.append(generator.integers(20, 60, size) + 140 * inside)
        masks.append(inside)
    return np.asarray(images, np.uint8), np.asarray(masks, np.uint8)


def weights(labels: int, channels: int) -> tuple[Floats, Floats]:
    """A mean filter, and its gain for each output: one for a label, else rising with it."""
    outputs = 1 if labels == 1 else labels + 1
    gains = np.full(outputs, SHARPNESS) if labels == 1 else np.arange(outputs) * SHARPNESS / 2
    mean = np.full((1, channels, 3, 3), 1.0 / (9 * channels), np.float32)
    return mean, gains.astype(np.float32)


def tiny_logits(batch: Floats, labels: int) -> Floats:
    """What the tiny network gives, (n, K, h, w), computed in numpy."""
    mean, gains = weights(labels, batch.shape[1])
    padded = np.pad(batch, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    level = np.einsum("nchwij,cij->nhw", windows, mean[0])
    logits = np.maximum(level, 0.0)[:, None] * gains[:, None, None]
    return np.asarray(logits - gains[:, None, None] * THRESHOLD, np.float32)


def tiny_onnx(labels: int, channels: int) -> onnx.ModelProto:
    mean, gains = weights(labels, channels)
    constants = {
        "mean": mean,
        "gain": gains.reshape(-1, 1, 1, 1),
        "bias": -gains * np.float32(THRESHOLD),
    }
    make = onnx.helper.make_node
    nodes = [
        make("Conv", ["image", "mean"], ["level"], pads=[1, 1, 1, 1]),
        make("Relu", ["level"], ["light"]),
        make("Conv", ["light", "gain", "bias"], ["logits"]),
    ]
    values = [
        onnx.helper.make_tensor_value_info(
            name, onnx.TensorProto.FLOAT, ["batch", count, "height", "width"]
        )
        for name, count in (("image", channels), ("logits", gains.size))
    ]
    tensors = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = onnx.helper.make_graph(nodes, "tiny", values[:1], values[1:], tensors)
    return onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10
    )


def tiny_facts(labels: tuple[str, ...], channels: int, images: Pixels) -> dict[str, Any]:
    """The manifest's entries that come from a run."""
    return {
        "network": {"name": "tiny", "options": {}},
        "preprocessing": {"input_size": SIZE, "channels": channels, "mean": 0.0, "std": 1.0},
        "labels": labels,
        "operating_point": {"threshold": 0.5, "smallest_area": 0.0, "components": "all"},
        "operating_point_chosen_on": "validation",
        "statistics": reference_statistics([image_statistics(each) for each in images]),
        "sources": {
            "images_sha256": "0" * 64,
            "split_sha256": "1" * 64,
            "recipe_sha256": "2" * 64,
            "checkpoint_sha256": "3" * 64,
            "layout": "phantom",
            "protocol": "fractions",
        },
        "training": {
            "epochs": 1,
            "initial_weights": "from scratch",
            "best_epoch": 1,
            "validation": {"dice": 0.5},
            "validation_images": 4,
        },
    }


def write_tiny_bundle(
    folder: Path, labels: tuple[str, ...] = ("lesion",), channels: int = 3
) -> Bundle:
    """Write a bundle of the tiny network; its check data are right."""
    folder.mkdir(parents=True)
    gray, masks = blob_images(4, seed=1)
    images = np.repeat(gray[..., np.newaxis], channels, axis=3)
    facts = tiny_facts(labels, channels, gray)
    batch = normalize(images, Preprocessing(**facts["preprocessing"]))
    onnx.save(tiny_onnx(len(labels), channels), folder / ONNX_FILE)
    openvino = load_openvino()
    model = openvino.Core().read_model(folder / ONNX_FILE)
    openvino.save_model(model, folder / IR_FILE, compress_to_fp16=False)
    logits = tiny_logits(batch, len(labels))
    np.savez_compressed(folder / CHECK_FILE, images=images, masks=masks, logits=logits)
    (folder / CARD_FILE).write_text("# tiny\n")
    return seal(folder, facts)


def seal(folder: Path, facts: dict[str, Any]) -> Bundle:
    """Write the manifest for the files that stand in `folder`."""
    entries = {"schema": 1, "featherseg": "0", "parameters": 20, "checks": (), **facts}
    return write_manifest(
        folder, Manifest.model_validate({**entries, "files": file_hashes(folder)})
    )
