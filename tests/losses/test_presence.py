"""The loss of a presence head against its closed form."""

import math

import pytest
import torch

from featherseg.losses import presence_bce


def masks(*labels: int) -> torch.Tensor:
    """One image a label: a single pixel of it, or none for 0."""
    found = torch.zeros(len(labels), 6, 5, dtype=torch.long)
    for place, label in enumerate(labels):
        found[place, 3, 4] = label
    return found


def test_it_is_the_mean_of_minus_log_probability() -> None:
    logits = torch.tensor([[0.7], [-1.2], [2.0], [-0.1]])
    probability = 1 / (1 + torch.exp(-logits.double()[:, 0]))
    truth = [1, 0, 1, 0]
    expected = -sum(
        math.log(float(p) if there else 1 - float(p))
        for p, there in zip(probability, truth, strict=True)
    )
    found = presence_bce(logits, masks(1, 0, 3, 0))
    assert float(found) == pytest.approx(expected / 4, rel=1e-6)


def test_any_label_counts_and_its_size_does_not() -> None:
    logits = torch.tensor([[1.5]])
    full = torch.full((1, 6, 5), 2)
    assert presence_bce(logits, masks(1)) == presence_bce(logits, masks(255))
    assert presence_bce(logits, masks(1)) == presence_bce(logits, full)
    assert presence_bce(logits, masks(0)) > presence_bce(logits, masks(1))


def test_sure_answers_stay_finite_in_half_floats() -> None:
    logits = torch.tensor([[60_000.0], [-60_000.0]], dtype=torch.float16)
    right = presence_bce(logits, masks(1, 0))
    assert right.dtype == torch.float32
    assert float(right) == 0
    assert float(presence_bce(logits, masks(0, 1))) == pytest.approx(60_000, rel=1e-3)


def test_the_gradient_pulls_each_image_to_its_truth() -> None:
    logits = torch.zeros(2, 1, requires_grad=True)
    torch.autograd.backward(presence_bce(logits, masks(1, 0)))
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad, torch.tensor([[-0.25], [0.25]]))
