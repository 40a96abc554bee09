"""The tables of LightBTSeg: a student, its two teachers, and what a class teaches the other."""

from dataclasses import dataclass

from featherseg.reproduce.table import (
    PARAMETERS,
    PUBLISHED_ONLY,
    Column,
    Part,
    Published,
    Row,
    Table,
    millions,
)

_PAPER = (
    "Guo, Wang, Dang, Xiao, Yang, Liu, Liu, Wan, LightBTSeg, 2023, arXiv:2311.11086 (again, as "
    "T2KD Attention U-Net: Journal of Biomedical Engineering 42(1), 2025, "
    "doi:10.7507/1001-5515.202311054)"
)
_PROTOCOL = "lightbtseg"
_TEACHER = "lightbtseg_teacher"
_STUDENT = "lightbtseg_student"
# The same training without teachers, also of the networks compared with.
_ALONE = "simplified_unet"

_COLUMNS = (
    Column("dice", "Dice", "dice", "lesion"),
    Column("precision", "Precision", "precision", "lesion"),
    Column("recall", "Recall", "recall", "lesion"),
    Column("miou", "mIoU", "iou_mean", "lesion"),
    Column("accuracy", "Accuracy", "accuracy", "all"),
)
_KEYS = tuple(column.key for column in _COLUMNS)
_SIZES = (
    Column("parameters", "parameters", PARAMETERS, "all"),
    Column("mb", "size, MB", PUBLISHED_ONLY, "all"),
    Column("gflops", "GFLOPs", PUBLISHED_ONLY, "all"),
)

_ONE_RUN = "The paper prints no spread and no number of trainings."
_AVERAGES = (
    "How scores are averaged is not stated. Here they are means over images; mIoU is the mean of "
    "the IoU of lesion and background."
)
_NORMALS = (
    "Normal images of BUSI are left out: the paper trains and tests on benign and malignant ones."
)
_COSTS = (
    "Published GFLOPs are multiply-accumulates at 512x512, and MB the float32 file; ours stand in "
    "docs/networks/lightbtseg.md."
)
_NOTES = (_ONE_RUN, _AVERAGES, _NORMALS)

# Dice, precision, recall, mean IoU, accuracy: what Tables I to III print of a network.
_Scores = tuple[float, float, float, float, float]


def _published(scores: _Scores) -> dict[str, Published]:
    return {key: Published(score) for key, score in zip(_KEYS, scores, strict=True)}


@dataclass(frozen=True)
class _Model:
    """A line of Table I without its scores: how it is trained, and what it costs."""

    name: str
    recipe: str
    settings: tuple[str, ...]
    costs: tuple[float, float, float]


_TEACHER_COSTS = (106.1, 414, 205.98)
# Costs are millions of parameters, MB and GFLOPs.
_MODELS = (
    _Model("U-Net", _ALONE, ("network=unet",), (34.5, 132, 262.08)),
    _Model("U-Net++", _ALONE, ("network=unetpp",), (36.6, 140, 552.27)),
    _Model("U-Net3+", _ALONE, ("network=unet3p",), (30.0, 104, 792.62)),
    _Model("Attention U-Net", _ALONE, ("network=attention_unet",), (34.9, 134, 266.47)),
    _Model("Benign Teacher", _TEACHER, ("classes=[benign]",), _TEACHER_COSTS),
    _Model("Malignant Teacher", _TEACHER, ("classes=[malignant]",), _TEACHER_COSTS),
    _Model("Student model", _STUDENT, (), (2.2, 8.4, 16.59)),
)
_COMPARED: dict[str, tuple[_Scores, ...]] = {
    "busi": (
        (0.8545, 0.8617, 0.8827, 0.7923, 0.9552),
        (0.8469, 0.8561, 0.8753, 0.7833, 0.9518),
        (0.8100, 0.8070, 0.8691, 0.7400, 0.9442),
        (0.8207, 0.8098, 0.8890, 0.7521, 0.9419),
        (0.8466, 0.8763, 0.8512, 0.8014, 0.9562),
        (0.8240, 0.7986, 0.9001, 0.7609, 0.9451),
        (0.8359, 0.8509, 0.8623, 0.7778, 0.9526),
    ),
    "udiat": (
        (0.8542, 0.8337, 0.9126, 0.7943, 0.9730),
        (0.8686, 0.8785, 0.9075, 0.8101, 0.9785),
        (0.8592, 0.8491, 0.9296, 0.7986, 0.9737),
        (0.8751, 0.8755, 0.9091, 0.8202, 0.9798),
        (0.8383, 0.8281, 0.8601, 0.7941, 0.9742),
        (0.8698, 0.8610, 0.9096, 0.8090, 0.9773),
        (0.8840, 0.8833, 0.9280, 0.8242, 0.9795),
    ),
}


def _compared(model: _Model, scores: _Scores) -> Row:
    size, mb, gflops = model.costs
    costs = {"parameters": millions(size), "mb": Published(mb), "gflops": Published(gflops)}
    published = _published(scores) | costs
    return Row(
        model.name,
        model.recipe,
        model.settings,
        published,
        is_teacher=model.recipe == _TEACHER,
    )


