"""What export needs of a finished training run."""

import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from featherseg.datasets import DATASETS
from featherseg.errors import RunError
from featherseg.train.outcome import CHECK_FILE as RUN_CHECK_FILE
from featherseg.train.run import Run, load_run
from featherseg.types import FROM_SCRATCH, Pixels


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


def read_trained(folder: Path) -> Trained:
    """What export needs of a finished run folder; raises RunError."""
    return trained_of(load_run(folder))


def trained_of(run: Run) -> Trained:
    """What export needs of a run; raises RunError where its check images cannot be read."""
    folder = run.folder
    content, best = run.content, run.content["best"]
    try:
        with np.load(folder / RUN_CHECK_FILE, allow_pickle=False) as check:
            images, masks = check["images"], check["masks"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise RunError(
            f"{folder / RUN_CHECK_FILE}: cannot be read ({error}); train the run again"
        ) from error
    sources = ("images_sha256", "split_sha256", "recipe_sha256", "layout", "protocol", "fold")
    copied = ("network", "labels", "operating_point", "operating_point_chosen_on", "statistics")
    return Trained(
        run.network,
        images,
        masks,
        {
            **{name: content[name] for name in copied},
            "preprocessing": asdict(run.preprocessing),
            "sources": {
                **{name: content[name] for name in sources},
                "checkpoint_sha256": run.checkpoint_sha256,
            },
            "training": {
                "initial_weights": content.get("initial_weights", FROM_SCRATCH),
                "epochs": content["epochs"],
                "best_epoch": best["epoch"],
                "validation": {
                    name: best[f"validation_{name}"]
                    for name in ("dice", "loss")
                    if best[f"validation_{name}"] is not None
                },
                "validation_images": content["images"]["validation"],
            },
            "cross_validation": content.get("cross_validation"),
            "data": _terms(content["layout"]),
        },
    )


def _terms(layout: str) -> dict[str, str] | None:
    """License and citation of an official release; None for anybody's own images."""
    known = DATASETS.get(layout)
    if known is None or known.expected is None:
        return None
    return {"license": known.license, "citation": known.citation}
