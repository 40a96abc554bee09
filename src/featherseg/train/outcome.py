"""What a finished training leaves for export and evaluation, beside its weights."""

import io
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from featherseg import __version__
from featherseg.datasets.pack import Packed
from featherseg.likeness import image_statistics, reference_statistics
from featherseg.networks.presence import with_presence
from featherseg.operating_point import choose_operating_point
from featherseg.postprocess import OperatingPoint
from featherseg.preprocess import Preprocessing, normalize
from featherseg.report.curves import curves_svg
from featherseg.runtime.masks import Answer
from featherseg.storage import write_bytes, write_json, write_text
from featherseg.train.checkpoint import Progress
from featherseg.train.files import RUN_FILE
from featherseg.train.inputs import resolved_options
from featherseg.train.recipe import Recipe, recipe_sha256
from featherseg.types import Floats

CURVES_FILE = "curves.svg"
CHECK_FILE = "check.npz"
SCHEMA = 1
_CHECK_IMAGES = 16
_BATCH = 16


def write_outcome(
    out: Path,
    recipe: Recipe,
    parts: Mapping[str, Packed],
    network: nn.Module,
    *,
    done: Progress,
    provenance: Mapping[str, Any],
    teachers: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Choose the operating point on the validation images and write everything of the run.

    `network` holds the best weights and computes in the precision of the training. `provenance`
    is that of `fit`, and says in `initial_weights` what the training began with. Without
    validation images `provenance` says the `operating_point`, `operating_point_chosen_on` and
    the `operating_point_dice` that it had there, and export compares training images.
    """
    validation, train = parts["validation"], parts["train"]
    expected = Preprocessing(recipe.input_size, recipe.in_channels)
    options = resolved_options(recipe, train)
    # Its weights replace those it began with: whoever builds it again needs no fetching.
    options.pop("pretrained", None)
    chosen = _chosen_point(recipe, network, validation, provenance)
    write_text(out / CURVES_FILE, curves_svg(done.history))
    write_bytes(out / CHECK_FILE, _check_images(validation if validation.ids else train))
    content = {
        "schema": SCHEMA,
        "network": {"name": recipe.network, "options": options},
        "initial_weights": provenance["initial_weights"],
        "preprocessing": asdict(expected),
        "labels": list(train.labels),
        "layout": train.layout,
        "images_sha256": train.images_sha256,
        "split_sha256": provenance.get("split_sha256", ""),
        "protocol": provenance.get("protocol", ""),
        "fold": provenance.get("fold"),
        "recipe_sha256": recipe_sha256(recipe),
        "images": {name: len(part.ids) for name, part in parts.items()},
        "epochs": done.epoch,
        "best": _best(done),
        **chosen,
        "teachers": list(teachers),
        "statistics": reference_statistics([image_statistics(image) for image in train.images]),
        "cross_validation": provenance.get("cross_validation"),
        "versions": _versions(),
        "seconds": round(sum(entry["seconds"] for entry in done.history), 3),
        "peak_memory_mb": max(entry["peak_memory_mb"] for entry in done.history),
    }
    write_json(out / RUN_FILE, content)


def _chosen_point(
    recipe: Recipe, network: nn.Module, validation: Packed, provenance: Mapping[str, Any]
) -> dict[str, Any]:
    """The operating point, what it was chosen on, and the mean Dice of all images there."""
    if not validation.ids:
        return {
            "operating_point": provenance.get("operating_point", asdict(OperatingPoint())),
            "operating_point_chosen_on": provenance.get("operating_point_chosen_on", "nothing"),
            "operating_point_dice": provenance.get("operating_point_dice"),
        }
    answer = predict(network, validation.images, recipe)
    point, scores = choose_operating_point(answer.logits, validation.masks, answer.presence)
    return {
        "operating_point": asdict(point),
        "operating_point_chosen_on": "validation",
        "operating_point_dice": max(score.dice_all for score in scores),
    }


@torch.no_grad()
def predict(network: nn.Module, images: NDArray[np.uint8], recipe: Recipe) -> Answer:
    """What a network of `recipe` says of packed images (N, h, w, C), in evaluation mode.

    Its presence is left out where the recipe did not train it.
    """
    network.eval()
    device = next(network.parameters()).device
    expected = Preprocessing(recipe.input_size, recipe.in_channels)
    logits, presence = [], []
    for start in range(0, len(images), _BATCH):
        batch = torch.from_numpy(normalize(images[start : start + _BATCH], expected))
        found, said = with_presence(network, batch.to(device, memory_format=torch.channels_last))
        logits.append(_plain(found))
        if said is not None and recipe.presence_weight:
            presence.append(_plain(said))
    return Answer(np.concatenate(logits), np.concatenate(presence) if presence else None)


def _plain(values: torch.Tensor) -> Floats:
    return np.asarray(values.float().cpu().contiguous().numpy(), np.float32)


def _best(done: Progress) -> dict[str, Any]:
    """The epoch that was kept; its scores are None where nothing was validated."""
    best = done.best or {}
    return {name: best.get(name) for name in ("epoch", "validation_dice", "validation_loss")}


def _check_images(data: Packed) -> bytes:
    """Up to 16 images and masks, half of them without a lesion where there are any."""
    with_lesion = data.masks.any(axis=(1, 2))
    lesions, normals = np.flatnonzero(with_lesion), np.flatnonzero(~with_lesion)
    half = _CHECK_IMAGES // 2
    normals = _spread(normals, max(half, _CHECK_IMAGES - len(lesions)))
    lesions = _spread(lesions, _CHECK_IMAGES - len(normals))
    places = np.sort(np.concatenate((lesions, normals)))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, images=data.images[places], masks=data.masks[places])
    return buffer.getvalue()


def _spread(places: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """At most `count` of the places, evenly from first to last."""
    if len(places) <= count:
        return places
    return places[np.linspace(0, len(places) - 1, count).round().astype(np.intp)]


def _versions() -> dict[str, str]:
    return {
        "featherseg": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__,
    }