TABLE_1 = Table(
    name="lightbtseg-1",
    title="The student, its teachers and others",
    source=f"{_PAPER}, Table I",
    columns=(*_COLUMNS, *_SIZES),
    parts=tuple(
        Part(dataset, _PROTOCOL, tuple(map(_compared, _MODELS, scores)))
        for dataset, scores in _COMPARED.items()
    ),
    notes=(
        *_NOTES,
        _COSTS,
        "U-Net3+ is printed with 30.0 M parameters and 104 MB, which are 27.2 M.",
        "Of the student on BUSI, Table III prints a recall of 0.8753.",
    ),
)

_BENIGN, _MALIGNANT, _ALL = ("benign",), ("malignant",), ()
# Trained on, tested on.
_CROSSED: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (_BENIGN, _BENIGN),
    (_MALIGNANT, _MALIGNANT),
    (_BENIGN, _MALIGNANT),
    (_MALIGNANT, _BENIGN),
    (_BENIGN, _ALL),
    (_MALIGNANT, _ALL),
    (_ALL, _ALL),
)
_CROSS_SCORES: dict[str, tuple[_Scores, ...]] = {
    "busi": (
        (0.9032, 0.9179, 0.9093, 0.8626, 0.9737),
        (0.8304, 0.8358, 0.8694, 0.7548, 0.9138),
        (0.6979, 0.7670, 0.6983, 0.6406, 0.9100),
        (0.8215, 0.7844, 0.9117, 0.7632, 0.9570),
        (0.8466, 0.8763, 0.8512, 0.8014, 0.9562),
        (0.8240, 0.7986, 0.9001, 0.7609, 0.9451),
        (0.8897, 0.9063, 0.9016, 0.8398, 0.9611),
    ),
    "udiat": (
        (0.9313, 0.9162, 0.9624, 0.8836, 0.9897),
        (0.8909, 0.8870, 0.9245, 0.8255, 0.9739),
        (0.6729, 0.6717, 0.6783, 0.6351, 0.9466),
        (0.8580, 0.8464, 0.9012, 0.7998, 0.9792),
        (0.8383, 0.8281, 0.8601, 0.7941, 0.9742),
        (0.8698, 0.8610, 0.9096, 0.8090, 0.9773),
        (0.8841, 0.8847, 0.9082, 0.8399, 0.9842),
    ),
}


def _crossed(classes: tuple[tuple[str, ...], tuple[str, ...]], scores: _Scores) -> Row:
    """A teacher trained on images of some classes and scored on those of some."""
    train, test = classes
    return Row(
        f"{_named(train)} to {_named(test)}",
        _TEACHER,
        (f"classes=[{', '.join(train)}]",) if train else (),
        _published(scores),
        classes_test=test,
        is_teacher=True,
    )


def _named(classes: tuple[str, ...]) -> str:
    return classes[0] if classes else "all"


TABLE_2 = Table(
    name="lightbtseg-2",
    title="Teachers of one class on another",
    source=f"{_PAPER}, Table II",
    columns=_COLUMNS,
    parts=tuple(
        Part(dataset, _PROTOCOL, tuple(map(_crossed, _CROSSED, scores)))
        for dataset, scores in _CROSS_SCORES.items()
    ),
    notes=(*_NOTES, "Rows are named by the class trained on and the class scored."),
)

_SINGLE, _DOUBLE = "Single Teacher", "Double Teacher"
_TAUGHT: dict[str, tuple[tuple[str, str, _Scores], ...]] = {
    "busi": (
        (_SINGLE, "lightbtseg_single", (0.8169, 0.8144, 0.8744, 0.7484, 0.9444)),
        (_DOUBLE, _STUDENT, (0.8359, 0.8509, 0.8753, 0.7778, 0.9526)),
    ),
    "udiat": (
        (_SINGLE, "lightbtseg_single", (0.8695, 0.8792, 0.9097, 0.8040, 0.9775)),
        (_DOUBLE, _STUDENT, (0.8840, 0.8833, 0.9280, 0.8242, 0.9795)),
    ),
}
_UNTAUGHT = Row("No teacher (not in the paper)", _ALONE)

TABLE_3 = Table(
    name="lightbtseg-3",
    title="The student of one teacher and of two",
    source=f"{_PAPER}, Table III",
    columns=_COLUMNS,
    parts=tuple(
        Part(
            dataset,
            _PROTOCOL,
            (
                _UNTAUGHT,
                *(Row(name, recipe, (), _published(scores)) for name, recipe, scores in lines),
            ),
        )
        for dataset, lines in _TAUGHT.items()
    ),
    notes=(
        *_NOTES,
        "Which teacher the single one is, is not stated; here it is trained on all images.",
        "The paper has no student without teachers; that row is the control.",
        "Table I prints a recall of 0.8623 for the student of two teachers on BUSI.",
    ),
)
