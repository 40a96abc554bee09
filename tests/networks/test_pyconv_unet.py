"""The wiring of the approximated PyConvU-Net against a plain functional version."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from featherseg.compress.cost import count_parameters
from featherseg.errors import RecipeError
from featherseg.networks import build_network
from tests.networks.reference import State, normalized


def pyramid(state: State, prefix: str, features: Tensor) -> Tensor:
    """3x3, and 5x5 in four groups where these fit, half of the channels each; norm; ReLU."""
    inputs = features.shape[1]
    branches = []
    for place, (side, groups) in enumerate(((3, 1), (5, 4))):
        weight = state[f"{prefix}.levels.{place}.convolutions.0.weight"]
        assert weight.shape[2:] == (side, side)
        fitting = next(g for g in (4, 2, 1) if groups % g == inputs % g == len(weight) % g == 0)
        padding = side // 2
        branch = F.conv2d(features, weight, padding=padding, groups=fitting)
        branches.append(normalized(state, f"{prefix}.levels.{place}.norm", branch))
    return torch.cat(branches, dim=1).clamp(min=0)


def pair(state: State, prefix: str, features: Tensor) -> Tensor:
    return pyramid(state, f"{prefix}.1", pyramid(state, f"{prefix}.0", features))


@pytest.mark.parametrize("width", [8, 6])
def test_wiring(width: int) -> None:
    torch.manual_seed(0)
    network = build_network("pyconv_unet", width=width)
    for _ in range(2):
        network(torch.rand(2, 3, 32, 32))
    state = network.eval().state_dict()
    image = torch.rand(2, 3, 32, 48)
    with torch.no_grad():
        maps = [pair(state, "encoder.0", image)]
        for level in range(1, 5):
            maps.append(pair(state, f"encoder.{level}", F.max_pool2d(maps[-1], 2)))
        features = maps.pop()
        for level in range(4):
            raised = F.interpolate(features, scale_factor=2, mode="bilinear", align_corners=True)
            features = pair(state, f"decoder.{level}", torch.cat((maps.pop(), raised), dim=1))
        expected = F.conv2d(features, state["head.weight"], state["head.bias"])
        assert torch.allclose(network(image), expected, atol=1e-5)


@pytest.mark.parametrize(("width", "inputs", "outputs"), [(32, 1, 2), (48, 4, 1)])
def test_parameters_of_other_widths(width: int, inputs: int, outputs: int) -> None:
    widths = [width * wider for wider in (1, 2, 4, 8, 8)]
    layers = [(before, after) for before, after in zip([inputs, *widths], widths, strict=False)]
    layers += [(after, after) for after in widths]
    for channels, skip in zip(widths[3::-1], (4 * width, 2 * width, width, width), strict=True):
        layers += [(2 * channels, channels), (channels, skip)]
    expected = (width + 1) * outputs
    for before, after in layers:
        groups = math.gcd(4, before, after // 2)
        half = after // 2
        expected += 9 * before * half + 25 * (before // groups) * half + 2 * after
    with torch.device("meta"):
        network = build_network(
            "pyconv_unet", width=width, in_channels=inputs, out_channels=outputs
        )
    assert count_parameters(network) == expected


def test_width_must_hold_both_levels() -> None:
    with pytest.raises(RecipeError, match=r"pyconv_unet: width must be at least 2, .* got 1"):
        build_network("pyconv_unet", width=1)
