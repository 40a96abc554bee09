"""A model for scoring: a bundle or a run, with what it says about its own making."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from featherseg.errors import FeatherSegError
from featherseg.runtime.flips import Flips
from featherseg.segment import Segmenter, with_flips
from featherseg.train.files import LOG_FILE, RUN_FILE, SPLIT_FILE
from featherseg.types import FROM_SCRATCH


@dataclass(frozen=True)
class Model:
    """An opened model.

    ``kind`` is "bundle" or "run"; ``network`` its network's name; ``weights`` what its training
    began with; the hashes are those of the images, the split and the recipe it was made from, and
    of its weights; ``chosen_on`` names the subset that chose its epoch
    and operating point; ``split`` is the split file it keeps, ``fold`` the fold it left out;
    ``history`` holds an entry for each epoch, ``cost`` pairs of name and value, for a report;
    ``flips`` are those that its answers are averaged over.
    """

    segmenter: Segmenter
    kind: str
    network: str
    weights: str
    checkpoint_sha256: str
    recipe_sha256: str
    images_sha256: str
    split_sha256: str
    chosen_on: str
    split: Path | None
    fold: int | None
    history: tuple[dict[str, Any], ...]
    cost: tuple[tuple[str, str], ...]
    flips: Flips | None = None


def open_model(argument: Path, flips: Flips | None = None) -> Model:
    """Open the bundle or the run in a folder, or zoo:NAME; a run needs the extra `train`."""
    from featherseg.cli.options import bundle_folder

    model = _open(bundle_folder(argument))
    return replace(model, segmenter=with_flips(model.segmenter, flips), flips=flips)


def _open(path: Path) -> Model:
    from featherseg.bundle import MANIFEST_FILE

    if (path / MANIFEST_FILE).is_file():
        return _open_bundle(path)
    if (path / RUN_FILE).is_file():
        return _open_run(path)
    found = "a folder without either" if path.is_dir() else "a file" if path.exists() else "nothing"
    raise FeatherSegError(
        f"{path}: expected a bundle ({MANIFEST_FILE}) or a run ({RUN_FILE}), found {found}"
    )


def _open_bundle(path: Path) -> Model:
    from featherseg.bundle import load_bundle

    bundle = load_bundle(path)
    manifest = bundle.manifest
    return Model(
        segmenter=Segmenter.from_bundle(bundle),
        kind="bundle",
        network=manifest.network.name,
        weights=manifest.training.initial_weights,
        checkpoint_sha256=manifest.sources.checkpoint_sha256,
        recipe_sha256=manifest.sources.recipe_sha256,
        images_sha256=manifest.sources.images_sha256,
        split_sha256=manifest.sources.split_sha256,
        chosen_on=manifest.operating_point_chosen_on,
        split=None,
        fold=None,
        history=(),
        cost=(
            ("Parameters", f"{manifest.parameters:,}"),
            ("Bundle", f"{bundle.size_mb:.1f} MB"),
        ),
    )


def _open_run(path: Path) -> Model:
    from featherseg.extras import require

    require("train")
    from featherseg.train.run import load_run, segmenter_of

    run = load_run(path)
    about = run.content
    split = path / SPLIT_FILE
    return Model(
        segmenter=segmenter_of(run),
        kind="run",
        network=about["network"]["name"],
        weights=about.get("initial_weights", FROM_SCRATCH),
        checkpoint_sha256=run.checkpoint_sha256,
        recipe_sha256=about["recipe_sha256"],
        images_sha256=about["images_sha256"],
        split_sha256=about["split_sha256"],
        chosen_on=about["operating_point_chosen_on"],
        split=split if split.is_file() else None,
        fold=about.get("fold"),
        history=_history(path / LOG_FILE),
        cost=(),
    )


def _history(path: Path) -> tuple[dict[str, Any], ...]:
    """What a run logged, an entry an epoch; nothing where there is no readable log."""
    try:
        return tuple(json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    except (OSError, ValueError):
        return ()
