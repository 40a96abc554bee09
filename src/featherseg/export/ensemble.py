"""Several runs of one network as one network: an ensemble.

Its probabilities are the mean of its members'; its threshold and smallest area are the medians
of theirs, and only the largest part of a label is kept where all members keep only that.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from featherseg.errors import RunError
from featherseg.export.trained import Trained
from featherseg.storage import sha256_json

# What all members must share, by its name in the manifest.
_SHARED = ("network", "preprocessing", "labels")
_SHARED_SOURCES = ("layout", "images_sha256")


class Ensemble(nn.Module):
    """The logits of the mean probability of several networks, as for flips of an image.

    In logarithms throughout (`runtime.flips.mean_as_logits`): runtimes round the tails of a
    sigmoid each in its own way, ONNX Runtime to 0.
    """

    def __init__(self, members: Iterable[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, images: Tensor) -> Tensor:
        """Run (N, C, H, W) to logits (N, K, H, W)."""
        answers = torch.stack([member(images) for member in self.members])
        if answers.shape[2] == 1:
            is_found, is_not = -functional.softplus(-answers), -functional.softplus(answers)
            return is_found.logsumexp(dim=0) - is_not.logsumexp(dim=0)
        return functional.log_softmax(answers, dim=2).logsumexp(dim=0) - math.log(len(answers))


def joined(members: Mapping[str, Trained]) -> Trained:
    """The ensemble of `members`, which are named by their folders.

    Raises RunError for runs of another network, input, labels or images than the first, and
    for one run given twice. Runs of several splits or folds leave no image that none of them was
    trained on: the ensemble then names no split, so that it cannot be scored as if it had one.
    """
    first, *others = members
    for other in others:
        _check_equal(first, members[first].facts, other, members[other].facts)
    facts = [member.facts for member in members.values()]
    if len({fact["sources"]["checkpoint_sha256"] for fact in facts}) < len(facts):
        raise RunError("expected different runs, got the same weights twice; name each run once")
    return Trained(
        network=Ensemble(member.network for member in members.values()),
        images=np.concatenate([member.images for member in members.values()]),
        masks=np.concatenate([member.masks for member in members.values()]),
        facts={
            **facts[0],
            "members": len(facts),
            "operating_point": _operating_point([fact["operating_point"] for fact in facts]),
            "operating_point_chosen_on": _listed(f["operating_point_chosen_on"] for f in facts),
            "statistics": _statistics([fact["statistics"] for fact in facts]),
            "sources": _sources([fact["sources"] for fact in facts]),
            "training": _training(facts),
            "cross_validation": None,
        },
    )


def _check_equal(
    first: str, expected: Mapping[str, Any], other: str, found: Mapping[str, Any]
) -> None:
    pairs = [(name, expected[name], found[name]) for name in _SHARED]
    pairs += [(name, expected["sources"][name], found["sources"][name]) for name in _SHARED_SOURCES]
    for name, wanted, got in pairs:
        if wanted != got:
            raise RunError(
                f"{other}: expected the {name} of {first} ({wanted}), got {got}; "
                "an ensemble needs runs of one network, one input and the same images"
            )


def _operating_point(points: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "threshold": median(point["threshold"] for point in points),
        "smallest_area": median(point["smallest_area"] for point in points),
        "components": "all" if any(point["components"] == "all" for point in points) else "largest",
    }


def _statistics(
    references: Sequence[Mapping[str, Mapping[str, float]]],
) -> dict[str, dict[str, float]]:
    """The mean of each quantile of the members' training images, where all have it."""
    names = set.intersection(*(set(reference) for reference in references))
    return {
        name: {
            level: fmean(reference[name][level] for reference in references)
            for level in references[0][name]
        }
        for name in sorted(names)
    }


def _sources(sources: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    splits = {(source["split_sha256"], source.get("fold")) for source in sources}
    recipes = [source["recipe_sha256"] for source in sources]
    return {
        **sources[0],
        "checkpoint_sha256": sha256_json([source["checkpoint_sha256"] for source in sources]),
        "recipe_sha256": recipes[0] if len(set(recipes)) == 1 else sha256_json(recipes),
        "protocol": _listed(source["protocol"] for source in sources),
        **({} if len(splits) == 1 else {"split_sha256": "", "fold": None}),
    }


def _training(facts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How the members' trainings went: longest, latest, and their mean validation scores."""
    trainings = [fact["training"] for fact in facts]
    scores = set.intersection(*(set(training["validation"]) for training in trainings))
    return {
        "initial_weights": _listed(training["initial_weights"] for training in trainings),
        "epochs": max(training["epochs"] for training in trainings),
        "best_epoch": max(training["best_epoch"] for training in trainings),
        "validation": {
            name: fmean(training["validation"][name] for training in trainings)
            for name in sorted(scores)
        },
        "validation_images": min(training["validation_images"] for training in trainings),
    }


def _listed(values: Iterable[str]) -> str:
    """The different values, in their order."""
    return ", ".join(dict.fromkeys(values))
