"""Validation scores against the torch-free metrics and post-processing."""

import numpy as np
import pytest
import torch

from featherseg.losses import bce
from featherseg.operating_point import choose_operating_point
from featherseg.postprocess import OperatingPoint, class_probabilities, label_pixels
from featherseg.train.validate import image_dice, predicted_labels, validate


def example(channels: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(6, channels, 9, 8, generator=generator)
    masks = torch.randint(0, max(2, channels), (6, 9, 8), generator=generator)
    masks[0] = 0
    masks[1] = 0
    logits[1, 0] = -9.0 if channels == 1 else 9.0
    return logits, masks


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_labels_are_those_of_post_processing(channels: int) -> None:
    logits, _ = example(channels)
    expected = [label_pixels(class_probabilities(each), 0.5) for each in logits.numpy()]
    assert np.array_equal(predicted_labels(logits).numpy(), np.stack(expected))


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_dice_is_that_of_the_operating_point(channels: int) -> None:
    logits, masks = example(channels)
    _, scores = choose_operating_point(logits.numpy(), masks.numpy().astype(np.uint8))
    expected = next(each.dice_all for each in scores if each.point == OperatingPoint())
    assert float(image_dice(logits, masks).mean()) == pytest.approx(expected, abs=1e-6)
    assert float(image_dice(logits, masks)[1]) == 1.0


def test_scores_weigh_batches_by_their_images() -> None:
    logits, masks = example(1)
    network = torch.nn.Identity()
    batches = [(logits[:5], masks[:5]), (logits[5:], masks[5:])]
    scores = validate(network, batches, bce)
    assert scores.loss == pytest.approx(float(bce(logits, masks)), rel=1e-5)
    assert scores.dice == pytest.approx(float(image_dice(logits, masks).mean()))
    assert not network.training
