"""What every network is checked against, by name."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Entry:
    """Expected counts for 3 inputs and 1 output, and how the behavior tests build the network.

    ``parameters`` is trainable, ``total`` with running statistics, ``reparameterized`` and
    ``fused`` trainable after merging and folding; None where no source gives it. ``gmacs`` is
    at the paper's size, within 0.5 %. ``small`` are options that make the network small;
    ``is_slow`` says that it stays too large for the quick tests. Sides must be multiples of
    ``multiple`` (1: any side is taken) and at least ``side``; ``lr`` overfits one batch.
    """

    parameters: int
    gmacs: float
    total: int | None = None
    reparameterized: int | None = None
    fused: int | None = None
    small: dict[str, Any] = field(default_factory=dict)
    is_slow: bool = False
    multiple: int = 1
    side: int = 32
    lr: float = 1e-2


def _lighter(parameters: int, gmacs: float) -> Entry:
    return Entry(
        parameters,
        gmacs,
        total=parameters + 8_832,
        fused=parameters - 8_832,
        small={"width": 8},
        side=16,
    )


_TINY = {"encoder": "test_efficientnet", "drop_path": 0.0}

ENTRIES = {
    "unet_bilinear": _lighter(17_267_393, 39.980),
    "light_unet": _lighter(11_000_257, 25.627),
    "lighter_unet_128": _lighter(7_944_661, 37.670),
    "lighter_unet_64": _lighter(4_995_541, 23.779),
    "lighter_unet_32": _lighter(3_465_685, 14.115),
    "lighter_unet_16": _lighter(2_700_757, 9.283),
    "lighter_unet_8": _lighter(2_318_293, 6.867),
    "lighter_unet_4": _lighter(2_127_061, 5.659),
    "lighter_unet_2": _lighter(2_031_445, 5.055),
    "lighter_unet_1": _lighter(1_983_583, 4.750),
    "fcn8s": Entry(18_643_713, 21.41, is_slow=True),
    "fcn16s": Entry(18_643_713, 21.41, is_slow=True),
    "fcn32s": Entry(18_643_713, 21.41, is_slow=True),
    "deeplabv3plus_resnet101": Entry(59_339_169, 22.13, is_slow=True),
    "deeplabv3plus_xception": Entry(54_700_177, 20.66, is_slow=True),
    "deeplabv3plus_mobilenetv2": Entry(5_810_913, 6.62),
    "laednet_s": Entry(3_882_000, 0.824, small=_TINY),
    "laednet_m": Entry(10_519_000, 2.029, small=_TINY),
    "laednet_l": Entry(63_259_000, 10.66, small=_TINY),
    "unet_1x1up": Entry(28_956_481, 75.26, total=28_970_177, small={"width": 8}, multiple=16),
    "mnet": Entry(29_218_308, 76.95, total=29_232_196, small={"width": 8}, multiple=16),
    "unetpp_transposed": Entry(36_157_953, 185.9, small={"width": 8}, multiple=16),
    "transunet": Entry(105_432_593, 58.1, is_slow=True, multiple=16),
    "nas_unet": Entry(2_291_573, 15.1, small={"width": 16}),
    "sk_unet": Entry(3_935_553, 9.21, total=3_942_913, small={"width": 8}, multiple=16),
    "alnet": Entry(
        3_821_185, 13.84, reparameterized=3_447_297, fused=3_446_913, small={"width": 16}
    ),
    "alnet_resnet34": Entry(21_520_065, 29.65, reparameterized=21_520_065, is_slow=True),
    "alnet_aspp": Entry(
        5_747_713, 14.25, reparameterized=5_373_825, fused=5_372_737, small={"width": 16}
    ),
    "alnet_udecoder": Entry(
        3_822_637, 7.82, reparameterized=3_448_749, fused=3_448_573, small={"width": 16}
    ),
    "repvgg_unet": Entry(
        3_831_961, 7.53, reparameterized=3_458_073, fused=3_457_977, small={"width": 16}
    ),
    "cenet": Entry(29_003_093, 28.59, is_slow=True),
    "unetpp_32": Entry(9_163_329, 137.9, small={"width": 8}, multiple=16),
    "pyconv_unet": Entry(3_660_225, 34.21, small={"width": 8}),
    "simplified_unet": Entry(
        2_162_129, 16.425, total=2_165_553, small={"width": 8}, multiple=16, side=16
    ),
    "resnet101_attention_unet": Entry(106_093_357, 206.11, small={"encoder": "test_resnet"}),
    "unet": Entry(34_527_041, 261.389, small={"width": 8}, multiple=16, side=16),
    "unetpp": Entry(36_629_633, 551.299, small={"width": 8}, multiple=16),
    "unet3p": Entry(26_971_777, 790.610, small={"width": 8}, multiple=16),
    "attention_unet": Entry(34_878_573, 265.700, small={"width": 8}, multiple=16, side=16),
}
