"""What committed results say of the accuracy of what is compared."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featherseg.benchmark.subjects import Subject
from featherseg.errors import DataError
from featherseg.networks.names import did_you_mean
from featherseg.report.scores import SUMMARY_FILE
from featherseg.summary import SCHEMA

METRIC = "dice_lesion"


@dataclass(frozen=True)
class Accuracy:
    """A mean score of one result with its 95 % interval, None where there are too few images.

    ``result`` is the result's folder, ``model`` what its summary says of the model; results of
    the same ``split_sha256`` scored the same images.
    """

    result: str
    metric: str
    mean: float
    low: float | None
    high: float | None
    n: int
    over: str
    split_sha256: str
    model: Mapping[str, str]


def read_accuracies(folder: Path, metric: str = METRIC) -> list[Accuracy]:
    """The results below `folder` on the split of most networks, by name.

    Scores on different images cannot be compared: only the split that most networks share is
    taken, of equals the one of the first result. Raises DataError where there is no summary or
    one lacks `metric`.
    """
    found = [
        _read(path, metric, path.parent.relative_to(folder).as_posix())
        for path in sorted(folder.rglob(SUMMARY_FILE))
    ]
    if not found:
        raise DataError(
            f"--results {folder}: expected folders with {SUMMARY_FILE}, as `featherseg evaluate` "
            "writes them, found none"
        )
    # A network counts once a split: ten trainings of one network compare nothing.
    shared = dict.fromkeys((each.split_sha256, each.model["network"]) for each in found)
    split = Counter(split for split, _ in shared).most_common(1)[0][0]
    return [each for each in found if each.split_sha256 == split]


def _read(path: Path, metric: str, name: str) -> Accuracy:
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise DataError(f"{path}: not valid JSON ({error})") from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise DataError(f"{path}: expected a summary of schema {SCHEMA}; evaluate again")
    means = {key: value for key, value in content.items() if _is_mean(value)}
    if metric not in means:
        raise DataError(f"{path}: has no mean '{metric}'{did_you_mean(metric, means)}")
    entry = means[metric]
    return Accuracy(
        result=name,
        metric=metric,
        mean=entry["mean"],
        low=entry["ci_low"],
        high=entry["ci_high"],
        n=entry["n"],
        over=_images(content),
        split_sha256=content.get("split_sha256") or "",
        model=content.get("model") or {},
    )


def _is_mean(entry: Any) -> bool:
    return isinstance(entry, dict) and {"ci_low", "ci_high", "n"} <= set(entry) and bool(entry["n"])


def _images(summary: Mapping[str, Any]) -> str:
    return f"{summary['n']} images, {summary['n_lesion']} with a lesion"


def accuracy_of(found: Sequence[Accuracy], subject: Subject) -> Accuracy | None:
    """What is known of a subject: of a network the first result of one of its name.

    A bundle has only its own result, or that of another bundle made from the same checkpoint.
    """
    if subject.kind == "peer":
        return None
    if subject.kind == "network":
        return next((each for each in found if each.model.get("network") == subject.name), None)
    checkpoint = subject.bundle.manifest.sources.checkpoint_sha256
    for each in found:
        own = each.model.get("id") == subject.bundle.id
        if own or each.model.get("checkpoint_sha256") == checkpoint:
            return each
    return None
