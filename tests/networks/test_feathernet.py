"""FeatherNet: its blocks and decoder against slow forms written here, and its presence head."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from featherseg.compress.cost import count_parameters
from featherseg.compress.fuse import fuse, reparameterize
from featherseg.errors import ImageError, RecipeError
from featherseg.networks import build_network
from featherseg.networks.feathernet import FeatherBlock, FeatherNet, GlobalContext, feathernet

LIMITS = {"feathernet_s": 2_200_000, "feathernet_m": 4_000_000}


def used(block: FeatherBlock, channels: int) -> FeatherBlock:
    """A block in eval mode whose running statistics and gains are its own."""
    torch.manual_seed(3)
    for norm in (block.norm3x3, block.norm):
        nn.init.uniform_(norm.weight, 0.5, 2)
        nn.init.normal_(norm.bias)
    for _ in range(4):
        block(torch.randn(4, channels, 8, 8))
    return block.eval()


def normed(norm: nn.BatchNorm2d, features: Tensor) -> Tensor:
    """Batch norm in evaluation, from its definition."""
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None
    assert variance is not None
    gain = norm.weight / torch.sqrt(variance + norm.eps)
    shift = norm.bias - gain * mean
    return gain.view(1, -1, 1, 1) * features + shift.view(1, -1, 1, 1)


@pytest.mark.parametrize(
    ("inputs", "outputs", "stride", "dilation"),
    [(5, 5, 1, 1), (5, 7, 1, 1), (4, 4, 2, 1), (4, 6, 2, 1), (5, 5, 1, 2), (3, 3, 1, 4)],
)
def test_a_block_is_its_formula_and_merges_to_one_convolution(
    inputs: int, outputs: int, stride: int, dilation: int
) -> None:
    block = used(FeatherBlock(inputs, outputs, stride=stride, dilation=dilation), inputs).double()
    features = torch.randn(2, inputs, 8, 12, dtype=torch.float64)
    wide = F.conv2d(features, block.conv3x3.weight, None, stride, dilation, dilation)
    thin = F.conv2d(features, block.conv1x1.weight, None, stride)
    total = normed(block.norm3x3, wide) + thin
    if stride == 1 and inputs == outputs:
        total = total + features
    expected = normed(block.norm, total).relu()
    torch.testing.assert_close(block(features), expected)
    merged = block.merged()
    torch.testing.assert_close(merged(features), expected)
    kinds = [type(each) for each in merged.modules()]
    assert kinds.count(nn.Conv2d) == kinds.count(nn.BatchNorm2d) == 1
    torch.testing.assert_close(merged.fused()(features), expected)
    # The block itself was not changed.
    torch.testing.assert_close(block(features), expected)


def test_a_fused_network_is_a_chain_of_convolutions_with_relu() -> None:
    network = fuse(build_network("feathernet_s", width=8))
    kinds = {type(each) for each in network.modules() if not list(each.children())}
    assert kinds == {nn.Conv2d, nn.ReLU, nn.Linear}
    convolutions = [each for each in network.modules() if isinstance(each, nn.Conv2d)]
    # Stem; strided and following ones; context; three laterals; decoder; head.
    assert len(convolutions) == 1 + 6 + 1 + 3 + 3 + 1
    assert all(each.groups == 1 for each in convolutions)


@pytest.mark.parametrize("name", LIMITS)
def test_sizes_stay_below_their_limits_in_both_forms(name: str) -> None:
    with torch.device("meta"):
        network = build_network(name)
        widths = {
            each.out_channels for each in network.modules() if isinstance(each, nn.Conv2d)
        } - {16}  # the head's
    assert count_parameters(reparameterize(network)) < count_parameters(network) < LIMITS[name]
    assert all(width % 64 == 0 for width in widths)


def test_the_decoder_is_sums_of_repeated_pixels() -> None:
    torch.manual_seed(0)
    network = feathernet(factors=(1, 2, 3, 3), depths=(1, 1, 1), width=4).eval()
    image = torch.rand(2, 3, 64, 96)
    cells = image.view(2, 3, 16, 4, 24, 4).permute(0, 1, 3, 5, 2, 4).reshape(2, 48, 16, 24)
    maps = [network.stem(cells)]
    for stage in network.stages:
        maps.append(stage(maps[-1]))
    assert [each.shape[1:] for each in maps] == [
        (4, 16, 24),
        (8, 8, 12),
        (12, 4, 6),
        (12, 2, 3),
    ]
    deep = network.context(maps[3])
    features = network.laterals[2](deep)
    for level, lateral in ((2, network.laterals[1]), (1, network.laterals[0]), (0, None)):
        raised = features.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        skip = maps[level] if lateral is None else lateral(maps[level])
        features = network.decoder[2 - level](raised + skip)
    spread = network.head(features).view(2, 4, 4, 16, 24).permute(0, 3, 1, 4, 2)
    logits, presence = network.forward_with_presence(image)
    torch.testing.assert_close(logits, spread.reshape(2, 1, 64, 96))
    assert torch.equal(network(image), logits)
    pooled = torch.cat((deep.flatten(2).mean(2), deep.flatten(2).max(2).values), dim=1)
    expected = pooled @ network.presence.classify.weight.T + network.presence.classify.bias
    torch.testing.assert_close(presence, expected)


def test_context_reaches_every_position_from_any_other() -> None:
    torch.manual_seed(0)
    context = GlobalContext(6)
    nn.init.uniform_(context.project.weight, 0.1, 1)
    features = torch.rand(1, 6, 9, 9, requires_grad=True)
    context(features)[0, :, 0, 0].sum().backward()
    assert features.grad is not None
    assert (features.grad[0, :, 8, 8] != 0).all()


def test_presence_of_each_image_is_its_own() -> None:
    torch.manual_seed(0)
    network = build_network("feathernet_s", width=8).eval()
    assert isinstance(network, FeatherNet)
    images = torch.rand(3, 3, 64, 64)
    _, presence = network.forward_with_presence(images)
    assert presence.shape == (3, 1)
    for image, expected in zip(images, presence, strict=True):
        alone = network.forward_with_presence(image.unsqueeze(0))[1]
        torch.testing.assert_close(alone[0], expected)


def test_sides_and_widths_are_checked() -> None:
    network = build_network("feathernet_m", width=8)
    with pytest.raises(ImageError, match="multiples of 32, got 48x64; pad to 64x64"):
        network(torch.zeros(1, 3, 48, 64))
    with pytest.raises(RecipeError, match="width must be a positive integer"):
        build_network("feathernet_s", width=0)
    with pytest.raises(RecipeError, match="has no option 'depths'"):
        build_network("feathernet_s", depths=(1, 1, 1))
