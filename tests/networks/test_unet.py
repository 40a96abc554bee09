"""The wiring of the plain U-Nets against a functional version, and their counts by hand."""

import pytest
import torch
from torch import Tensor

from featherseg.compress.cost import count_parameters
from featherseg.networks import build_network
from tests.networks.reference import State, block, conv, encoded, moved, pair, repeated


def reference(state: State, image: Tensor) -> Tensor:
    levels = encoded(state, image)
    features = levels.pop()
    for level in range(4):
        raised = block(state, f"up.{level}.1", repeated(features))
        features = pair(state, f"decoder.{level}", torch.cat((levels.pop(), raised), 1))
    return conv(state, "head", features)


@pytest.mark.parametrize(
    ("name", "kernel"), [("unet", 3), ("simplified_unet", 3), ("unet_1x1up", 1)]
)
def test_wiring(name: str, kernel: int) -> None:
    network = moved(name, width=4)
    state = network.state_dict()
    assert state["up.2.1.convolutions.0.weight"].shape == (8, 16, kernel, kernel)
    image = torch.rand(2, 3, 48, 32)
    with torch.no_grad():
        assert torch.allclose(network(image), reference(state, image), atol=1e-5)


def by_hand(inputs: int, outputs: int, width: int, kernel: int) -> int:
    def conv_norm(fewer: int, more: int, side: int = 3) -> int:
        return side * side * fewer * more + 3 * more

    widths = [width, 2 * width, 4 * width, 8 * width, 16 * width]
    count = 0
    for fewer, more in zip([inputs, *widths[:4]], widths, strict=True):
        count += conv_norm(fewer, more) + conv_norm(more, more)
    for more in widths[:4]:
        count += conv_norm(2 * more, more, kernel)
        count += conv_norm(2 * more, more) + conv_norm(more, more)
    return count + width * outputs + outputs


@pytest.mark.parametrize(
    ("name", "kernel"), [("unet", 3), ("simplified_unet", 3), ("unet_1x1up", 1)]
)
@pytest.mark.parametrize(("inputs", "outputs", "width"), [(3, 1, 64), (1, 4, 24), (4, 2, 1)])
def test_parameters(name: str, kernel: int, inputs: int, outputs: int, width: int) -> None:
    with torch.device("meta"):
        network = build_network(name, in_channels=inputs, out_channels=outputs, width=width)
    assert count_parameters(network) == by_hand(inputs, outputs, width, kernel)


def test_gray_images_as_laednet_counts_them() -> None:
    with torch.device("meta"):
        network = build_network("unet_1x1up", in_channels=1)
    statistics = sum(value.numel() for value in network.buffers() if value.is_floating_point())
    assert count_parameters(network) + statistics == 28_969_025
