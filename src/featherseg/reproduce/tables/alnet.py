"""The tables of AL-Net: its parts on cell contours, its cost, and its scores on three data sets."""

from featherseg.reproduce.table import (
    LATENCY,
    PARAMETERS,
    Column,
    Part,
    Published,
    Row,
    Table,
    millions,
)

_PAPER = (
    "Du, Nie, Wang, Lei, Wang, Zhang, AL-Net, Frontiers in Signal Processing 2, 2022, "
    "doi:10.3389/frsip.2022.842925"
)
_PROTOCOL = "alnet"
_CELLS = "isbi2012_interior"
_CELL_RECIPE = "alnet_isbi2012"

_ACCURACY = Column("accuracy", "Acc", "accuracy", "all")
_IOU = Column("iou", "IoU", "iou", "lesion")
_PARAMETERS = Column("parameters", "parameters", PARAMETERS, "all")
_TIME = Column("time", "time, ms", LATENCY, "all")

_SPREAD = (
    "Published spreads are those over test images, as far as the text can tell; repeats are not "
    "stated."
)
_WEIGHTS = (
    "The paper's encoder began from ImageNet weights; here it begins from scratch unless "
    "network_options.pretrained=true is asked for."
)
_MERGED = "The paper's parameters are those after the branches are merged (re-parameterized)."
_TIMES = (
    "The paper's times are means of ten runs on a Tesla P100, branches merged, one image; they "
    "compare with each other, not with those of another machine."
)
_INTERIOR = (
    "An IoU of 0.9 beside an accuracy of 0.94 means that the inside of cells is the foreground, "
    "not the membrane."
)
_UNKNOWN_TEST = (
    "The paper's test images are the official ones, whose masks are not public; here 30 % of the "
    "public images are set aside."
)

# Printed name, network, IoU with its deviation, millions of parameters, milliseconds.
_Ablated = tuple[str, str, tuple[float, float], float, float]
_ALNET_SCORES = ((0.8963, 0.0142), 3.45, 34.3)


def _ablation(number: int, title: str, lines: tuple[_Ablated, ...]) -> Table:
    rows = tuple(
        Row(
            name,
            _CELL_RECIPE,
            (f"network={network}",),
            {"iou": Published(*iou), "parameters": millions(size), "time": Published(time)},
        )
        for name, network, iou, size, time in lines
    )
    return Table(
        name=f"alnet-{number}",
        title=title,
        source=f"{_PAPER}, Table {number}",
        columns=(_IOU, _PARAMETERS, _TIME),
        parts=(Part(_CELLS, _PROTOCOL, rows),),
        notes=(_SPREAD, _WEIGHTS, _INTERIOR, _UNKNOWN_TEST, _MERGED, _TIMES),
    )


TABLE_2 = _ablation(
    2,
    "AL-Net with another encoder",
    (
        ("RepVGG-A1", "alnet", *_ALNET_SCORES),
        ("ResNet-34", "alnet_resnet34", (0.8960, 0.0147), 21.51, 40.8),
    ),
)
TABLE_3 = _ablation(
    3,
    "AL-Net with another context extractor",
    (
        ("LR-ASPP", "alnet", *_ALNET_SCORES),
        ("ASPP", "alnet_aspp", (0.8941, 0.0160), 5.39, 42.4),
    ),
)
TABLE_4 = _ablation(
    4,
    "AL-Net with another decoder",
    (
        ("A-Decoder", "alnet", *_ALNET_SCORES),
        ("U-Decoder", "alnet_udecoder", (0.8805, 0.0169), 3.45, 41.1),
    ),
)

# Printed name, network, millions of parameters, milliseconds for cells, skin and vessels.
_COSTS = (
    ("DeepLabv3+", "deeplabv3plus_resnet101", 59.34, 50.6, 51.2, 53.1),
    ("CE-Net", "cenet", 28.99, 41.5, 42.1, 42.4),
    ("U-Net++", "unetpp_32", 9.16, 1530.8, 1542.3, 1910.4),
    ("PyConvU-Net", "pyconv_unet", 3.7, 45.7, 47.2, 50.4),
    ("Baseline", "repvgg_unet", 3.45, 38.7, 38.5, 39.5),
    ("AL-Net", "alnet", 3.45, 34.3, 34.6, 36.2),
)
# Data set and recipe in the order of the times above.
_SETS = (
    (_CELLS, _CELL_RECIPE),
    ("isic2018", "alnet_isic2018"),
    ("stare", "alnet_stare"),
)


