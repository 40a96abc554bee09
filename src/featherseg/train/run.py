"""Reading a finished run folder back."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from featherseg.errors import RunError
from featherseg.networks import build_network
from featherseg.networks.presence import with_presence
from featherseg.postprocess import OperatingPoint
from featherseg.preprocess import Preprocessing
from featherseg.runtime.masks import Answer
from featherseg.segment import Segmenter
from featherseg.storage import sha256_file
from featherseg.train.checkpoint import load_weights
from featherseg.train.files import BEST, RECIPE_FILE, RUN_FILE
from featherseg.train.outcome import SCHEMA
from featherseg.train.recipe import Recipe, load_recipe
from featherseg.types import Floats

_ID_DIGITS = 12


@dataclass(frozen=True, eq=False)
class Run:
    """A finished training: its recipe, its network with the best weights, and run.json.

    The network is in evaluation mode on the CPU.
    """

    folder: Path
    recipe: Recipe
    network: nn.Module
    content: dict[str, Any]

    @cached_property
    def checkpoint_sha256(self) -> str:
        """The SHA-256 of the best weights' file."""
        return sha256_file(self.folder / BEST)

    @property
    def preprocessing(self) -> Preprocessing:
        """What the network expects."""
        values = self.content["preprocessing"]
        return Preprocessing(**{**values, "input_size": tuple(values["input_size"])})

    @property
    def operating_point(self) -> OperatingPoint:
        """How its probabilities become a mask."""
        return OperatingPoint(**self.content["operating_point"])


@dataclass(frozen=True, eq=False)
class TorchSession:
    """A torch network as a runtime, for scoring a run before it is exported."""

    network: nn.Module
    runtime: str = "torch"
    precision: str = "f32"

    @torch.no_grad()
    def answer(self, batch: Floats) -> Answer:
        """Run float32 (N, C, h, w) to logits, and presence where the network has that head."""
        images = torch.from_numpy(batch).to(memory_format=torch.channels_last)
        logits, presence = with_presence(self.network, images)
        found = np.asarray(logits.contiguous().numpy(), np.float32)
        return Answer(found, None if presence is None else presence.numpy())

    def logits(self, batch: Floats) -> Floats:
        """Run float32 (N, C, h, w) to float32 logits (N, K, h, w)."""
        return self.answer(batch).logits


def load_run(path: str | Path) -> Run:
    """Load a finished run; RunError where the folder is missing, unfinished or damaged."""
    folder = Path(path)
    content = read_run(folder)
    try:
        network = build_network(content["network"]["name"], **content["network"]["options"])
        run = Run(folder, load_recipe(folder / RECIPE_FILE), network.eval(), content)
        _ = run.preprocessing, run.operating_point, content["labels"]
    except (KeyError, TypeError) as error:
        raise RunError(f"{folder / RUN_FILE}: an entry is missing or wrong ({error})") from error
    load_weights(folder / BEST, network)
    network.to(memory_format=torch.channels_last)
    return run


def run_segmenter(path: str | Path) -> Segmenter:
    """A segmenter that runs a finished run's best weights with torch."""
    return segmenter_of(load_run(path))


def segmenter_of(run: Run) -> Segmenter:
    """A segmenter that runs a run's network with torch."""
    return Segmenter(
        session=TorchSession(run.network),
        preprocessing=run.preprocessing,
        operating_point=run.operating_point,
        labels=tuple(run.content["labels"]),
        model_id=run.checkpoint_sha256[:_ID_DIGITS],
        reference=run.content.get("statistics", {}),
    )


def read_run(folder: Path) -> dict[str, Any]:
    """The content of a finished run's run.json; RunError as for `load_run`."""
    path = folder / RUN_FILE
    if not folder.is_dir():
        raise RunError(f"{folder}: expected a run folder, found nothing")
    if not path.is_file():
        raise RunError(
            f"{folder}: expected a finished run, found no {RUN_FILE}; "
            "finish it with: featherseg train ... --resume"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read ({error})") from error
    if not isinstance(content, dict):
        raise RunError(f"{path}: expected a finished run, found something else; train it again")
    if content.get("schema") != SCHEMA:
        raise RunError(f"{path}: expected a run of schema {SCHEMA}; train it again")
    return content
