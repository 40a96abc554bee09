"""The wiring of NAS-Unet against an interpreter of the published cells, and its counts."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from featherseg.compress.cost import count_parameters
from featherseg.networks import build_network

State = dict[str, Tensor]
EPS = 1e-5
# The cells as their authors publish them: operation and input of each half of the four nodes.
# Inputs 0 and 1 are the cell's, 2 to 4 its nodes.
DOWN = (
    *(("down_dil_conv", 1), ("down_cweight", 0)),
    *(("down_cweight", 0), ("down_cweight", 1)),
    *(("down_cweight", 0), ("conv", 3)),
    *(("down_cweight", 0), ("conv", 4)),
)
UP = (
    *(("cweight", 0), ("up_cweight", 1)),
    *(("conv", 2), ("up_cweight", 1)),
    *(("up_cweight", 1), ("conv", 3)),
    *(("up_cweight", 1), ("conv", 4)),
)
# Where the weights of these operations are in our cells.
DOWN_NAMES = (
    *("dilated", "weights.0", "weights.1", "weight"),
    *("weights.2", "convolutions.0", "weights.3", "convolutions.1"),
)
UP_NAMES = (
    *("operations.0", "weights.0", "operations.1", "weights.1"),
    *("weights.2", "operations.2", "weights.3", "operations.3"),
)


def normalized(state: State, prefix: str, features: Tensor) -> Tensor:
    """Group norm of 16 channels a group."""
    count, channels, height, width = features.shape
    groups = features.reshape(count, channels // 16, 16, height, width)
    mean = groups.mean((2, 3, 4), keepdim=True)
    variance = groups.var((2, 3, 4), unbiased=False, keepdim=True)
    flat = ((groups - mean) / (variance + EPS).sqrt()).flatten(1, 2)
    gain, shift = (state[f"{prefix}.{name}"].view(1, -1, 1, 1) for name in ("weight", "bias"))
    return flat * gain + shift


def weighed(state: State, prefix: str, features: Tensor) -> Tensor:
    mean = features.mean((2, 3))
    for layer in ("squeeze", "excite"):
        weight, bias = (state[f"{prefix}.weights.{layer}.{name}"] for name in ("weight", "bias"))
        mean = F.linear(mean.clamp(min=0) if layer == "excite" else mean, weight[..., 0, 0], bias)
    return features * mean.sigmoid()[..., None, None]


def applied(state: State, operation: str, prefix: str, features: Tensor) -> Tensor:
    if operation == "cweight":
        return weighed(state, prefix, features)
    if operation == "down_cweight":
        features = F.conv2d(
            weighed(state, prefix, features), state[f"{prefix}.resize.0.weight"], None, 2, 1
        )
        return normalized(state, f"{prefix}.resize.1", features)
    if operation == "up_cweight":
        features = F.conv_transpose2d(
            weighed(state, prefix, features), state[f"{prefix}.resize.0.weight"], None, 2, 1
        )
        return normalized(state, f"{prefix}.resize.1", features)
    stride = 2 if operation == "down_dil_conv" else 1
    features = F.conv2d(
        features, state[f"{prefix}.0.weight"], None, stride, padding=stride, dilation=stride
    )
    return normalized(state, f"{prefix}.1", features).clamp(min=0)


def projected(state: State, prefix: str, features: Tensor, stride: int = 1) -> Tensor:
    weight = state[f"{prefix}.1.weight"]
    return normalized(state, f"{prefix}.2", F.conv2d(features.clamp(min=0), weight, None, stride))


def nodes(
    state: State,
    prefix: str,
    inputs: tuple[Tensor, Tensor],
    genes: tuple[tuple[str, int], ...],
    names: tuple[str, ...],
) -> Tensor:
    states = list(inputs)
    halves = list(zip(genes, names, strict=True))
    for left, right in zip(halves[::2], halves[1::2], strict=True):
        first, second = (
            applied(state, operation, f"{prefix}.{name}", states[place])
            for (operation, place), name in (left, right)
        )
        larger = max(first.shape[2:], second.shape[2:])
        states.append(F.interpolate(first, larger) + F.interpolate(second, larger))
    return torch.cat(states[2:], 1)


def reference(state: State, image: Tensor) -> Tensor:
    full = F.conv2d(image, state["stem.0.weight"])
    half = F.conv2d(image, state["strided_stem.0.weight"], None, 2, 1)
    outputs = [normalized(state, "stem.1", full), normalized(state, "strided_stem.1", half)]
    for depth in range(6):
        prefix = f"encoder.{depth}"
        inputs = (
            projected(state, f"{prefix}.before", outputs[-2], stride=2),
            projected(state, f"{prefix}.previous", outputs[-1]),
        )
        outputs.append(nodes(state, prefix, inputs, DOWN, DOWN_NAMES))
    features = outputs[-1]
    for depth in range(7):
        prefix = f"decoder.{depth}"
        inputs = (
            projected(state, f"{prefix}.skip", outputs[-2 - depth]),
            projected(state, f"{prefix}.below", features),
        )
        features = nodes(state, prefix, inputs, UP, UP_NAMES)
    logits = F.conv2d(features, state["head.0.weight"])
    scale, shift = (state[f"head.1.{name}"].view(1, -1, 1, 1) for name in ("weight", "bias"))
    return scale * logits + shift


@pytest.mark.parametrize("size", [(64, 96), (50, 37)])
def test_wiring(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = build_network("nas_unet", width=32, out_channels=2)
    image = torch.rand(2, 3, *size)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        expected = reference(network.state_dict(), image)
        assert torch.allclose(network(image), expected, rtol=1e-4, atol=1e-4)


def test_parameters_with_other_channels() -> None:
    # Those of the public code.
    counts = {(1, 1): 2_287_733, (1, 2): 2_287_927, (3, 1): 2_291_573}
    for (inputs, outputs), count in counts.items():
        with torch.device("meta"):
            network = build_network("nas_unet", in_channels=inputs, out_channels=outputs)
        assert count_parameters(network) == count


def test_widths_that_are_no_multiples_of_16_have_one_group() -> None:
    network = build_network("nas_unet", width=9).eval()
    groups = {
        module.num_channels: module.num_groups
        for module in network.modules()
        if isinstance(module, torch.nn.GroupNorm)
    }
    assert groups == {9: 1, 36: 1}
    assert network(torch.rand(1, 3, 20, 20)).shape == (1, 1, 20, 20)
