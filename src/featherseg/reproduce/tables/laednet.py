"""The tables of LAEDNet: nerves, breast lesions and fetal heads, and what its parts are worth."""

from featherseg.reproduce.table import (
    PARAMETERS,
    PUBLISHED_ONLY,
    Column,
    Part,
    Published,
    Row,
    Table,
    millions,
    percent,
)

_PAPER = (
    "Zhou, Wang, Bao, Kong, Jin, Ou, LAEDNet, Computers and Electrical Engineering, 2022, "
    "https://www.sciencedirect.com/science/article/pii/S0045790622000799"
)
_REPEATS = 5
_PROTOCOL = "laednet"

# Millions of parameters and frames per second; the same in Tables 2, 3 and 4.
_COSTS = {
    "unet_1x1up": (28.97, 30.7),
    "mnet": (29.23, 26.8),
    "unetpp_transposed": (36.15, 21.5),
    "transunet": (419.53, 4.5),
    "nas_unet": (2.29, 52.6),
    "sk_unet": (3.94, 19.6),
    "laednet_s": (4.03, 60.3),
    "laednet_m": (10.75, 40.7),
    "laednet_l": (63.25, 17.0),
}

_LB_DSC = Column("lb_dsc", "LB DSC", PUBLISHED_ONLY, "all")
_DSC = Column("dsc", "DSC", "dice", "all")
_IOU = Column("iou", "IoU", "iou", "all")
_AUC = Column("auc", "AUC", "auc", "lesion")
_PARAMETERS = Column("parameters", "parameters", PARAMETERS, "all")
_FPS = Column("fps", "FPS", PUBLISHED_ONLY, "all")
# Not printed: the same Dice where it says most.
_DSC_TARGET = Column("dsc_target", "DSC, images with a target", "dice", "lesion")

_SPREAD = "Published spreads are standard deviations over 5 trainings."
_FRAMES = "FPS is the paper's, on another machine: a GeForce GTX 1080."
_SIZES = (
    "The paper counts the running statistics of batch norms as parameters; ours leave them out."
)
_AVERAGES = (
    "How scores are averaged is not stated. Here DSC and IoU are means over all images, two "
    "empty masks counting as 1; AUC, undefined there, over images with a target."
)
_ALL_TARGETS = "Every image has a target, so that all means are over all images."
_TESTS = "p-values are left out: they compare the paper's own runs."
_BOARD = (
    "LB DSC is the score of Kaggle's leader board on test images whose masks are not public; it "
    "cannot be computed here."
)
_SAMPLING = (
    "The paper says that LAEDNet was trained with periodic under-sampling, and nothing of the "
    "other networks; here all are."
)
_SAME_ROW = "The last row is LAEDNet-M of Table 2; the paper prints other deviations for it there."

_Cell = tuple[float, float]
# Printed name, network, and the scores' means and deviations in per cent.
_Line = tuple[str, str, *tuple[_Cell, ...]]

_SCORES = ("dsc", "iou", "auc")
_BOARD_AND_SCORES = ("lb_dsc", *_SCORES)


def _scores(keys: tuple[str, ...], cells: tuple[_Cell, ...]) -> dict[str, Published]:
    return {key: percent(*cell) for key, cell in zip(keys, cells, strict=True)}


def _rows(recipe: str, keys: tuple[str, ...], lines: tuple[_Line, ...]) -> tuple[Row, ...]:
    """The rows of a comparison of networks, each trained by the same recipe."""
    rows = []
    for name, network, *cells in lines:
        size, frames = _COSTS[network]
        costs = {"parameters": millions(size), "fps": Published(frames)}
        published = _scores(keys, tuple(cells)) | costs
        rows.append(Row(name, recipe, (f"network={network}",), published))
    return tuple(rows)


def _ablation(name: str, size: float, settings: tuple[str, ...], *cells: _Cell) -> Row:
    published = _scores(_BOARD_AND_SCORES, cells) | {"parameters": millions(size)}
    return Row(name, "laednet_bp", ("network=laednet_m", *settings), published)


