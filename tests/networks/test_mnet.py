"""The wiring of M-Net against a functional version; its side outputs and counts."""

import torch
from torch import Tensor
from torch.nn import functional as F

from featherseg.compress.cost import count_parameters
from featherseg.networks import build_network
from featherseg.networks.mnet import mnet
from tests.networks.reference import State, block, conv, moved, pair, repeated


def sides(state: State, image: Tensor) -> list[Tensor]:
    """The logits of each level at full size, coarsest first."""
    count, channels, height, width = image.shape
    levels = [pair(state, "encoder.0", image)]
    for level in range(1, 5):
        features = F.max_pool2d(levels[-1], 2)
        if level < 4:
            step = 2**level
            smaller = image.reshape(
                count, channels, height // step, step, width // step, step
            ).mean((3, 5))
            seen = block(state, f"images.{level - 1}.1", smaller)
            features = torch.cat((seen, features), 1)
        levels.append(pair(state, f"encoder.{level}", features))
    features = levels.pop()
    outputs = []
    for level in range(4):
        raised = block(state, f"up.{level}.1", repeated(features))
        features = pair(state, f"decoder.{level}", torch.cat((levels.pop(), raised), 1))
        # Up-sampled before the 1x1 convolution, as in the paper's figure.
        whole = F.interpolate(features, (height, width), mode="bilinear")
        outputs.append(conv(state, f"heads.{level}", whole))
    return outputs


def test_wiring() -> None:
    network = moved("mnet", width=4, out_channels=2)
    image = torch.rand(2, 3, 48, 32)
    with torch.no_grad():
        outputs = sides(network.state_dict(), image)
        assert torch.allclose(network(image), torch.stack(outputs).mean(0), atol=1e-5)


def test_side_outputs() -> None:
    torch.manual_seed(0)
    network = mnet(width=4).eval()
    image = torch.rand(2, 3, 48, 32)
    with torch.no_grad():
        expected = sides(network.state_dict(), image)
        mean, *others = network.forward_with_sides(image)
        assert torch.equal(mean, network(image))
    assert len(others) == 4
    for other, side in zip(others, reversed(expected), strict=True):
        assert torch.allclose(other, side, atol=1e-5)


def test_parameters_above_the_unets() -> None:
    for inputs, outputs, width in ((3, 1, 64), (1, 2, 64), (3, 1, 6)):
        options = {"in_channels": inputs, "out_channels": outputs, "width": width}
        with torch.device("meta"):
            multi, plain = (build_network(name, **options) for name in ("mnet", "unet_1x1up"))
        seen = width // 2
        images = 3 * (9 * inputs * seen + 3 * seen)
        concatenated = 9 * seen * (2 + 4 + 8) * width
        heads = outputs * ((2 + 4 + 8) * width + 3)
        expected = images + concatenated + heads
        assert count_parameters(multi) - count_parameters(plain) == expected


def test_the_narrowest() -> None:
    assert mnet(width=1).eval()(torch.rand(1, 3, 16, 32)).shape == (1, 1, 16, 32)
