"""The tables of the Lighter U-net, whose images are private: BUSI's stand in for them."""

from featherseg.reproduce.table import PARAMETERS, Column, Part, Published, Row, Table

_PAPER = (
    "Li, Chouzenoux, Charmettant, Benatsou, Lamarque, Lassau, Lightweight U-Net for Lesion "
    "Segmentation in Ultrasound Images, IEEE ISBI 2021, https://hal.science/hal-03140737"
)
_REPEATS = 3

# The private images hold a lesion each.
_LESIONS = ("benign", "malignant")
_TRAINED_ON = "classes=[benign, malignant]"
_STAND_IN = (
    "The published images (696 of 348 patients) are private. These are BUSI's with a lesion: "
    "scores of the two data sets cannot be compared, only differences between rows."
)

_DICE = Column("dice", "DC", "dice", "lesion")
# The authors' code takes the percentile over both directions in one list.
_HD95 = Column("hd95", "95% HD, px", "hd95_pooled", "lesion")
_PARAMETERS = Column("parameters", "parameters", PARAMETERS, "all")

_SPREAD = "Published spreads are standard deviations over 3 trainings from other random weights."
_LARGEST = "The paper keeps the largest component of each mask found."
_DECAY = (
    "The paper tunes weight decay for each network on validation, out of 1e-2, 1e-3, 1e-4, 1e-5 "
    "and 0, and prints the chosen one for U-net only; see the recipe lighter_unet."
)

_Cell = tuple[float, float]


def _row(name: str, network: str, dice: _Cell, hd95: _Cell, parameters: int | None = None) -> Row:
    published = {"dice": Published(*dice), "hd95": Published(*hd95)}
    if parameters is not None:
        published["parameters"] = Published(parameters)
    settings = (f"network={network}", _TRAINED_ON)
    return Row(name, "lighter_unet", settings, published, classes_test=_LESIONS)


def _part(rows: tuple[Row, ...]) -> Part:
    return Part("busi", "lighter", rows, _STAND_IN)


_UNET: tuple[_Cell, _Cell] = ((0.929, 0.002), (13.92, 0.34))

TABLE_1 = Table(
    name="lighter-1",
    title="U-net and others on lesions",
    source=f"{_PAPER}, Table 1",
    columns=(_DICE, _HD95),
    parts=(
        _part(
            (
                _row(
                    "DeepLab v3+, MobileNet",
                    "deeplabv3plus_mobilenetv2",
                    *((0.904, 0.003), (16.88, 0.47)),
                ),
                _row(
                    "DeepLab v3+, ResNet-101",
                    "deeplabv3plus_resnet101",
                    *((0.922, 0.003), (14.32, 0.63)),
                ),
                _row("FCN-32s", "fcn32s", (0.909, 0.005), (15.89, 0.81)),
                _row("FCN-16s", "fcn16s", (0.920, 0.003), (14.88, 0.42)),
                _row("FCN-8s", "fcn8s", (0.924, 0.001), (14.37, 0.16)),
                _row("U-net", "unet_bilinear", *_UNET),
            )
        ),
    ),
    repeats=_REPEATS,
    notes=(
        _SPREAD,
        _LARGEST,
        _DECAY,
        "The text gives sizes of three: DeepLab v3+ (ResNet-101) 54.7 M, FCN-8s 18.6 M, U-net "
        "17.3 M. The first is the size with the encoder Xception.",
    ),
)

TABLE_2 = Table(
    name="lighter-2",
    title="U-net and its lighter variants",
    source=f"{_PAPER}, Table 2",
    columns=(_PARAMETERS, _DICE, _HD95),
    parts=(
        _part(
            (
                _row("U-net", "unet_bilinear", *_UNET, 17_267_393),
                _row("Light U-net", "light_unet", (0.927, 0.001), (14.16, 0.47), 11_000_257),
                *(
                    _row(f"Lighter U-net @{size}", f"lighter_unet_{size}", dice, hd95, parameters)
                    for size, dice, hd95, parameters in (
                        (128, (0.928, 0.001), (13.93, 0.50), 7_944_661),
                        (64, (0.926, 0.001), (14.21, 0.24), 4_995_541),
                        (32, (0.926, 0.001), (14.51, 0.09), 3_465_685),
                        (16, (0.922, 0.003), (15.18, 0.43), 2_700_757),
                        (8, (0.921, 0.002), (15.14, 0.43), 2_318_293),
                        (4, (0.920, 0.003), (15.22, 0.58), 2_127_061),
                        (2, (0.920, 0.001), (15.52, 0.19), 2_031_445),
                        (1, (0.917, 0.001), (15.98, 0.23), 1_983_583),
                    )
                ),
            )
        ),
    ),
    repeats=_REPEATS,
    notes=(_SPREAD, _LARGEST, _DECAY),
)

# The ranges are those of the recipe lighter_unet.
_AUGMENT = (
    "augment.horizontal_flip=0.5",
    "augment.vertical_flip=0.5",
    "augment.affine=0.5",
    "augment.scale=0.2",
    "augment.translate=0.2",
    "augment.rotate_deg=45",
    "augment.shear_deg=16",
)
# What each step adds to those before it, and the mean Dice that it reached. The first writes out
# what the small scale would otherwise set.
_STEPS: tuple[tuple[str, tuple[str, ...], float], ...] = (
    ("default", ("lr=1e-3", "schedule=null"), 0.855),
    ("+ data augmentation", _AUGMENT, 0.877),
    ("+ Dice loss", ("loss=dice",), 0.891),
    ("+ Adam, learning rate 1e-4", ("optimizer=adam", "lr=1e-4"), 0.911),
    ("+ learning rate on plateau", ("schedule={patience: 5, factor: 0.5}",), 0.917),
    ("+ batch size 8", ("batch_size=8",), 0.928),
    ("+ weight decay 1e-4", ("weight_decay=1e-4",), 0.929),
)


def _step(number: int) -> Row:
    """The step of that number, with the settings of all steps up to it."""
    settings = [setting for _, added, _ in _STEPS[: number + 1] for setting in added]
    name, _, dice = _STEPS[number]
    return Row(
        name,
        "lighter_default",
        (_TRAINED_ON, *settings),
        {"dice": Published(dice)},
        classes_test=_LESIONS,
    )


TUNING = Table(
    name="lighter-tuning",
    title="U-net tuned, step by step",
    source=f"{_PAPER}, section 4.2",
    columns=(_DICE,),
    parts=(_part(tuple(_step(number) for number in range(len(_STEPS)))),),
    repeats=_REPEATS,
    notes=(
        _LARGEST,
        "Each row adds its setting to those above it.",
        "The default: U-net, no augmentation, binary cross-entropy, plain gradient descent with a "
        "learning rate of 1e-3, batches of 2, no weight decay.",
    ),
)