_NERVES: tuple[_Line, ...] = (
    ("U-Net", "unet_1x1up", (67.0, 1.2), (61.9, 0.4), (57.3, 0.7), (84.3, 1.7)),
    ("M-Net", "mnet", (53.9, 1.1), (68.6, 0.8), (64.7, 0.9), (84.6, 0.4)),
    ("U-Net++", "unetpp_transposed", (67.5, 0.3), (70.3, 0.5), (66.4, 1.2), (83.9, 0.4)),
    ("TransUNet", "transunet", (62.1, 0.3), (55.1, 1.4), (50.4, 1.6), (82.6, 0.5)),
    ("NAS-Unet", "nas_unet", (65.7, 1.0), (71.8, 0.6), (68.4, 0.5), (74.7, 0.7)),
    ("LAEDNet-S", "laednet_s", (68.1, 0.2), (72.4, 0.6), (68.4, 1.1), (88.3, 0.8)),
    ("LAEDNet-M", "laednet_m", (69.8, 0.4), (73.0, 0.3), (68.9, 0.2), (88.6, 0.7)),
    ("LAEDNet-L", "laednet_l", (69.2, 0.2), (73.7, 0.5), (69.8, 0.4), (89.3, 0.6)),
)
_BREASTS: tuple[_Line, ...] = (
    ("U-Net", "unet_1x1up", (63.2, 1.1), (54.2, 3.9), (84.5, 2.0)),
    ("M-Net", "mnet", (53.9, 2.5), (45.5, 3.7), (84.0, 1.6)),
    ("U-Net++", "unetpp_transposed", (70.9, 1.8), (63.8, 2.7), (90.4, 1.3)),
    ("TransUNet", "transunet", (56.4, 3.3), (46.6, 2.8), (82.3, 1.2)),
    ("SK-U-Net", "sk_unet", (72.4, 2.4), (65.5, 4.4), (86.4, 2.5)),
    ("LAEDNet-S", "laednet_s", (73.7, 2.5), (65.8, 3.6), (90.0, 1.2)),
    ("LAEDNet-M", "laednet_m", (73.8, 1.3), (65.8, 2.0), (91.0, 0.5)),
    ("LAEDNet-L", "laednet_l", (75.0, 0.9), (67.6, 3.4), (91.3, 1.1)),
)
_HEADS: tuple[_Line, ...] = (
    ("U-Net", "unet_1x1up", (82.8, 0.9), (73.8, 2.0), (96.8, 0.8)),
    ("M-Net", "mnet", (68.5, 2.6), (55.5, 2.2), (93.3, 1.5)),
    ("U-Net++", "unetpp_transposed", (88.9, 1.8), (82.6, 2.1), (98.4, 0.8)),
    ("TransUNet", "transunet", (75.8, 3.2), (64.8, 2.6), (91.0, 2.4)),
    ("LAEDNet-S", "laednet_s", (89.3, 2.7), (82.9, 3.5), (98.8, 0.6)),
    ("LAEDNet-M", "laednet_m", (91.3, 2.2), (85.6, 2.4), (99.0, 0.3)),
    ("LAEDNet-L", "laednet_l", (91.7, 1.5), (86.1, 2.5), (99.1, 0.4)),
)

TABLE_2 = Table(
    name="laednet-2",
    title="LAEDNet and others on nerves",
    source=f"{_PAPER}, Table 2",
    columns=(_LB_DSC, _DSC, _IOU, _AUC, _DSC_TARGET, _PARAMETERS, _FPS),
    parts=(Part("bp", _PROTOCOL, _rows("laednet_bp", _BOARD_AND_SCORES, _NERVES)),),
    repeats=_REPEATS,
    notes=(_SPREAD, _AVERAGES, _BOARD, _SAMPLING, _SIZES, _FRAMES, _TESTS),
)

TABLE_3 = Table(
    name="laednet-3",
    title="LAEDNet and others on breast lesions",
    source=f"{_PAPER}, Table 3",
    columns=(_DSC, _IOU, _AUC, _DSC_TARGET, _PARAMETERS, _FPS),
    parts=(Part("busi", _PROTOCOL, _rows("laednet_busi", _SCORES, _BREASTS)),),
    repeats=_REPEATS,
    notes=(_SPREAD, _AVERAGES, _SIZES, _FRAMES, _TESTS),
)

TABLE_4 = Table(
    name="laednet-4",
    title="LAEDNet and others on fetal heads",
    source=f"{_PAPER}, Table 4",
    columns=(_DSC, _IOU, _AUC, _PARAMETERS, _FPS),
    parts=(Part("hc18", _PROTOCOL, _rows("laednet_hc18", _SCORES, _HEADS)),),
    repeats=_REPEATS,
    notes=(_SPREAD, _ALL_TARGETS, _SIZES, _FRAMES, _TESTS),
)

_NO_SE = "network_options.use_se=false"
_NO_PUS = "sampling=all"

TABLE_5 = Table(
    name="laednet-5",
    title="LAEDNet without its parts",
    source=f"{_PAPER}, Table 5",
    columns=(_LB_DSC, _DSC, _IOU, _AUC, _DSC_TARGET, _PARAMETERS),
    parts=(
        Part(
            "bp",
            _PROTOCOL,
            (
                _ablation(
                    "LAEDNet-M, no SE, no PUS",
                    10.45,
                    (_NO_SE, _NO_PUS),
                    *((67.4, 1.2), (71.8, 0.9), (68.0, 1.0), (84.8, 0.6)),
                ),
                _ablation(
                    "LAEDNet-M, SE, no PUS",
                    10.75,
                    (_NO_PUS,),
                    *((68.2, 0.6), (72.2, 0.8), (68.2, 0.7), (86.1, 1.0)),
                ),
                _ablation(
                    "LAEDNet-M, SE, PUS",
                    10.75,
                    (),
                    *((69.8, 0.6), (73.0, 0.4), (68.9, 0.4), (88.6, 0.4)),
                ),
            ),
        ),
    ),
    repeats=_REPEATS,
    notes=(_SPREAD, _AVERAGES, _BOARD, _SAME_ROW, _SIZES, _TESTS),
)
