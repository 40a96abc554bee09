"""What the papers' tables say of each network's size, and how ours compares.

GFLOPs in these papers are multiply-accumulates; MB is the size of a float32 state file.
"""

from dataclasses import dataclass, replace
from typing import Literal

# exact: every digit printed; match: rounds to the printed digits, or misses them by less than
# 0.1 %; fit: the text leaves the structure open, and ours is the reading whose size comes
# nearest; no match: no reading does; ours: designed here, nothing to compare with.
Status = Literal["exact", "match", "fit", "no match", "ours"]
# What the paper's figure counts: trainable values, these and running statistics (Keras), or
# trainable values after the branches of RepVGG blocks are merged.
Counted = Literal["parameters", "total", "reparameterized"]

LIGHTER = "Lighter U-net (ISBI 2021)"
LAEDNET = "LAEDNet (2022)"
ALNET = "AL-Net (2022)"
LIGHTBTSEG = "LightBTSeg (2023)"
T2KD = "T2KD Attention U-Net (2025)"
OURS = "FeatherNet (ours)"


@dataclass(frozen=True)
class Published:
    """A row of a paper's table; None where the table has no such column."""

    paper: str
    table: str
    parameters: int
    gflops: float | None = None
    mb: float | None = None
    counted: Counted = "parameters"


@dataclass(frozen=True)
class Facts:
    """A network's own paper, the (height, width) its cost is counted at, and published rows."""

    paper: str
    input_size: tuple[int, int]
    published: tuple[Published, ...]
    status: Status
    note: str = ""


def _lighter(parameters: int, note: str = "") -> Facts:
    row = Published(LIGHTER, "Table 2", parameters)
    return Facts(LIGHTER, (256, 256), (row,), "exact", note)


def _fcn(note: str = "") -> Facts:
    row = Published(LIGHTER, "section 4.1", 18_600_000)
    return Facts(LIGHTER, (256, 256), (row,), "match", note)


def _laednet(millions: float, status: Status, note: str = "", table: str = "Table 2") -> Facts:
    row = Published(LAEDNET, table, round(millions * 1e6), counted="total")
    return Facts(LAEDNET, (320, 320), (row,), status, note)


def _alnet(millions: float, status: Status, note: str, table: str = "Table 5") -> Facts:
    row = Published(ALNET, table, round(millions * 1e6), counted="reparameterized")
    return Facts(ALNET, (512, 512), (row,), status, note)


def _lightbtseg(millions: float, gflops: float, mb: float, note: str = "") -> Facts:
    row = Published(LIGHTBTSEG, "Table I", round(millions * 1e6), gflops=gflops, mb=mb)
    return Facts(LIGHTBTSEG, (512, 512), (row,), "match", note)


def _distilled(millions: float, gflops: float, mb: float, note: str) -> Facts:
    """Student and teacher stand in both papers on the one method."""
    facts = _lightbtseg(millions, gflops, mb, note)
    again = replace(facts.published[0], paper=T2KD, table="abstract")
    return replace(facts, published=(*facts.published, again))


_SQUEEZE = (
    "Squeeze-and-excitation as in equations 3 and 4 cannot cost the 0.30 M that the ablation of "
    'Table 5 shows; se_position="fused" does and meets S and M.'
)
_SOFT = (
    "AL-Net's table prints 3.45 M for three different decoders, so the figure was probably not "
    "counted for each; the decoder's width is our choice."
)

