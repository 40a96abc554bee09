"""U-Net++: nested U-Nets of every depth that share an encoder, with dense skips between them.

Paper: Zhou, Siddiquee, Tajbakhsh, Liang, "UNet++: Redesigning Skip Connections to Exploit
Multiscale Features in Image Segmentation", IEEE Trans. Med. Imaging 39(6), 2020,
doi 10.1109/TMI.2019.2959609. ``unetpp`` is a baseline of LightBTSeg (Guo et al., 2023, Table I),
``unetpp_32`` of AL-Net (Du et al., 2022, doi 10.3389/frsip.2022.842925, Table 5),
``unetpp_transposed`` of LAEDNet (Zhou et al., 2022, Tables 2 to 4).

Departures from the paper:
* One output, that of the deepest U-Net; no deep supervision and no pruning. The three tables'
  counts hold one 1x1 convolution.
* ``unetpp`` and ``unetpp_32`` up-sample bilinearly and normalize; ``unetpp_transposed`` has 2x2
  transposed convolutions and no norms.
* ``width`` scales the whole network: 64 in LightBTSeg and LAEDNet, 32 in AL-Net and in the
  original.

Open in the papers, chosen here: none of the three says which U-Net++ it ran; these are the forms
whose parameters agree. AL-Net's count fits without norms as well (9.156 M against 9.163 M, for
9.16 M); they are kept. Bilinear up-sampling aligns the corners.

Checked against the paper: LightBTSeg 36.6 M parameters (36,629,633) and 552.27 GFLOPs at
512x512 (551.299 G multiply-accumulates of convolutions alone); AL-Net 9.16 M (9,163,329);
LAEDNet 36.15 M (36,157,953 with 3 input channels) (tests/contract).
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from featherseg.networks.blocks import check_sides, check_widths, conv1x1, conv3x3, pair3x3
from featherseg.networks.unet import Pair, encode, encoder_stages, level_widths

_WIDTH = 64
_NARROW = 32

# Builds a node from the channels of the earlier nodes of its row together, of the node below,
# and its own.
NodeBuilder = Callable[[int, int, int], "Node"]


class Node(nn.Module):
    """X^(i,j) of Figure 1: convolves all earlier nodes of its row and the raised one below."""

    def __init__(self, *, up: nn.Module, stage: nn.Module) -> None:
        super().__init__()
        self.up = up
        self.stage = stage

    def forward(self, earlier: Sequence[Tensor], below: Tensor) -> Tensor:
        """Maps of the row (N, C, H, W) and one below (N, D, H/2, W/2) to (N, C, H, W)."""
        features: Tensor = self.stage(torch.cat((*earlier, self.up(below)), dim=1))
        return features


def plain_pair3x3(in_channels: int, out_channels: int) -> nn.Sequential:
    """Two 3x3 convolutions, each with ReLU and no norm."""
    return nn.Sequential(
        conv3x3(in_channels, out_channels),
        nn.ReLU(inplace=True),
        conv3x3(out_channels, out_channels),
        nn.ReLU(inplace=True),
    )


def bilinear_node(earlier: int, below: int, channels: int) -> Node:
    """A node with norms that up-samples bilinearly, which keeps the channels."""
    up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
    return Node(up=up, stage=pair3x3(earlier + below, channels))


def transposed_node(earlier: int, below: int, channels: int) -> Node:
    """A node without norms that up-samples by a 2x2 transposed convolution."""
    up = nn.ConvTranspose2d(below, channels, kernel_size=2, stride=2)
    return Node(up=up, stage=plain_pair3x3(earlier + channels, channels))


class NestedUnet(nn.Module):
    """Rows of nodes, one row a resolution; the first column is the encoder (Figure 1).

    Takes (N, in_channels, H, W) with sides that are multiples of 2^(rows - 1), 16 for five
    rows, else raises ImageError naming the size to pad to, and gives logits
    (N, out_channels, H, W).
    """

    def __init__(
        self,
        *,
        pair: Pair,
        node: NodeBuilder,
        in_channels: int,
        out_channels: int,
        widths: Sequence[int],
    ) -> None:
        super().__init__()
        self.encoder = encoder_stages(in_channels, widths, pair)
        self.places = [
            (row, column) for column in range(1, len(widths)) for row in range(len(widths) - column)
        ]
        self.nodes = nn.ModuleDict(
            {
                f"{row}_{column}": node(column * widths[row], widths[row + 1], widths[row])
                for row, column in self.places
            }
        )
        self.head = conv1x1(widths[0], out_channels)

    def forward(self, image: Tensor) -> Tensor:
        """(N, in_channels, H, W) to logits (N, out_channels, H, W)."""
        check_sides(image.shape[2:], 2 ** (len(self.encoder) - 1))
        # (N, widths[row], H / 2^row, W / 2^row)
        rows = [[features] for features in encode(image, self.encoder)]
        for (row, column), node in zip(self.places, self.nodes.values(), strict=True):
            rows[row].append(node(rows[row], rows[row + 1][column - 1]))
        logits: Tensor = self.head(rows[0][-1])
        return logits


def unetpp(*, in_channels: int = 3, out_channels: int = 1, width: int = _WIDTH) -> NestedUnet:
    """LightBTSeg's U-Net++: bilinear, with norms; 36,629,633 parameters."""
    check_widths("unetpp", in_channels=in_channels, out_channels=out_channels, width=width)
    return NestedUnet(
        pair=pair3x3,
        node=bilinear_node,
        in_channels=in_channels,
        out_channels=out_channels,
        widths=level_widths(width),
    )


def unetpp_32(*, in_channels: int = 3, out_channels: int = 1, width: int = _NARROW) -> NestedUnet:
    """AL-Net's U-Net++: that of LightBTSeg at half the width; 9,163,329 parameters."""
    return unetpp(in_channels=in_channels, out_channels=out_channels, width=width)


def unetpp_transposed(
    *, in_channels: int = 3, out_channels: int = 1, width: int = _WIDTH
) -> NestedUnet:
    """LAEDNet's U-Net++: transposed convolutions, no norms; 36,157,953 parameters."""
    check_widths(
        "unetpp_transposed", in_channels=in_channels, out_channels=out_channels, width=width
    )
    return NestedUnet(
        pair=plain_pair3x3,
        node=transposed_node,
        in_channels=in_channels,
        out_channels=out_channels,
        widths=level_widths(width),
    )
