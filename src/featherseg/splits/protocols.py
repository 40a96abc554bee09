"""Splits as papers made them: at random, image by image, so that duplicates cross.

They exist to be compared with safe splits: the difference is what leakage is worth. What a paper
does not say is chosen here, and each choice is written into the split file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from featherseg.datasets import Dataset
from featherseg.duplicates import Duplicates
from featherseg.errors import DataError
from featherseg.splits.file import Dealt, Split, finished
from featherseg.splits.safe import hashed, joined_groups, kept

# The layout of the nerve images, whose official test masks are not public.
_NERVE = "bp"


@dataclass(frozen=True)
class Protocol:
    """How a paper split its images.

    ``fractions`` of train, validation and test; ``by_class`` deals each class by itself,
    ``by_group`` whole groups of the data set (never duplicates); ``leaves_out`` names classes.
    ``notes`` say what is the paper's and what was chosen here.
    """

    paper: str
    fractions: tuple[float, float, float]
    by_class: bool
    by_group: bool
    leaves_out: tuple[str, ...]
    notes: tuple[str, ...]


PROTOCOLS: dict[str, Protocol] = {
    "laednet": Protocol(
        paper="LAEDNet (2022)",
        fractions=(0.72, 0.08, 0.20),
        by_class=True,
        by_group=False,
        leaves_out=(),
        notes=(
            "the paper: 8 : 2 in each class, images at random, and exchanged for every repeat",
            "chosen here: a tenth of the training images validates; repeats exchange it with "
            "training and keep the test images",
        ),
    ),
    "alnet": Protocol(
        paper="AL-Net (2022)",
        fractions=(0.5, 0.2, 0.3),
        by_class=False,
        by_group=False,
        leaves_out=(),
        notes=(
            "the paper: training, validation and test 5 : 2 : 3, images at random (STARE)",
            "chosen here: the same where the official test labels are not public",
        ),
    ),
    "lighter": Protocol(
        paper="Lighter U-net (2021)",
        fractions=(208 / 348, 70 / 348, 70 / 348),
        by_class=False,
        by_group=True,
        leaves_out=(),
        notes=(
            "the paper: 208, 70 and 70 patients at random, two images of each",
            "chosen here: the same shares of the data set's groups; duplicates are not looked for",
        ),
    ),
    "lightbtseg": Protocol(
        paper="LightBTSeg (2023)",
        fractions=(0.7, 0.1, 0.2),
        by_class=True,
        by_group=False,
        leaves_out=("normal",),
        notes=(
            "the paper: benign and malignant images; how they were split is not said",
            "chosen here: 7 : 1 : 2 in each class, images at random",
        ),
    ),
}
_NERVE_PROTOCOL = Protocol(
    paper="LAEDNet (2022)",
    fractions=(0.8, 0.1, 0.1),
    by_class=True,
    by_group=False,
    leaves_out=(),
    notes=(
        "the paper: a tenth of the images validates, and test images whose masks are not public",
        "chosen here: another tenth tests; repeats exchange training and validation only",
    ),
)


def protocol_of(name: str, layout: str) -> Protocol:
    """What the paper `name` did with a data set of this layout; DataError for another name."""
    if name not in PROTOCOLS:
        raise DataError(f"expected a protocol out of {', '.join(PROTOCOLS)}, got '{name}'")
    return _NERVE_PROTOCOL if (name, layout) == ("laednet", _NERVE) else PROTOCOLS[name]


def make_paper_split(
    dataset: Dataset,
    duplicates: Duplicates,
    name: str,
    *,
    seed: int,
    exchange: int = 0,
    excluded: Mapping[str, str] | None = None,
) -> Split:
    """Split `dataset` as the paper `name` did: duplicates, and often patients, will cross.

    The test images depend on `seed` alone; `exchange` deals the others anew to training and
    validation. `duplicates` only serve the split's groups, so that intervals stay honest. Raises
    DataError for an unknown name and for too few images to fill three parts.
    """
    protocol = protocol_of(name, dataset.layout)
    out = {
        case.id: f"protocol {name} leaves out the class {case.label}"
        for case in dataset.cases
        if case.label in protocol.leaves_out
    } | dict(excluded or {})
    rest = kept(dataset, out)
    dealt: tuple[set[str], ...] = (set(), set(), set())
    for stratum in _strata(rest, protocol):
        for part, items in zip(
            dealt, _drawn(stratum, protocol.fractions, seed, exchange), strict=True
        ):
            part.update(items)
    units = {case.id: case.group if protocol.by_group else case.id for case in rest.cases}
    parts = tuple(tuple(case.id for case in rest.cases if units[case.id] in part) for part in dealt)
    if not all(parts):
        raise DataError(
            f"{dataset.root}: expected enough images for the shares of protocol {name}, got "
            f"{len(rest.cases)}, which leaves a part empty; use --protocol safe"
        )
    drawn = f"drawn with seed {seed}, exchange {exchange}"
    notes = (f"as {protocol.paper} split", *protocol.notes, drawn)
    groups = joined_groups(dataset, duplicates)
    return finished(dataset, Dealt(name, seed, parts, groups, False, notes), out)


def _strata(dataset: Dataset, protocol: Protocol) -> list[list[str]]:
    """What is dealt, image or group, by class where the protocol says so; each once."""
    strata: dict[str, dict[str, None]] = {}
    for case in dataset.cases:
        unit = case.group if protocol.by_group else case.id
        strata.setdefault(case.label if protocol.by_class else "", {})[unit] = None
    return [list(units) for units in strata.values()]


def _drawn(
    items: Sequence[str], fractions: tuple[float, float, float], seed: int, exchange: int
) -> tuple[list[str], list[str], list[str]]:
    """Train, validation and test, each share rounded; the same on every machine."""
    _, validation, test = (round(share * len(items)) for share in fractions)
    shuffled = sorted(items, key=lambda item: hashed(seed, item))
    rest = sorted(shuffled[test:], key=lambda item: hashed(seed, f"{exchange}:{item}"))
    return rest[validation:], rest[:validation], shuffled[:test]
