"""What is caught of a network's answer, and what is made of it."""

import pytest
import torch
from torch import Tensor, nn

from featherseg.networks import build_network
from featherseg.train.signals import Answer, answer, attention, foreground_logits, probabilities


class Backwards(nn.Module):
    """Its head is declared first and executed last."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(4, 1, 1)
        self.body = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.body(images).relu()
        logits: Tensor = self.head(features)
        return logits


def test_features_are_what_the_last_executed_convolution_is_given() -> None:
    torch.manual_seed(0)
    network, images = Backwards(), torch.rand(2, 3, 8, 8)
    found = answer(network, images)
    assert found.features is not None
    assert torch.equal(found.features, network.body(images).relu())
    assert torch.equal(found.logits, network.head(found.features))
    torch.autograd.backward(found.features.sum())
    assert network.body.weight.grad is not None
    assert not any(each._forward_pre_hooks for each in network.modules())


def test_hooks_go_when_a_network_fails() -> None:
    network = Backwards()
    with pytest.raises(RuntimeError):
        answer(network, torch.rand(2, 5, 8, 8))
    assert not any(each._forward_pre_hooks for each in network.modules())


def test_a_network_of_ours_gives_the_features_of_its_head() -> None:
    network = build_network("simplified_unet", width=2).eval()
    images = torch.rand(1, 3, 32, 32)
    found = answer(network, images)
    assert found.features is not None
    with torch.no_grad():
        again = network.get_submodule("head")(found.features)
    assert torch.allclose(again, found.logits, atol=1e-6)


def test_a_network_without_convolutions_has_no_features() -> None:
    found = answer(nn.Identity(), torch.rand(1, 1, 4, 4))
    assert found.features is None
    with pytest.raises(TypeError, match="attention needs a network with a convolution"):
        attention([found])


def test_attention_of_networks_of_several_sizes() -> None:
    torch.manual_seed(0)
    logits = torch.zeros(2, 1, 8, 8)
    small, large = torch.rand(2, 5, 4, 4), torch.rand(2, 3, 8, 8)
    found = attention([Answer(logits, small), Answer(logits, large)])
    assert found.shape == (2, 1, 8, 8)
    expected = torch.zeros(2, 8, 8)
    for features in (small, large):
        step = 8 // features.shape[2]
        for image in range(2):
            strength = torch.zeros(8, 8)
            for row in range(8):
                for column in range(8):
                    values = features[image, :, row // step, column // step]
                    strength[row, column] = (values * values).sum()
            level = (strength * strength).mean() ** 0.5
            expected[image] += strength / level / 2
    assert torch.allclose(found[:, 0], expected, atol=1e-5)
    dead = attention([Answer(logits, torch.zeros(2, 5, 4, 4))])
    assert torch.equal(dead, torch.zeros(2, 1, 8, 8))


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_logits_have_the_probabilities_they_were_made_of(channels: int) -> None:
    torch.manual_seed(0)
    logits = 3 * torch.randn(2, channels, 5, 5)
    foreground = probabilities([Answer(logits, None)])
    assert foreground.shape[1] == max(1, channels - 1)
    made = foreground_logits(foreground, channels)
    assert torch.allclose(probabilities([Answer(made, None)]), foreground, atol=1e-6)
    if channels == 1:
        assert torch.allclose(made, logits, atol=2e-3)


@pytest.mark.parametrize("channels", [1, 2])
def test_certain_probabilities_have_finite_logits(channels: int) -> None:
    certain = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2)
    made = foreground_logits(certain, channels)
    assert bool(torch.isfinite(made).all())
    assert bool((made[:, -1, 0, 1] > made[:, -1, 0, 0] + 5).all())


def test_a_sigmoid_teaches_a_softmax_of_two_labels() -> None:
    torch.manual_seed(0)
    logit = torch.randn(2, 1, 5, 5)
    foreground = probabilities([Answer(logit, None)])
    both = foreground_logits(foreground, 2)
    assert torch.allclose(both[:, 1:] - both[:, :1], logit, atol=1e-4)
