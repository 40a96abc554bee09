"""The wiring of SK-U-Net against a plain functional version, and its counts."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from featherseg.compress.cost import count_parameters, count_running_statistics
from featherseg.errors import ImageError
from featherseg.networks import build_network
from tests.networks.reference import State, block, conv, moved, normalized


def dilated_block(state: State, prefix: str, features: Tensor) -> Tensor:
    """A 3x3 convolution of every second pixel, each parity of rows and columns on its own."""
    weight, bias = (state[f"{prefix}.convolutions.0.{name}"] for name in ("weight", "bias"))
    count, _, height, width = features.shape
    output = torch.empty(count, len(weight), height, width)
    for row in range(2):
        for column in range(2):
            part = features[:, :, row::2, column::2]
            output[:, :, row::2, column::2] = F.conv2d(part, weight, bias, padding=1)
    return normalized(state, f"{prefix}.norm", output).clamp(min=0)


def dense(state: State, prefix: str, values: Tensor) -> Tensor:
    return values @ state[f"{prefix}.weight"].flatten(1).T + state[f"{prefix}.bias"]


def selective(state: State, prefix: str, features: Tensor) -> Tensor:
    wide = dilated_block(state, f"{prefix}.dilated", features)
    narrow = block(state, f"{prefix}.plain", features)
    hidden = dense(state, f"{prefix}.squeeze.convolutions.0", (wide + narrow).mean((2, 3)))
    hidden = normalized(state, f"{prefix}.squeeze.norm", hidden).clamp(min=0)
    odds = dense(state, f"{prefix}.excite", hidden).exp()[..., None, None]
    return (odds * wide + narrow) / (odds + 1)


def level(state: State, prefix: str, features: Tensor) -> Tensor:
    return selective(state, f"{prefix}.1", selective(state, f"{prefix}.0", features))


def transposed(state: State, prefix: str, features: Tensor) -> Tensor:
    count, _, height, width = features.shape
    weight = state[f"{prefix}.weight"]  # (C, D, 2, 2)
    raised = torch.einsum("nchw,cdij->ndhiwj", features, weight)
    bias = state[f"{prefix}.bias"].view(1, -1, 1, 1)
    return raised.reshape(count, weight.shape[1], 2 * height, 2 * width) + bias


def reference(state: State, image: Tensor) -> Tensor:
    levels = [level(state, "encoder.0", image)]
    for depth in range(1, 5):
        levels.append(level(state, f"encoder.{depth}", F.max_pool2d(levels[-1], 2)))
    features = levels.pop()
    for depth in range(4):
        raised = transposed(state, f"up.{depth}", features)
        features = level(state, f"decoder.{depth}", torch.cat((levels.pop(), raised), 1))
    return conv(state, "head", features)


def test_wiring() -> None:
    network = moved("sk_unet", width=4, out_channels=2)
    image = torch.rand(2, 3, 48, 32)
    with torch.no_grad():
        expected = reference(network.state_dict(), image)
        assert torch.allclose(network(image), expected, atol=1e-5)


def test_parameters_for_gray_images() -> None:
    with torch.device("meta"):
        network = build_network("sk_unet", in_channels=1)
    assert count_parameters(network) == 3_934_977
    assert count_parameters(network) + count_running_statistics(network) == 3_942_337


def test_an_odd_width_has_half_as_many_hidden_units() -> None:
    state = build_network("sk_unet", width=1).state_dict()
    assert [len(state[f"encoder.{depth}.0.excite.bias"]) for depth in range(5)] == [1, 2, 4, 8, 16]
    assert [state[f"encoder.{depth}.0.excite.weight"].shape[1] for depth in range(5)] == [
        *(1, 1, 2, 4, 8)
    ]


def test_other_sides_are_named() -> None:
    with pytest.raises(ImageError, match="multiples of 16, got 50x37; pad to 64x48"):
        build_network("sk_unet", width=1).eval()(torch.rand(1, 3, 50, 37))
