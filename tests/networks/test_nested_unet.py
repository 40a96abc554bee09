"""U-Net++ without norms against MONAI's, with norms against a functional version."""

from typing import cast

import pytest
import torch
from monai.networks.nets.basic_unetplusplus import BasicUNetPlusPlus
from torch import Tensor

from featherseg.compress.cost import count_parameters
from featherseg.errors import ImageError
from featherseg.networks import build_network
from featherseg.networks.nested_unet import NestedUnet, plain_pair3x3, transposed_node
from tests.networks.reference import State, conv, encoded, moved, pair

NAMES = ("unetpp", "unetpp_32", "unetpp_transposed")


def monais_names(ours: str) -> str:
    """Where MONAI keeps what our state calls so."""
    parts = ours.split(".")
    kind = parts[-1]
    if parts[0] == "head":
        return f"final_conv_0_4.{kind}"
    place = {"0": "conv_0", "2": "conv_1"}.get(parts[-2], "")
    if parts[0] == "encoder":
        convs = "" if parts[1] == "0" else "convs."
        return f"conv_{parts[1]}_0.{convs}{place}.conv.{kind}"
    if parts[2] == "up":
        return f"upcat_{parts[1]}.upsample.deconv.{kind}"
    return f"upcat_{parts[1]}.convs.{place}.conv.{kind}"


def test_transposed_equals_monais() -> None:
    torch.manual_seed(0)
    # At the top MONAI's transposed convolutions keep the channels, hence two equal widths.
    widths = (6, 6, 12, 24, 48)
    theirs = BasicUNetPlusPlus(
        spatial_dims=2,
        in_channels=3,
        out_channels=2,
        features=(*widths, 6),
        act="relu",
        norm=cast(str, None),  # as its layers take it
    )
    ours = NestedUnet(
        pair=plain_pair3x3, node=transposed_node, in_channels=3, out_channels=2, widths=widths
    )
    state = theirs.state_dict()
    ours.load_state_dict({name: state[monais_names(name)] for name in ours.state_dict()})
    image = torch.rand(2, 3, 48, 32)
    with torch.no_grad():
        (expected,) = theirs(image)
        assert expected.std() > 1e-4
        assert torch.allclose(ours(image), expected, atol=1e-6)


def raised(features: Tensor) -> Tensor:
    """Twice the size, bilinear between aligned corners: two products with matrices."""

    def weights(side: int) -> Tensor:
        places = torch.arange(2 * side) * (side - 1) / (2 * side - 1)
        return (1 - (places[:, None] - torch.arange(side)).abs()).clamp(min=0)

    height, width = features.shape[2:]
    return weights(height) @ features @ weights(width).T


def reference(state: State, image: Tensor) -> Tensor:
    x_00, x_10, x_20, x_30, x_40 = encoded(state, image)

    def node(name: str, below: Tensor, *earlier: Tensor) -> Tensor:
        return pair(state, f"nodes.{name}.stage", torch.cat((*earlier, raised(below)), 1))

    x_01, x_11 = node("0_1", x_10, x_00), node("1_1", x_20, x_10)
    x_21, x_31 = node("2_1", x_30, x_20), node("3_1", x_40, x_30)
    x_02, x_12 = node("0_2", x_11, x_00, x_01), node("1_2", x_21, x_10, x_11)
    x_22 = node("2_2", x_31, x_20, x_21)
    x_03, x_13 = node("0_3", x_12, x_00, x_01, x_02), node("1_3", x_22, x_10, x_11, x_12)
    return conv(state, "head", node("0_4", x_13, x_00, x_01, x_02, x_03))


@pytest.mark.parametrize("name", ["unetpp", "unetpp_32"])
def test_wiring(name: str) -> None:
    network = moved(name, width=4)
    image = torch.rand(2, 3, 48, 32)
    with torch.no_grad():
        expected = reference(network.state_dict(), image)
        assert torch.allclose(network(image), expected, atol=1e-5)


def by_hand(name: str, inputs: int, outputs: int, width: int) -> int:
    is_transposed = name == "unetpp_transposed"
    each = 1 if is_transposed else 3  # bias, and a norm's gain and shift
    widths = [width * 2**level for level in range(5)]
    count = width * outputs + outputs
    for row, more in enumerate(widths):
        for column in range(5 - row):
            fewer = inputs if row == 0 else widths[row - 1]
            if column:
                below = widths[row + 1]
                fewer = column * more + (more if is_transposed else below)
                count += (4 * below * more + more) if is_transposed else 0
            count += 9 * (fewer + more) * more + 2 * each * more
    return count


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("inputs", "outputs", "width"), [(3, 1, 64), (1, 4, 24), (4, 2, 1)])
def test_parameters(name: str, inputs: int, outputs: int, width: int) -> None:
    with torch.device("meta"):
        network = build_network(name, in_channels=inputs, out_channels=outputs, width=width)
    assert count_parameters(network) == by_hand(name, inputs, outputs, width)


def test_gray_images_as_laednet_counts_them() -> None:
    with torch.device("meta"):
        network = build_network("unetpp_transposed", in_channels=1)
    assert count_parameters(network) == 36_156_801


def test_sides_follow_the_number_of_rows() -> None:
    network = NestedUnet(
        pair=plain_pair3x3, node=transposed_node, in_channels=1, out_channels=1, widths=(2, 4, 8)
    )
    assert network(torch.rand(1, 1, 4, 12)).shape == (1, 1, 4, 12)
    with pytest.raises(ImageError, match="multiples of 4, got 4x10; pad to 4x12"):
        network(torch.rand(1, 1, 4, 10))
