"""The per-case table to the summary of an evaluation (summary.json).

Everything here can be made again from cases.csv: `summarize_cases` does. Only the stamp, which
says what was scored and what chose the model, comes from elsewhere. The keys are described in
docs/evaluation.md.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from featherseg.case_table import Row, cases_csv, read_cases_csv
from featherseg.errors import DataError
from featherseg.metrics import EMPTY_MASK_RULE
from featherseg.splits import Split
from featherseg.storage import sha256_bytes
from featherseg.summary.averages import AVERAGES, PART_AVERAGES, figures, known_averages
from featherseg.summary.baselines import all_empty
from featherseg.summary.confidence import calibration, selection
from featherseg.summary.subgroups import subgroups
from featherseg.summary.table import ScoredCase, gather
from featherseg.summary.worst import WORST_CASES, worst_cases

__all__ = [
    "AVERAGES",
    "SCHEMA",
    "WORST_CASES",
    "Stamp",
    "stamp_beside",
    "stamp_of",
    "summarize",
    "summarize_cases",
]

SCHEMA = "featherseg.summary/1"


@dataclass(frozen=True)
class Stamp:
    """What a summary is about, and what it rests on; None where it is not known.

    ``external`` says that the images are not those the model's split was made from;
    ``chosen_on`` names the subset that chose epoch, threshold and smallest area; ``model`` holds
    an id, a kind and the hashes of checkpoint and recipe, never a path. ``excluded`` counts, by
    reason, the cases that the split leaves out.
    """

    subset: str | None = None
    external: bool | None = None
    protocol: str | None = None
    split_sha256: str | None = None
    images_sha256: str | None = None
    chosen_on: str | None = None
    model: Mapping[str, str] = field(default_factory=dict)
    excluded: Mapping[str, int] | None = None

    def __post_init__(self) -> None:
        """Refuse to call a subset that chose anything a test."""
        if self.subset == "test" and self.chosen_on == "test":
            raise DataError(
                "the test subset chose this model's epoch or operating point: its scores are no "
                "test; choose on validation, or score the images as --subset all"
            )


def stamp_of(
    split: Split | None,
    *,
    subset: str,
    images_sha256: str,
    external: bool,
    chosen_on: str,
    model: Mapping[str, str],
) -> Stamp:
    """The stamp of a model's scores on the images of a split, or of data without one."""
    return Stamp(
        subset=subset,
        external=external,
        protocol=split.protocol if split else None,
        split_sha256=split.sha256 if split else None,
        images_sha256=images_sha256,
        chosen_on=chosen_on,
        model=model,
        excluded=dict(Counter((split.excluded or {}).values())) if split else None,
    )


def summarize(rows: Sequence[Row], stamp: Stamp) -> dict[str, Any]:
    """The summary of a per-case table, ready for JSON.

    With several labels an image's value is the mean over its labels, and `per_label` holds
    each label's own. Raises DataError for a table without cases or with rows missing.
    """
    cases = gather(rows)
    labels = list(cases[0].labels)
    names = known_averages(cases)
    calibrated = calibration(cases)
    summary: dict[str, Any] = {
        "schema": SCHEMA,
        **asdict(stamp),
        "cases_sha256": sha256_bytes(cases_csv(rows).encode()),
        "rule": list(EMPTY_MASK_RULE),
        **figures(cases, labels, names),
        **({"calibration": calibrated} if calibrated else {}),
        **selection(cases, labels),
        "baselines": {"all_empty": all_empty(cases, labels, names)},
        "per_class": _parts(_by_class(cases), labels, names),
        "per_subgroup": _parts(subgroups(cases, labels), labels, names),
    }
    if len(labels) > 1:
        summary["per_label"] = {
            label: figures(cases, [label], _part_names(names)) for label in labels
        }
    return {**summary, "worst_cases": worst_cases(cases)}


def summarize_cases(path: Path) -> dict[str, Any]:
    """Make the summary of a cases.csv again.

    The stamp is taken from the summary.json beside it where there is one; no figure is.
    """
    rows = read_cases_csv(path)
    return summarize(rows, stamp_beside(path))


def _by_class(cases: Sequence[ScoredCase]) -> dict[str, list[ScoredCase]]:
    return {
        name: [case for case in cases if case.class_name == name]
        for name in sorted({case.class_name for case in cases} - {""})
    }


def _parts(
    parts: Mapping[str, Sequence[ScoredCase]], labels: Sequence[str], names: Sequence[str]
) -> dict[str, Any]:
    return {name: figures(part, labels, _part_names(names)) for name, part in parts.items()}


def _part_names(names: Sequence[str]) -> list[str]:
    return [name for name in names if name in PART_AVERAGES]


def stamp_beside(path: Path) -> Stamp:
    """The stamp in the summary.json beside a table; an empty one where there is none."""
    beside = path.with_name("summary.json")
    if not beside.is_file():
        return Stamp()
    try:
        # Older summaries do not count what was left out.
        known = {"excluded": None, **json.loads(beside.read_text(encoding="utf-8"))}
        return Stamp(**{name: known[name] for name in Stamp.__dataclass_fields__})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{beside}: expected a summary of FeatherSeg ({error}); move it away to go without"
        ) from error
