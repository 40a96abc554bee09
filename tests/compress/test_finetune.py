"""Fine-tuning through 8 bits, against a rounding of its own written here."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from featherseg.compress.finetune import fine_tune
from featherseg.types import Floats
from tests.tiny import blob_images


def images(count: int, seed: int) -> Floats:
    gray, _ = blob_images(count, seed)
    return np.asarray(gray[:, np.newaxis] / np.float32(255), np.float32)


def uneven(gain: float) -> nn.Sequential:
    """A network one channel of which is far larger than the others, to no effect in float."""
    torch.manual_seed(0)
    first, second = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
    last = nn.Conv2d(8, 1, 3, padding=1)
    with torch.no_grad():
        last.weight *= 10
        first.weight[0] *= gain
        assert first.bias is not None
        first.bias[0] *= gain
        second.weight[:, 0] /= gain
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), last).eval()


def rounded_weight(weight: Tensor) -> Tensor:
    """To 255 values, symmetric about 0, with a step for each output channel."""
    step = weight.abs().amax(dim=(1, 2, 3), keepdim=True) / 127
    return (weight / step).round() * step


@torch.no_grad()
def through_8_bits(network: nn.Sequential, batch: Tensor) -> Tensor:
    """Probabilities of a chain of convolutions whose weights and inputs are rounded to 8 bits."""
    for layer in network:
        if isinstance(layer, nn.Conv2d):
            step = (max(batch.max().item(), 0) - min(batch.min().item(), 0)) / 255
            weight = rounded_weight(layer.weight)
            batch = (batch / step).round() * step
            batch = nn.functional.conv2d(batch, weight, layer.bias, padding=1)
        else:
            batch = layer(batch)
    return batch.sigmoid()


def test_without_a_step_the_weights_are_rounded_and_nothing_else() -> None:
    network = uneven(1.0)
    before = copy.deepcopy(network.state_dict())
    tuned = fine_tune(network, images(4, 0), epochs=0)
    assert set(tuned.state_dict()) == set(before)
    for name, was in before.items():
        expected = rounded_weight(was) if name.endswith("weight") else was
        torch.testing.assert_close(tuned.state_dict()[name], expected)
        assert torch.equal(network.state_dict()[name], was)
    assert not tuned.training
    assert isinstance(tuned, nn.Sequential)
    assert [type(each) for each in tuned] == [type(each) for each in network]
    # No rounding of inputs is left behind.
    batch = torch.from_numpy(images(2, 1))
    assert not any(layer._forward_pre_hooks for layer in tuned)
    torch.testing.assert_close(tuned(batch), network(batch), atol=0.05, rtol=0)


@pytest.mark.parametrize("gain", [1.0, 300.0])
def test_a_tuned_network_loses_less_to_8_bits(gain: float) -> None:
    network = uneven(gain)
    tuned = fine_tune(network, images(32, 0))
    assert isinstance(tuned, nn.Sequential)
    fresh = torch.from_numpy(images(8, 9))
    with torch.no_grad():
        exact = network(fresh).sigmoid()
    before = (through_8_bits(network, fresh) - exact).abs().mean().item()
    after = (through_8_bits(tuned, fresh) - exact).abs().mean().item()
    assert after < (0.95 if gain == 1.0 else 0.8) * before


def test_the_same_seed_gives_the_same_network() -> None:
    first, second = (fine_tune(uneven(30.0), images(8, 0), seed=1, epochs=1) for _ in range(2))
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


class Telling(nn.Module):
    """Logits, and whether anything is there, from a layer of its own."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Conv2d(1, 3, 3, padding=1)
        self.presence = nn.Linear(3, 1)

    def forward(self, image: Tensor) -> Tensor:
        return self.forward_with_presence(image)[0]

    def forward_with_presence(self, image: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.body(image)
        return logits, self.presence(logits.mean(dim=(2, 3)))


def test_presence_and_several_labels_are_tuned_too() -> None:
    network = Telling()
    tuned = fine_tune(network, images(8, 0), epochs=2)
    assert isinstance(tuned, Telling)
    before, after = network.state_dict(), tuned.state_dict()
    for name in ("presence.bias", "body.bias"):
        assert not torch.equal(before[name], after[name])
    batch = torch.from_numpy(images(4, 2))
    for one, other in zip(
        tuned.forward_with_presence(batch), network.forward_with_presence(batch), strict=True
    ):
        torch.testing.assert_close(one, other, atol=0.05, rtol=0)