PUBLISHED: dict[str, Facts] = {
    "unet_bilinear": _lighter(17_267_393),
    "light_unet": _lighter(11_000_257),
    "lighter_unet_128": _lighter(
        7_944_661,
        "Half of U-net's parameters but 94 % of its multiply-accumulates: the early layers, "
        "which cost most, have too few channels to be grouped.",
    ),
    "lighter_unet_64": _lighter(4_995_541),
    "lighter_unet_32": _lighter(3_465_685),
    "lighter_unet_16": _lighter(2_700_757),
    "lighter_unet_8": _lighter(2_318_293),
    "lighter_unet_4": _lighter(2_127_061),
    "lighter_unet_2": _lighter(2_031_445),
    "lighter_unet_1": _lighter(1_983_583),
    "fcn8s": _fcn(),
    "fcn16s": _fcn("The paper prints the size of FCN-8s only; the three have the same layers."),
    "fcn32s": _fcn("The paper prints the size of FCN-8s only; the three have the same layers."),
    "deeplabv3plus_resnet101": Facts(
        LIGHTER,
        (256, 256),
        (
            Published(ALNET, "Table 5", 59_340_000),
            Published(LIGHTER, "section 4.1", 54_700_000),
        ),
        "match",
        "The Lighter U-net paper prints 54.7 M for ResNet-101, which is the size with the "
        "Xception encoder; AL-Net's paper prints 59.34 M.",
    ),
    "deeplabv3plus_xception": Facts(
        LIGHTER,
        (256, 256),
        (Published(LIGHTER, "section 4.1", 54_700_000),),
        "match",
        "The paper prints this size beside the name of ResNet-101.",
    ),
    "deeplabv3plus_mobilenetv2": Facts(
        LIGHTER,
        (256, 256),
        (),
        "fit",
        "The paper scores this network and gives no size; the structure is that of the other "
        "two DeepLab v3+.",
    ),
    "laednet_s": _laednet(4.03, "fit", _SQUEEZE),
    "laednet_m": _laednet(
        10.75,
        "fit",
        f"{_SQUEEZE} Table 1 prints repeats of 1, 2, 2, 5, 5, 6, 1 for M; only those of "
        "EfficientNet-B3 (2, 3, 3, 5, 5, 6, 2) reach the published size.",
    ),
    "laednet_l": _laednet(
        63.25,
        "fit",
        "No decoder meets L together with S and M: L's leaves 0.8 M for a decoder that takes "
        "0.56 M in M.",
    ),
    "unet_1x1up": _laednet(
        28.97,
        "fit",
        "The text does not describe it; of the usual forms only this one has the size.",
    ),
    "mnet": _laednet(
        29.23,
        "fit",
        "Speculative: the original M-Net has 8.55 M, and the text names no change; three input "
        "scales of 32 filters and three side outputs on the paper's U-Net give the size.",
    ),
    "unetpp_transposed": _laednet(36.15, "match"),
    "transunet": _laednet(
        419.53,
        "no match",
        "This is the official R50-ViT-B/16. The published figure is probably the megabytes of "
        "its float32 weights (421.7), or a version with heads of 768 dimensions.",
    ),
    "nas_unet": _laednet(2.29, "match"),
    "sk_unet": _laednet(3.94, "match", table="Table 3"),
    "alnet": _alnet(
        3.45,
        "fit",
        "The paper does not give its reduced widths; 64, 64, 128, 128, 512 in the encoder are "
        'the most natural of many that fit. The claim "1/25 of DeepLabv3+" is 1/17 by its own '
        "table.",
    ),
    "alnet_resnet34": _alnet(21.51, "fit", "The decoder's widths are AL-Net's.", "Table 2"),
    "alnet_aspp": _alnet(5.39, "fit", "The decoder's widths are AL-Net's.", "Table 3"),
    "alnet_udecoder": _alnet(3.45, "fit", _SOFT, "Table 4"),
    "repvgg_unet": _alnet(3.45, "fit", _SOFT),
    "cenet": _alnet(28.99, "match", ""),
    "unetpp_32": _alnet(9.16, "match", ""),
    "pyconv_unet": _alnet(
        3.7, "fit", "Speculative: the text gives no kernels, groups or widths; an approximation."
    ),
    "simplified_unet": _distilled(
        2.2,
        16.59,
        8.4,
        "The text gives only 256 channels at the lowest level; this is the reading whose "
        "parameters, file size and multiply-accumulates agree with the table. The published "
        "GFLOPs count element-wise operations as well, 1 % above the convolutions alone.",
    ),
    "resnet101_attention_unet": _distilled(
        106.1,
        205.98,
        414,
        "The last layers are inferred from the GFLOPs. The published 414 MB hold the encoder's "
        "unused classifier, which the published parameters leave out.",
    ),
    "unet": _lightbtseg(34.5, 262.08, 132),
    "unetpp": _lightbtseg(36.6, 552.27, 140),
    "unet3p": _lightbtseg(
        30.0,
        792.62,
        104,
        note="The table contradicts itself: 104 MB of float32 weights are 27.2 M parameters, not "
        "30.0 M; file size and GFLOPs agree with this network.",
    ),
    "attention_unet": _lightbtseg(34.9, 266.47, 134),
    "feathernet_s": Facts(OURS, (512, 512), (), "ours"),
    "feathernet_m": Facts(OURS, (512, 512), (), "ours"),
}
