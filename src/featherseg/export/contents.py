"""What a bundle holds beside its model: check data, card and manifest, and what they rest on."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

import featherseg
from featherseg.bundle import (
    CARD_FILE,
    SCHEMA,
    AgreementEntry,
    CheckData,
    Manifest,
    Weights,
    file_hashes,
    write_manifest,
)
from featherseg.datasets.simulate import KINDS, simulate
from featherseg.errors import BundleError
from featherseg.export.card import model_card
from featherseg.export.trained import Trained
from featherseg.preprocess import Preprocessing, fit_mask, fit_pixels, normalize
from featherseg.storage import replacing, write_text
from featherseg.types import Floats
from featherseg.verify import disagreements

# Which images a bundle keeps for `verify`.
Kept = Literal["validation", "simulated"]
# A bundle keeps this many of the images that export compared, so that it stays small.
_KEPT_IMAGES: dict[Weights, int] = {"float32": 4, "float16": 2, "int8": 2}


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


def simulated_check(expected: Preprocessing, logits: Callable[[Floats], Floats]) -> CheckData:
    """Simulated ultrasound of the breast, without and with a lesion, in place of real images.

    `logits` gives float32 (n, K, h, w) for float32 (n, C, h, w).
    """
    pairs = [simulate(seed, kind) for seed, kind in enumerate(KINDS)]
    images = np.stack(
        [fit_pixels(pixels, expected.input_size, expected.channels) for pixels, _ in pairs]
    )
    masks = np.stack([fit_mask(mask, expected.input_size) for _, mask in pairs])
    return CheckData(images, masks, logits(normalize(images, expected)))


def write_check(path: Path, check: CheckData, weights: Weights) -> None:
    """Keep a few images, from no lesion to the largest.

    Beside float16 and int8 weights the logits are rounded to float16 too: that is far within what
    such weights may differ by, and compresses to half.
    """
    by_area = np.argsort((check.masks > 0).sum(axis=(1, 2)), kind="stable")
    places = np.linspace(0, len(by_area) - 1, min(_KEPT_IMAGES[weights], len(by_area)))
    kept = by_area[places.round().astype(int)]
    logits = check.logits[kept]
    if weights != "float32":
        logits = logits.astype(np.float16).astype(np.float32)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, images=check.images[kept], masks=check.masks[kept], logits=logits)


def describe(
    folder: Path, trained: Trained, agreements: list[AgreementEntry], stored: Mapping[str, Any]
) -> None:
    """Write the model card and, as the last file, the manifest that names all others.

    `stored` holds the manifest's entries on how the network is stored: weights, precision, gate.
    """
    parameters = sum(each.numel() for each in trained.network.parameters() if each.requires_grad)
    facts = {
        "schema": SCHEMA,
        "featherseg": featherseg.__version__,
        "parameters": parameters,
        "checks": agreements,
        **stored,
        **trained.facts,
    }
    write_text(folder / CARD_FILE, model_card(facts))
    write_manifest(folder, Manifest.model_validate({**facts, "files": file_hashes(folder)}))
