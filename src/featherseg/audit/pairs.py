"""What cases that show one picture say of each other: classes, lesions and masks that differ."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import cv2
import numpy as np

from featherseg.audit.findings import Contradiction, Group, InconsistentMasks
from featherseg.audit.look import Look
from featherseg.datasets import DATASETS, Dataset
from featherseg.errors import FeatherSegError
from featherseg.types import Mask

# Masks of one picture that agree less were drawn of different things, or by different rules. A
# picture cut a little differently costs a lesion of usual size up to a tenth.
_CONSISTENT_DICE = 0.8
# Images whose aspect ratios differ by a larger factor show different parts of the picture.
_SAME_ASPECT = 1.05
# All pairs of larger groups would take long, and a few of them tell.
_MOST_COMPARED = 12
_DIGITS = 3


def contradictions(groups: Sequence[Group], looks: Mapping[str, Look]) -> tuple[Contradiction, ...]:
    """Groups of one picture under several classes, or with a lesion here and none there."""
    found = []
    for group in groups:
        classes = tuple(looks[name].case.label for name in group)
        presence = {looks[name].has_lesion for name in group} - {None}
        several = {"class": len(set(classes)) > 1, "presence": len(presence) > 1}
        differs = tuple(what for what, does in several.items() if does)
        if differs:
            found.append(Contradiction(group, classes, differs))
    return tuple(found)


def across_groups(groups: Sequence[Group], looks: Mapping[str, Look]) -> tuple[Group, ...]:
    """Groups of one picture that join cases which the data set keeps apart as other patients.

    Nothing where every case is its own group: no patient is then known.
    """
    own = {name: look.case.group for name, look in looks.items()}
    if len(set(own.values())) == len(own):
        return ()
    return tuple(group for group in groups if len({own[name] for name in group}) > 1)


def inconsistent_masks(
    dataset: Dataset, groups: Sequence[Group], looks: Mapping[str, Look]
) -> tuple[InconsistentMasks, ...]:
    """Of each group with unlike masks the least alike two; empty masks are left out.

    Masks are read again: keeping them all would take as much memory as the data set.
    """
    found = []
    for group in groups:
        masks = _masks(dataset, group[:_MOST_COMPARED], looks)
        pairs = [
            (first, second, dice)
            for first, second in combinations(masks, 2)
            if (dice := mask_agreement(masks[first], masks[second])) is not None
        ]
        if not pairs:
            continue
        first, second, dice = min(pairs, key=lambda pair: pair[2])
        if dice < _CONSISTENT_DICE:
            is_resized = masks[first].shape != masks[second].shape
            found.append(InconsistentMasks((first, second), round(dice, _DIGITS), is_resized))
    return tuple(found)


def mask_agreement(first: Mask, second: Mask) -> float | None:
    """The Dice coefficient of two foregrounds, in [0, 1].

    A mask of another size with nearly the same aspect ratio is brought to the first one's grid;
    None where the ratios differ by more than a twentieth, and for two empty masks.
    """
    if first.shape != second.shape:
        ratio = (first.shape[0] * second.shape[1]) / (first.shape[1] * second.shape[0])
        if not 1 / _SAME_ASPECT <= ratio <= _SAME_ASPECT:
            return None
        size = (first.shape[1], first.shape[0])
        second = np.asarray(cv2.resize(second, size, interpolation=cv2.INTER_NEAREST_EXACT))
    total = np.count_nonzero(first) + np.count_nonzero(second)
    both = np.count_nonzero((first > 0) & (second > 0))
    return float(2 * both / total) if total else None


def _masks(dataset: Dataset, group: Group, looks: Mapping[str, Look]) -> dict[str, Mask]:
    masks = {}
    for name in group:
        if looks[name].mask is not None and looks[name].has_lesion:
            try:
                masks[name] = DATASETS[dataset.layout].read_mask(dataset, looks[name].case)
            except FeatherSegError:  # changed since it was looked at
                continue
    return masks
