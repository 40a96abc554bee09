"""The grid search against post-processing, point by point."""

import cv2
import numpy as np
import pytest

from featherseg.operating_point import (
    LEAST_SENSITIVITY,
    PRESENCE_THRESHOLDS,
    PointScore,
    choose_operating_point,
    choose_screening_point,
    grid,
)
from featherseg.postprocess import OperatingPoint, postprocess
from featherseg.preprocess import Geometry
from featherseg.types import Floats, Mask

SIZE = (48, 40)


def smooth(generator: np.random.Generator, sigma: float) -> Floats:
    noise = generator.normal(size=SIZE).astype(np.float32)
    blurred = cv2.GaussianBlur(noise, (0, 0), sigma)
    return np.asarray(blurred / blurred.std(), np.float32)


def random_case(seed: int, channels: int, images: int = 6) -> tuple[Floats, Mask]:
    generator = np.random.default_rng(seed)
    logits = np.stack(
        [[smooth(generator, 2.0) - 0.6 for _ in range(channels)] for _ in range(images)]
    )
    labels = max(1, channels - 1)
    masks = np.stack([(smooth(generator, 4.0) > 1.0) * (n % (labels + 1)) for n in range(images)])
    return logits.astype(np.float32), masks.astype(np.uint8)


def slow_masks(logits: Floats, point: OperatingPoint, presence: Floats | None = None) -> list[Mask]:
    said = [None] * len(logits) if presence is None else list(presence)
    return [
        postprocess(image, Geometry(SIZE, SIZE), point, each)[0]
        for image, each in zip(logits, said, strict=True)
    ]


def slow_dice(
    logits: Floats, masks: Mask, point: OperatingPoint, presence: Floats | None = None
) -> float:
    """Mean Dice over images and labels of what `postprocess` gives; both empty is 1."""
    scores = []
    for found, truth in zip(slow_masks(logits, point, presence), masks, strict=True):
        for label in range(1, max(2, logits.shape[1])):
            total = (found == label).sum() + (truth == label).sum()
            both = ((found == label) & (truth == label)).sum()
            scores.append(2 * both / total if total else 1.0)
    return float(np.mean(scores))


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_every_point_of_the_grid_equals_postprocessing(channels: int) -> None:
    logits, masks = random_case(channels, channels)
    best, scores = choose_operating_point(logits, masks)
    assert len(scores) == 60
    for score in scores:
        assert score.dice_all == pytest.approx(slow_dice(logits, masks, score.point), abs=1e-9)
    top = max(score.dice_all for score in scores)
    assert slow_dice(logits, masks, best) == pytest.approx(top, abs=1e-9)
    assert len({score.dice_all for score in scores}) > 10


def test_without_evidence_the_plain_point_is_kept() -> None:
    masks = np.zeros((3, *SIZE), np.uint8)
    masks[:, 10:30, 10:30] = 1
    logits = np.where(masks[:, None] == 1, 9.0, -9.0).astype(np.float32)
    best, scores = choose_operating_point(logits, masks)
    assert best == OperatingPoint(0.5, 0.0, "all")
    assert {score.dice_all for score in scores} == {1.0}


def test_specks_on_normal_images_raise_the_smallest_area() -> None:
    masks = np.zeros((4, *SIZE), np.uint8)
    masks[:2, 10:30, 10:30] = 1
    logits = np.where(masks[:, None] == 1, 9.0, -9.0).astype(np.float32)
    logits[2:, 0, 40:43, 5:6] = 9.0
    best, _ = choose_operating_point(logits, masks)
    assert best == OperatingPoint(0.5, 0.002, "all")


def test_a_second_part_beside_each_lesion_keeps_the_largest() -> None:
    masks = np.zeros((2, *SIZE), np.uint8)
    masks[:, 5:25, 5:25] = 1
    logits = np.where(masks[:, None] == 1, 9.0, -9.0).astype(np.float32)
    logits[:, 0, 32:42, 25:35] = 9.0
    best, _ = choose_operating_point(logits, masks)
    assert best == OperatingPoint(0.5, 0.0, "largest")


def test_a_timid_network_gets_a_lower_threshold() -> None:
    masks = np.zeros((2, *SIZE), np.uint8)
    masks[:, 5:25, 5:25] = 1
    # A probability of 0.35 in the lesion: only the threshold 0.3 finds it.
    logits = np.where(masks[:, None] == 1, np.log(0.35 / 0.65), -9.0).astype(np.float32)
    assert choose_operating_point(logits, masks)[0] == OperatingPoint(0.3, 0.0, "all")


def test_the_grid_is_the_stated_one_with_the_preferred_first() -> None:
    points = grid()
    assert points[0] == OperatingPoint(0.5, 0.0, "all")
    assert len(set(points)) == len(points) == 5 * 6 * 2


@pytest.mark.parametrize(
    ("logits", "masks"),
    [((0, 1, 8, 8), (0, 8, 8)), ((2, 1, 8, 8), (2, 8, 9)), ((2, 1, 8, 8), (3, 8, 8))],
)
def test_unequal_shapes_are_refused(logits: tuple[int, ...], masks: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="at least one image"):
        choose_operating_point(np.zeros(logits, np.float32), np.zeros(masks, np.uint8))


