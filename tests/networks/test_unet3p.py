"""The wiring of U-Net3+ against a functional version; deep supervision and counts."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from featherseg.compress.cost import count_parameters
from featherseg.errors import RecipeError
from featherseg.networks import build_network, network_options
from featherseg.networks.unet3p import unet3p
from tests.networks.reference import State, block, conv, encoded


def resized(features: Tensor, like: Tensor) -> Tensor:
    """To a smaller size by the largest value, to a larger one bilinearly."""
    step = features.shape[2] // like.shape[2]
    if step > 1:
        windows = features.unfold(2, step, step).unfold(3, step, step)
        return windows.amax((4, 5))
    return F.interpolate(features, like.shape[2:], mode="bilinear", align_corners=False)


def outputs(state: State, image: Tensor) -> list[Tensor]:
    """Logits of the five levels at full size, finest first."""
    e1, e2, e3, e4, e5 = encoded(state, image)

    def node(place: int, like: Tensor, *sources: Tensor) -> Tensor:
        prefix = f"decoder.{place}"
        branches = [
            block(state, f"{prefix}.branches.{number}.1", resized(source, like))
            for number, source in enumerate(sources)
        ]
        return block(state, f"{prefix}.fusion", torch.cat(branches, 1))

    d4 = node(0, e4, e1, e2, e3, e4, e5)
    d3 = node(1, e3, e1, e2, e3, d4, e5)
    d2 = node(2, e2, e1, e2, d3, d4, e5)
    d1 = node(3, e1, e1, d2, d3, d4, e5)
    sides = [conv(state, f"sides.{place}", d) for place, d in enumerate((d2, d3, d4, e5))]
    return [conv(state, "head", d1), *(resized(side, image) for side in sides)]


def test_wiring() -> None:
    torch.manual_seed(0)
    network = unet3p(width=4, out_channels=2, deep_supervision=True)
    for _ in range(2):
        network(torch.rand(2, 3, 32, 32))
    network.eval()
    image = torch.rand(2, 3, 48, 32)
    with torch.no_grad():
        expected = outputs(network.state_dict(), image)
        sides = network.forward_with_sides(image)
        assert torch.equal(network(image), sides[0])
    for side, other in zip(sides, expected, strict=True):
        assert side.shape == (2, 2, 48, 32)
        assert torch.allclose(side, other, atol=1e-5)


def test_side_outputs_are_an_option() -> None:
    assert network_options("unet3p")["deep_supervision"] is False
    with pytest.raises(RecipeError, match="side outputs with deep_supervision=True only"):
        unet3p(width=2).forward_with_sides(torch.rand(1, 3, 16, 16))
    with pytest.raises(RecipeError, match="deep_supervision must be true or false, got 1"):
        build_network("unet3p", deep_supervision=1)


def test_counts_with_deep_supervision() -> None:
    with torch.device("meta"):
        network = build_network("unet3p", deep_supervision=True)
    assert count_parameters(network) == 26_989_637


def by_hand(inputs: int, outputs: int, width: int) -> int:
    widths = [width * 2**level for level in range(5)]
    node = 5 * width
    count = 9 * node * outputs + outputs
    for fewer, more in zip([inputs, *widths[:4]], widths, strict=True):
        count += 9 * (fewer + more) * more + 6 * more
    for level in range(4):
        sources = sum(widths[: level + 1]) + (3 - level) * node + widths[4]
        count += 9 * sources * width + 5 * 3 * width + 9 * node * node + 3 * node
    return count


@pytest.mark.parametrize(("inputs", "outputs", "width"), [(3, 1, 64), (1, 4, 24), (4, 2, 1)])
def test_parameters(inputs: int, outputs: int, width: int) -> None:
    with torch.device("meta"):
        network = build_network("unet3p", in_channels=inputs, out_channels=outputs, width=width)
    assert count_parameters(network) == by_hand(inputs, outputs, width)
