"""What a published table is: rows of networks trained by a recipe, and the figures printed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

# The scores of a column are averaged over all test images (both masks empty is 1), or over those
# with a lesion, as in docs/evaluation.md.
Over = Literal["all", "lesion"]

# What a column holds beside the metrics of a table of cases.
PARAMETERS = "parameters"
LATENCY = "latency_ms"
PUBLISHED_ONLY = "published_only"
NO_METRICS = (PARAMETERS, LATENCY, PUBLISHED_ONLY)


@dataclass(frozen=True)
class Published:
    """A printed figure and its standard deviation, None where none is printed.

    Scores are in [0, 1] also where the paper prints per cent; parameters are a count.
    """

    mean: float
    std: float | None = None


@dataclass(frozen=True)
class Column:
    """A column: its key in `Row.published`, its head as printed, and what is computed for it.

    ``metric`` is a metric of docs/evaluation.md, averaged `over` the images named, or one of
    `NO_METRICS`.
    """

    key: str
    title: str
    metric: str
    over: Over = "lesion"


@dataclass(frozen=True)
class Row:
    """A network's line: its printed name, how it is trained here, and its printed figures.

    ``settings`` change the built-in ``recipe`` as ``--set`` does. ``is_teacher`` says that a
    scale may put another network in its place. ``published`` goes by column key, and lacks what
    is not printed.
    ``classes_test`` names the classes of images that are scored; () is all.
    """

    name: str
    recipe: str
    settings: tuple[str, ...] = ()
    published: Mapping[str, Published] = field(default_factory=dict)
    classes_test: tuple[str, ...] = ()
    is_teacher: bool = False


@dataclass(frozen=True)
class Part:
    """The rows of one data set: its layout's name, and the protocol of the paper's split."""

    dataset: str
    protocol: str
    rows: tuple[Row, ...]
    note: str = ""


@dataclass(frozen=True)
class Table:
    """A published table; ``repeats`` is the paper's number of trainings of each row."""

    name: str
    title: str
    source: str
    columns: tuple[Column, ...]
    parts: tuple[Part, ...]
    repeats: int = 1
    notes: tuple[str, ...] = ()


def percent(mean: float, std: float) -> Published:
    """A figure printed in per cent, as a share."""
    return Published(round(mean / 100, 6), round(std / 100, 6))


def millions(count: float) -> Published:
    """A number of parameters printed in millions."""
    return Published(round(count * 1e6))
