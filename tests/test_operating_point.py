"""The grid search against post-processing, point by point."""

import cv2
import numpy as np
import pytest

from featherseg.operating_point import choose_operating_point, grid
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


def slow_dice(logits: Floats, masks: Mask, point: OperatingPoint) -> float:
    """Mean Dice over images and labels of what `postprocess` gives; both empty is 1."""
    scores = []
    for image, truth in zip(logits, masks, strict=True):
        found, _ = postprocess(image, Geometry(SIZE, SIZE), point)
        for label in range(1, max(2, len(image))):
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
