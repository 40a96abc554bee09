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


def _unet(parameters: int, gmacs: float, total: int) -> Entry:
    """Every convolution has a bias, so that folding takes gain and shift of each norm away."""
    return Entry(
        parameters,
        gmacs,
        total=total,
        fused=2 * parameters - total,
        small={"width": 8},
        multiple=16,
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
    "fcn8s": Entry(18_643_713, 21.406, fused=18_643_713, is_slow=True),
    "fcn16s": Entry(18_643_713, 21.406, fused=18_643_713, is_slow=True),
    "fcn32s": Entry(18_643_713, 21.406, fused=18_643_713, is_slow=True),
    # No convolution before a norm has a bias: folding takes the gain, and the shift becomes one.
    "deeplabv3plus_resnet101": Entry(
        59_339_169, 22.134, total=59_448_705, fused=59_284_401, is_slow=True
    ),
    "deeplabv3plus_xception": Entry(
        54_700_177, 20.659, total=54_889_569, fused=54_605_481, is_slow=True
    ),
    # 6.62 in the public code, which pads before the 1x1 convolutions that expand.
    "deeplabv3plus_mobilenetv2": Entry(5_810_913, 6.557, total=5_846_657, fused=5_793_041),
    "laednet_s": Entry(3_881_981, 0.824, total=3_924_829, fused=3_860_557, small=_TINY),
    "laednet_m": Entry(10_519_017, 2.029, total=10_607_369, fused=10_474_841, small=_TINY),
    "laednet_l": Entry(63_258_961, 10.658, total=63_571_345, fused=63_102_769, small=_TINY),
    "unet_1x1up": _unet(28_956_481, 75.262, total=28_970_177),
    "mnet": _unet(29_218_308, 76.948, total=29_232_196),
    "unetpp_transposed": _unet(36_157_953, 185.991, total=36_157_953),
    "transunet": Entry(
        105_432_593,
        58.137,
        total=105_435_473,
        fused=105_431_153,
        small={"image_size": 64, "width": 32, "dim": 32, "depth": 1, "heads": 2},
        multiple=16,
        side=16,
    ),
    "nas_unet": Entry(2_291_573, 15.153, total=2_291_573, fused=2_291_573, small={"width": 16}),
    "sk_unet": _unet(3_935_553, 9.265, total=3_942_913),
    "alnet": Entry(
        3_821_185, 13.839, reparameterized=3_447_297, fused=3_446_913, small={"width": 16}
    ),
    "alnet_resnet34": Entry(
        21_520_065, 29.694, fused=21_511_169, small={"encoder": "test_resnet", "width": 16}
    ),
    "alnet_aspp": Entry(
        5_747_713, 14.324, reparameterized=5_373_825, fused=5_372_737, small={"width": 16}
    ),
    "alnet_udecoder": Entry(
        3_822_637, 7.820, reparameterized=3_448_749, fused=3_448_573, small={"width": 16}
    ),
    "repvgg_unet": Entry(
        3_831_961, 7.535, reparameterized=3_458_073, fused=3_457_977, small={"width": 16}
    ),
    # 28.594 in the public code, which computes three of the 3x3 convolutions anew.
    "cenet": Entry(29_003_093, 26.782, fused=28_992_593, small={"encoder": "test_resnet"}),
    "unetpp_32": _unet(9_163_329, 137.942, total=9_163_329 + 7_296),
    "pyconv_unet": Entry(
        3_660_225, 34.209, total=3_664_641, fused=3_658_017, small={"width": 8}, side=16
    ),
    "simplified_unet": _unet(2_162_129, 16.425, total=2_165_553),
    "resnet101_attention_unet": Entry(
        106_093_357,
        206.114,
        # Norms of 52,672 channels follow the encoder's convolutions, which have no bias, and of
        # 7,428 the decoder's, which have one.
        total=106_093_357 + 2 * (52_672 + 7_428),
        fused=106_093_357 - 52_672 - 2 * 7_428,
        small={"encoder": "test_resnet"},
        multiple=32,
    ),
    "unet": _unet(34_527_041, 261.389, total=34_527_041 + 13_696),
    "unetpp": _unet(36_629_633, 551.299, total=36_629_633 + 14_592),
    "unet3p": _unet(26_971_777, 790.610, total=26_971_777 + 13_056),
    "attention_unet": _unet(34_878_573, 265.700, total=34_878_573 + 15_624),
    "feathernet_s": Entry(
        1_827_601,
        2.954,
        total=1_832_721,
        reparameterized=1_651_217,
        fused=1_648_657,
        small={"width": 16},
        multiple=32,
    ),
    "feathernet_m": Entry(
        3_628_497,
        4.186,
        total=3_636_177,
        reparameterized=3_275_345,
        fused=3_271_505,
        small={"width": 16},
        multiple=32,
    ),
}
