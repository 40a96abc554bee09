"""What the papers' tables say of each network's size, and how ours compares.

GFLOPs in these papers are multiply-accumulates; MB is the size of a float32 state file.
"""

from dataclasses import dataclass
from typing import Literal

# exact: every digit printed; match: rounds to the printed digits; fit: a reading of an
# incomplete text that meets the numbers; no match: none does.
Status = Literal["exact", "match", "fit", "no match"]

LIGHTER = "Lighter U-net (ISBI 2021)"
LIGHTBTSEG = "LightBTSeg (2023)"
T2KD = "T2KD Attention U-Net (2025)"


@dataclass(frozen=True)
class Published:
    """A row of a paper's table; None where the table has no such column."""

    paper: str
    table: str
    parameters: int
    gflops: float | None = None
    mb: float | None = None


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
    "simplified_unet": Facts(
        LIGHTBTSEG,
        (512, 512),
        (
            Published(LIGHTBTSEG, "Table I", 2_200_000, gflops=16.59, mb=8.4),
            Published(T2KD, "abstract", 2_200_000, gflops=16.59, mb=8.4),
        ),
        "match",
        "The text gives only 256 channels at the lowest level; this is the reading whose "
        "parameters, file size and multiply-accumulates agree with the table. The published "
        "GFLOPs count element-wise operations as well, 1 % above the convolutions alone.",
    ),
}