def told(masks: Mask, seed: int, noise: float) -> Floats:
    """Presence logits that are mostly right."""
    there = masks.any(axis=(1, 2)).astype(np.float32)
    spread = np.random.default_rng(seed).normal(size=len(masks)) * noise
    return np.asarray((4 * there - 2 + spread)[:, np.newaxis], np.float32)


@pytest.mark.parametrize("channels", [1, 3])
def test_gated_points_equal_postprocessing_and_keep_the_lesions(channels: int) -> None:
    logits, masks = random_case(channels, channels, images=12)
    masks[::3] = 0
    presence = told(masks, channels, noise=1.0)
    best, scores = choose_operating_point(logits, masks, presence)
    gated = [score for score in scores if score.point.presence_threshold is not None]
    assert gated
    is_there = masks.any(axis=(1, 2))
    for score in [*scores[:60:7], *gated[::11]]:
        found = np.array([mask.any() for mask in slow_masks(logits, score.point, presence)])
        assert score.dice_all == pytest.approx(
            slow_dice(logits, masks, score.point, presence), abs=1e-9
        )
        assert score.sensitivity == pytest.approx(found[is_there].mean())
        assert score.specificity == pytest.approx(1 - found[~is_there].mean())
    assert all((score.sensitivity or 0) >= LEAST_SENSITIVITY for score in gated)
    top = max(score.dice_all for score in scores)
    assert slow_dice(logits, masks, best, presence) == pytest.approx(top, abs=1e-9)


def false_alarms() -> tuple[Floats, Mask]:
    """Twenty lesions that are found, and twenty normal images with one as large."""
    masks = np.zeros((40, *SIZE), np.uint8)
    masks[:20, 10:30, 10:30] = 1
    logits = np.full((40, 1, *SIZE), -9.0, np.float32)
    logits[:, 0, 10:30, 10:30] = 9.0
    return logits, masks


def test_a_gate_that_knows_normal_images_is_chosen() -> None:
    logits, masks = false_alarms()
    presence = np.where(masks.any(axis=(1, 2)), 4.0, -4.0).astype(np.float32)[:, np.newaxis]
    best, scores = choose_operating_point(logits, masks, presence)
    # Of thresholds that all tell the images apart, the one that empties the fewest.
    assert best == OperatingPoint(0.5, 0.0, "all", PRESENCE_THRESHOLDS[0])
    assert max(score.dice_all for score in scores) == 1
    assert choose_operating_point(logits, masks)[0] == OperatingPoint(0.5, 0.0, "all")


def test_a_gate_may_miss_one_lesion_of_twenty_but_not_two() -> None:
    logits, masks = false_alarms()
    presence = np.where(masks.any(axis=(1, 2)), 4.0, -4.0).astype(np.float32)[:, np.newaxis]
    presence[0] = -5.0
    assert choose_operating_point(logits, masks, presence)[0].presence_threshold is not None
    presence[1] = -5.0
    best, scores = choose_operating_point(logits, masks, presence)
    assert best.presence_threshold is None
    assert {score.point.presence_threshold for score in scores} == {None}


def test_a_gate_that_changes_nothing_is_not_chosen() -> None:
    masks = np.zeros((4, *SIZE), np.uint8)
    masks[:2, 10:30, 10:30] = 1
    logits = np.where(masks[:, None] == 1, 9.0, -9.0).astype(np.float32)
    presence = told(masks, 0, noise=0.0)
    assert choose_operating_point(logits, masks, presence)[0] == OperatingPoint(0.5, 0.0, "all")


def test_presence_of_another_number_of_images_is_refused() -> None:
    logits, masks = false_alarms()
    with pytest.raises(ValueError, match=r"expected presence \(40, 1\), got \(39, 1\)"):
        choose_operating_point(logits, masks, np.zeros((39, 1), np.float32))


def scored(dice: float, sensitivity: float | None, specificity: float | None) -> PointScore:
    return PointScore(OperatingPoint(dice), dice, sensitivity, specificity)


def test_screening_takes_the_fewest_false_alarms_among_the_sensitive() -> None:
    best = scored(0.6, 0.96, 0.8)
    others = [scored(0.9, 0.94, 1.0), scored(0.8, 0.99, 0.7), scored(0.5, 0.97, 0.8)]
    assert choose_screening_point([*others, best]) == best
    # Where none is sensitive enough, the most sensitive.
    assert choose_screening_point([scored(0.9, 0.9, 0.2), scored(0.1, 0.8, 1.0)]).dice_all == 0.9
    # Without lesions, or without normal images, the figures that are there decide.
    assert choose_screening_point([scored(0.1, None, 0.2), scored(0.2, None, 0.9)]).dice_all == 0.2
    assert choose_screening_point([scored(0.3, 1.0, None), scored(0.2, 1.0, None)]).dice_all == 0.3