def _timed(recipe: str, place: int) -> tuple[Row, ...]:
    return tuple(
        Row(
            name,
            recipe,
            (f"network={network}",),
            {"parameters": millions(size), "time": Published(times[place])},
        )
        for name, network, size, *times in _COSTS
    )


TABLE_5 = Table(
    name="alnet-5",
    title="Size and speed of AL-Net and others",
    source=f"{_PAPER}, Table 5",
    columns=(_PARAMETERS, _TIME),
    parts=tuple(
        Part(dataset, _PROTOCOL, _timed(recipe, place))
        for place, (dataset, recipe) in enumerate(_SETS)
    ),
    notes=(_MERGED, _TIMES, "Nothing is trained for this table: time does not depend on weights."),
)

# Printed name, network, accuracy and IoU with their deviations.
_Scored = tuple[str, str, tuple[float, float], tuple[float, float]]

_VESSELS: tuple[_Scored, ...] = (
    ("DeepLabv3+", "deeplabv3plus_resnet101", (0.9710, 0.0060), (0.6704, 0.0474)),
    ("CE-Net", "cenet", (0.9649, 0.0056), (0.6374, 0.0404)),
    ("U-Net++", "unetpp_32", (0.9716, 0.0099), (0.6614, 0.0841)),
    ("PyConvU-Net", "pyconv_unet", (0.9130, 0.0085), (0.6031, 0.0752)),
    ("Baseline", "repvgg_unet", (0.9673, 0.0067), (0.6525, 0.0412)),
    ("AL-Net", "alnet", (0.9728, 0.0065), (0.6851, 0.0577)),
)
_CONTOURS: tuple[_Scored, ...] = (
    ("DeepLabv3+", "deeplabv3plus_resnet101", (0.9315, 0.0165), (0.8793, 0.0137)),
    ("CE-Net", "cenet", (0.9144, 0.0176), (0.8587, 0.0188)),
    ("U-Net++", "unetpp_32", (0.9219, 0.0186), (0.8661, 0.0156)),
    ("PyConvU-Net", "pyconv_unet", (0.9124, 0.0146), (0.8563, 0.0162)),
    ("Baseline", "repvgg_unet", (0.9350, 0.0161), (0.8789, 0.0151)),
    ("AL-Net", "alnet", (0.9406, 0.0148), (0.8963, 0.0142)),
)
_SKIN: tuple[_Scored, ...] = (
    ("DeepLabv3+", "deeplabv3plus_resnet101", (0.9155, 0.1041), (0.7677, 0.1520)),
    ("CE-Net", "cenet", (0.9305, 0.0711), (0.7760, 0.1371)),
    ("U-Net++", "unetpp_32", (0.9058, 0.1073), (0.7255, 0.2011)),
    ("PyConvU-Net", "pyconv_unet", (0.8847, 0.1650), (0.6941, 0.1573)),
    ("Baseline", "repvgg_unet", (0.9310, 0.0946), (0.7935, 0.1657)),
    ("AL-Net", "alnet", (0.9312, 0.0890), (0.7947, 0.1533)),
)


def _comparison(
    number: int, dataset: str, recipe: str, lines: tuple[_Scored, ...], *, title: str, note: str
) -> Table:
    rows = tuple(
        Row(
            name,
            recipe,
            (f"network={network}",),
            {"accuracy": Published(*accuracy), "iou": Published(*iou)},
        )
        for name, network, accuracy, iou in lines
    )
    return Table(
        name=f"alnet-{number}",
        title=title,
        source=f"{_PAPER}, Table {number}",
        columns=(_ACCURACY, _IOU),
        parts=(Part(dataset, _PROTOCOL, rows),),
        notes=(_SPREAD, _WEIGHTS, note),
    )


TABLE_6 = _comparison(
    6,
    "stare",
    "alnet_stare",
    _VESSELS,
    title="AL-Net and others on retinal vessels",
    note="Six images test; an interval over them is wide.",
)
TABLE_7 = _comparison(
    7,
    _CELLS,
    _CELL_RECIPE,
    _CONTOURS,
    title="AL-Net and others on cells",
    note=f"{_INTERIOR} {_UNKNOWN_TEST}",
)
TABLE_8 = _comparison(
    8,
    "isic2018",
    "alnet_isic2018",
    _SKIN,
    title="AL-Net and others on skin lesions",
    note=_UNKNOWN_TEST,
)
