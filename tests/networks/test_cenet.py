"""The wiring of CE-Net against a plain functional version read off its figures."""

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from featherseg.compress.cost import count_macs, count_parameters
from featherseg.errors import RecipeError
from featherseg.networks import build_network
from tests.networks.reference import State, normalized

ENCODER = "test_resnet"
DEEP = 96


def conv(state: State, prefix: str, features: Tensor, dilation: int = 1) -> Tensor:
    weight, bias = state[f"{prefix}.weight"], state[f"{prefix}.bias"]
    padding = dilation * (weight.shape[2] // 2)
    return F.conv2d(features, weight, bias, padding=padding, dilation=dilation)


def atrous(state: State, features: Tensor) -> Tensor:
    """Four cascades, each computed anew from the input."""

    def cascade(*places: int) -> Tensor:
        output = features
        for place in places:
            output = conv(state, f"atrous.dilated.{place}", output, dilation=2 * place + 1)
        return output

    def point(output: Tensor) -> Tensor:
        return conv(state, "atrous.point", output)

    first = F.relu(cascade(0))
    others = (F.relu(point(cascade(*places))) for places in ((1,), (0, 1), (0, 1, 2)))
    return features + first + sum(others)


def largest(features: Tensor, side: int) -> Tensor:
    """The largest value of every window of `side`, the last ones cut at the border."""
    rows = [features[:, :, row : row + side] for row in range(0, features.shape[2], side)]
    maxima = [
        torch.stack(
            [
                row[:, :, :, column : column + side].amax(dim=(2, 3))
                for column in range(0, row.shape[3], side)
            ],
            dim=2,
        )
        for row in rows
    ]
    return torch.stack(maxima, dim=2)


def pooled(state: State, features: Tensor) -> Tensor:
    context = [
        F.interpolate(
            conv(state, "pooling.point", largest(features, side)),
            size=features.shape[2:],
            mode="bilinear",
            align_corners=False,
        )
        for side in (2, 3, 5, 6)
    ]
    return torch.cat((*context, features), dim=1)


def decoder_block(state: State, prefix: str, features: Tensor) -> Tensor:
    for place in range(3):
        convolution = f"{prefix}.{place}.convolutions.0"
        if place == 1:
            weight, bias = state[f"{convolution}.weight"], state[f"{convolution}.bias"]
            features = F.conv_transpose2d(features, weight, bias, 2, 1, output_padding=1)
        else:
            features = conv(state, convolution, features)
        features = F.relu(normalized(state, f"{prefix}.{place}.norm", features))
    return features


def reference(state: State, maps: list[Tensor], size: tuple[int, int]) -> Tensor:
    features = pooled(state, atrous(state, maps[4]))
    for place, level in enumerate((3, 2, 1)):
        features = decoder_block(state, f"decoder.{place}", features)
        height, width = maps[level].shape[2:]
        features = features[:, :, :height, :width] + maps[level]
    features = decoder_block(state, "decoder.3", features)
    features = features[:, :, : maps[0].shape[2], : maps[0].shape[3]]
    features = F.conv_transpose2d(features, state["head.0.weight"], state["head.0.bias"], 2, 1)
    features = F.relu(conv(state, "head.2", F.relu(features)))
    return conv(state, "head.4", features)[:, :, : size[0], : size[1]]


@pytest.mark.parametrize("size", [(64, 96), (37, 50), (230, 300)])
def test_wiring(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = build_network("cenet", encoder=ENCODER).double()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    network(torch.rand(4, 3, 64, 64, dtype=torch.float64))
    state = network.eval().state_dict()
    encoder = timm.create_model(ENCODER, features_only=True).double().eval()
    prefix = "encoder.model."
    own = {key.removeprefix(prefix): value for key, value in state.items() if prefix in key}
    encoder.load_state_dict(own)
    image = torch.rand(1, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        expected = reference(state, encoder(image), size)
        assert torch.allclose(network(image), expected, atol=1e-9)


def test_parameters_and_cost_in_parts() -> None:
    with torch.device("meta"):
        network = build_network("cenet", in_channels=1, out_channels=2)
    counts = {name: count_parameters(part) for name, part in network.named_children()}
    assert counts["encoder"] == 21_284_672 - 2 * 64 * 49  # ResNet-34 without classifier, gray
    assert counts["atrous"] == 3 * (9 * 512**2 + 512) + 512**2 + 512
    assert counts["pooling"] == 513
    assert counts["head"] == 16 * 64 * 32 + 32 + 9 * 32 * 32 + 32 + 9 * 32 * 2 + 2
    widths = ((516, 256), (256, 128), (128, 64), (64, 64))
    assert counts["decoder"] == sum(
        (before * inner + 3 * inner) + (9 * inner**2 + 3 * inner) + (inner * after + 3 * after)
        for before, after in widths
        for inner in (before // 4,)
    )


def test_no_cascade_is_computed_twice() -> None:
    """The second 3x3 convolution runs twice, the others once, the 1x1 three times."""
    network = build_network("cenet", encoder=ENCODER).to("meta")
    cost = count_macs(network, (512, 512))
    network.set_submodule("atrous", nn.Identity())
    assert cost - count_macs(network, (512, 512)) == (4 * 9 + 3) * DEEP**2 * 16**2


def test_encoders_need_five_stages() -> None:
    with torch.device("meta"), pytest.raises(RecipeError, match=r"cenet: expected .* got 4"):
        build_network("cenet", encoder="convnext_atto")
