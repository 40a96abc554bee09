"""One self-contained HTML page from an audit: counts, what to do, and pictures of every finding.

No script, no request to anywhere. Every finding shows a few pictures and names all its cases.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2

import featherseg
from featherseg.audit.balance import ALL
from featherseg.audit.findings import Audit, counted
from featherseg.audit.words import (
    KINDS,
    LEVELS,
    Kind,
    Level,
    cases_of,
    findings_of,
    not_found,
    overview,
    remark,
)
from featherseg.datasets import Dataset
from featherseg.report.audit_pictures import thumbnail
from featherseg.types import Case

Progress = Callable[[Sequence["Exhibit"]], Iterable["Exhibit"]]

_TEMPLATE = "audit.html.j2"
# Pictures shown of a finding; 24 groups of three take 1 MB, a whole page a few.
_SHOWN: dict[Level, int] = {"mend": 24, "judge": 16, "know": 8}
# Pictures of one group of duplicates.
_SHOWN_OF_GROUP = 4
# The worst stand first where findings can be ranked; the others keep the order of the cases.
_WORST_FIRST: dict[str, Callable[[Any], float]] = {
    "inconsistent_masks": lambda finding: float(finding.dice),
    "holes": lambda finding: -float(finding.area_px),
    "multi_component": lambda finding: -float(finding.components),
    "duplicate_groups": lambda finding: -float(len(finding)),
}


@dataclass(frozen=True)
class Exhibit:
    """One finding to be shown: of kind ``key``, in the cases ``names``, with a remark."""

    key: str
    names: tuple[str, ...]
    remark: str


@dataclass(frozen=True)
class Shown:
    """An exhibit with its pictures: (title, class, data URI or '')."""

    exhibit: Exhibit
    pictures: tuple[tuple[str, str, str], ...]
    left_out: int


def render_audit(audit: Audit, dataset: Dataset, progress: Progress = iter) -> str:
    """The page as text; `dataset` is the audited one, whose images are read again.

    Write it with `storage.write_text`. `progress` sees the exhibits while they are drawn.
    """
    found = [(kind, each) for kind in KINDS if (each := findings_of(audit, kind))]
    exhibits = [one for kind, each in found for one in _exhibits(kind, each)]
    cases = {case.id: case for case in dataset.cases}
    shown: dict[str, list[Shown]] = {kind.key: [] for kind, _ in found}
    for exhibit in progress(exhibits):
        shown[exhibit.key].append(_drawn(exhibit, dataset, cases))
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("featherseg.report", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(_TEMPLATE).render(
        name=dataset.root.name,
        audit=audit,
        version=featherseg.__version__,
        levels=LEVELS,
        verdict=_verdict(audit),
        cards=_cards(audit, found),
        sections=[_section(kind, each, shown[kind.key]) for kind, each in found],
        absent=not_found(audit),
        overview=overview(audit),
        areas=_area_rows(audit),
        classes=_class_rows(audit),
    )


def _exhibits(kind: Kind, findings: tuple[Any, ...]) -> list[Exhibit]:
    if kind.key in _WORST_FIRST:
        findings = tuple(sorted(findings, key=_WORST_FIRST[kind.key]))
    shown = findings[: _SHOWN[kind.level]]
    return [Exhibit(kind.key, cases_of(finding), remark(finding)) for finding in shown]


def _drawn(exhibit: Exhibit, dataset: Dataset, cases: dict[str, Case]) -> Shown:
    names = exhibit.names[:_SHOWN_OF_GROUP]
    pictures = tuple(
        (name, cases[name].label, thumbnail(dataset, cases[name], exhibit.key)) for name in names
    )
    return Shown(exhibit, pictures, len(exhibit.names) - len(names))


def _section(kind: Kind, findings: tuple[Any, ...], shown: list[Shown]) -> dict[str, Any]:
    lines = [
        "; ".join(cases_of(finding)) + (f" ({said})" if (said := remark(finding)) else "")
        for finding in findings
    ]
    return {
        "kind": kind,
        "count": len(findings),
        "shown": shown,
        "more": len(findings) - len(shown),
        "lines": lines,
    }


def _verdict(audit: Audit) -> tuple[str, str]:
    """A style class and one sentence."""
    reasons = [
        counted(len(audit.unreadable), "unreadable file") if audit.unreadable else "",
        counted(len(audit.size_mismatch), "mask") + " of another size"
        if audit.size_mismatch
        else "",
        counted(len(audit.crossings), "leak") + " across the split" if audit.crossings else "",
        "a split file that was changed after it was made" if audit.split_intact is False else "",
    ]
    if not audit.is_usable:
        return "bad", f"Not usable as it is: {', '.join(filter(None, reasons))}."
    found = [
        kind.title.lower() for kind in KINDS if kind.level == "mend" and findings_of(audit, kind)
    ]
    if found:
        return "fair", f"It can be trained on, but should be mended first: {', '.join(found)}."
    return "good", "Nothing was found that must be mended. What to look at is listed below."


def _cards(audit: Audit, found: Sequence[tuple[Kind, tuple[Any, ...]]]) -> list[dict[str, str]]:
    mend = sum(len(each) for kind, each in found if kind.level == "mend")
    repeated = audit.images - len(audit.unreadable) - audit.distinct
    return [
        {"title": "Images", "value": str(audit.images), "remark": _with_lesion(audit)},
        {
            "title": "Different pictures",
            "value": str(audit.distinct),
            "remark": f"{max(0, repeated)} show one that is already there",
        },
        {
            "title": "Findings to mend",
            "value": str(mend),
            "remark": ", ".join(k.title.lower() for k, _ in found if k.level == "mend") or "none",
        },
        {
            "title": "With burned-in marks",
            "value": str(len({*audit.calipers, *audit.burned_in_text})),
            "remark": f"{len(audit.calipers)} with calipers, {len(audit.burned_in_text)} with text",
        },
    ]


def _with_lesion(audit: Audit) -> str:
    return f"{sum(count.with_lesion for count in audit.classes.values())} with something marked"


def _class_rows(audit: Audit) -> list[dict[str, str]]:
    if set(audit.classes) == {""}:
        return []
    return [
        {
            "name": name or "no class",
            "images": str(count.images),
            "with_lesion": str(count.with_lesion),
            "share": f"{100 * count.share:.1f}",
        }
        for name, count in audit.classes.items()
    ]


def _area_rows(audit: Audit) -> list[dict[str, str]]:
    """Lesion areas in percent of the image, with a bar from the 5th to the 95th percentile."""
    areas = audit.lesion_area
    if ALL not in areas:
        return []
    scale = 100 / areas[ALL].max
    return [
        {
            "name": name,
            "n": str(area.n),
            "range": f"{100 * area.p5:.2g} to {100 * area.p95:.2g}",
            "median": f"{100 * area.median:.2g}",
            "left": f"{scale * area.p5:.1f}",
            "width": f"{scale * (area.p95 - area.p5):.1f}",
            "mark": f"{scale * area.median:.1f}",
        }
        for name, area in areas.items()
    ]
