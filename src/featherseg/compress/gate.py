"""The gate: an int8 network is kept only where its masks are as good as those it had in f32.

Both networks segment the same images at one operating point. Dice is that of an evaluation, over
the images with a lesion, a missed one counting 0: its mean may fall by 0.005 at most. And no
lesion may be missed that was found before.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from featherseg.bundle import DifferenceEntry, GateEntry
from featherseg.errors import DataError
from featherseg.metrics.overlap import confusion, dice
from featherseg.segment import Segmenter
from featherseg.stats import mean_interval
from featherseg.types import Image, Mask

LARGEST_FALL = 0.005
_SEED = 0
# Means that differ by less differ by the order of their sums only.
_DECIMALS = 12


@dataclass(frozen=True, eq=False)
class GateCase:
    """An image with its mask, uint8 (H, W) of the same size, and the group that it belongs to."""

    image: Image
    mask: Mask
    group: str


@dataclass(frozen=True)
class CaseScore:
    """How a network did in one image.

    ``dice`` is None for an image without a lesion; of several labels it is the mean over those
    that the image has, as in a summary. ``is_found`` says whether anything was found.
    """

    group: str
    dice: float | None
    is_found: bool


@dataclass(frozen=True)
class Quantized:
    """How a network was quantized: what a gate's entry says beside the scores."""

    method: str
    calibration_images: int
    layers: int
    kept_layers: tuple[str, ...] = ()


def score_cases(segmenter: Segmenter, cases: Iterable[GateCase]) -> tuple[CaseScore, ...]:
    """Segment every case and score its mask on the image's own grid."""
    return tuple(
        score_case(case.mask, segmenter(case.image).mask, len(segmenter.labels), case.group)
        for case in cases
    )


def score_case(truth: Mask, found: Mask, labels: int, group: str = "") -> CaseScore:
    """Score one mask; both are uint8 (H, W) with 0 as background.

    >>> truth = np.array([[1, 1, 0, 0]], np.uint8)
    >>> score_case(truth, np.array([[0, 1, 0, 0]], np.uint8), labels=1, group="a")
    CaseScore(group='a', dice=0.6666666666666666, is_found=True)
    """
    present = [label for label in range(1, labels + 1) if (truth == label).any()]
    scores = [dice(confusion(truth == label, found == label)) or 0.0 for label in present]
    mean = sum(scores) / len(scores) if scores else None
    return CaseScore(group, mean, bool((found > 0).any()))


def judge(
    before: Sequence[CaseScore], after: Sequence[CaseScore], how: Quantized, over: str
) -> GateEntry:
    """The gate's verdict on a network's scores in f32 and in int8, of the same images.

    `over` says which images those are. Raises DataError where none of them has a lesion.
    """
    pairs = [
        (first.dice, second.dice, first.group)
        for first, second in zip(before, after, strict=True)
        if first.dice is not None and second.dice is not None
    ]
    if not pairs:
        raise DataError(
            f"the gate of an int8 network compares Dice, and none of the {len(before)} {over} "
            "images has anything to find; make a split with some, or use --precision fp32"
        )
    differences = [second - first for first, second, _ in pairs]
    mean = round(float(np.mean(differences)), _DECIMALS)
    interval = mean_interval(differences, _SEED, groups=[group for *_, group in pairs])
    newly_missed = sum(
        first.is_found and not second.is_found
        for first, second in zip(before, after, strict=True)
        if first.dice is not None
    )
    return GateEntry(
        over=over,
        images=len(before),
        lesions=len(pairs),
        dice_float=float(np.mean([first for first, _, _ in pairs])),
        dice_int8=float(np.mean([second for _, second, _ in pairs])),
        difference=DifferenceEntry(
            mean=mean,
            low=interval.low if interval else None,
            high=interval.high if interval else None,
        ),
        missed_float=_missed(before),
        missed_int8=_missed(after),
        newly_missed=newly_missed,
        false_alarms_float=_false_alarms(before),
        false_alarms_int8=_false_alarms(after),
        method=how.method,
        calibration_images=how.calibration_images,
        layers=how.layers,
        kept_layers=how.kept_layers,
        passed=mean >= -LARGEST_FALL and newly_missed == 0,
    )


def described(gate: GateEntry) -> str:
    """The gate's figures in one line."""
    low, high = gate.difference.low, gate.difference.high
    interval = "" if low is None or high is None else f" (95 % interval {low:+.4f} to {high:+.4f})"
    return (
        f"Dice {gate.dice_float:.4f} in f32, {gate.dice_int8:.4f} in int8 on {gate.lesions} "
        f"{gate.over} images with a lesion: {gate.difference.mean:+.4f}{interval}, at least "
        f"{-LARGEST_FALL:+.4f} is asked for; lesions missed {gate.missed_float} in f32, "
        f"{gate.missed_int8} in int8, {gate.newly_missed} newly, where 0 is asked for; "
        f"false alarms {gate.false_alarms_float} and {gate.false_alarms_int8} on "
        f"{gate.images - gate.lesions} images without; {gate.method}"
    )


def _missed(scores: Iterable[CaseScore]) -> int:
    return sum(each.dice is not None and not each.is_found for each in scores)


def _false_alarms(scores: Iterable[CaseScore]) -> int:
    return sum(each.dice is None and each.is_found for each in scores)
