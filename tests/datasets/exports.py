"""Small data sets of every kind, and their exports, for the tests."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from featherseg.datasets import Dataset, load_dataset, read_case
from featherseg.datasets.exchange import (
    EXPORTERS,
    Export,
    arrange,
    export_root,
    safe_names,
    write_export,
)

IDS = ("benign (1)", "benign_1", "Größe 2", "乳腺", "a[1] b", "scan_0000")
SIZE = (20, 30)
SUBSETS = {"train": IDS[:3], "validation": IDS[3:4], "test": IDS[4:]}
FORMATS = tuple(EXPORTERS)


def make(root: Path, kind: str, labels: int, spacing: bool) -> Dataset:
    """A data set of the layout `folder`; `kind` is gray, rgb or mixed."""
    generator = np.random.default_rng(7)
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True)
    for place, name in enumerate(IDS):
        is_rgb = kind == "rgb" or (kind == "mixed" and place == 1)
        pixels = generator.integers(0, 256, (*SIZE, 3) if is_rgb else SIZE, dtype=np.uint8)
        mask = generator.integers(0, labels + 1, SIZE, dtype=np.uint8)
        # The last case has no lesion.
        mask *= place < len(IDS) - 1
        PIL.Image.fromarray(pixels).save(root / "images" / f"{name}.png")
        PIL.Image.fromarray(mask).save(root / "masks" / f"{name}.png")
    (root / "labels.json").write_text(json.dumps(["head", "body"][:labels]))
    lines = [f"{name},patient {place // 2},kind {place % 2}" for place, name in enumerate(IDS)]
    (root / "groups.csv").write_text("\n".join(["id,group,class", *lines]) + "\n")
    dataset = load_dataset(root, "folder")
    spacings = [(0.1, 0.0691358 + k) if spacing and k != 2 else None for k in range(len(IDS))]
    by_id = dict(zip(IDS, spacings, strict=True))
    cases = tuple(replace(case, spacing_mm=by_id[case.id]) for case in dataset.cases)
    return replace(dataset, cases=cases)


def export_of(dataset: Dataset, subsets: dict[str, tuple[str, ...]] | None, **more: Any) -> Export:
    names = safe_names(case.id for case in dataset.cases)
    cases = arrange(dataset.cases, subsets)
    return Export("demo", dataset.labels, cases, partial(read_case, dataset), names, **more)


def write(to: str, dataset: Dataset, out: Path, subsets: Any = SUBSETS) -> Path:
    root = export_root(to, out, "demo", 501)
    write_export(to, export_of(dataset, subsets), root)
    return root
