"""What every finding means and what to do about it, for the terminal, the page and the docs."""

from dataclasses import dataclass
from typing import Any, Literal

from featherseg.audit.balance import ALL
from featherseg.audit.findings import Audit, Quantiles, size_text

Level = Literal["mend", "judge", "know"]
LEVELS: dict[Level, str] = {
    "mend": "Mend before anything else",
    "judge": "Look at and decide",
    "know": "Good to know",
}


@dataclass(frozen=True)
class Kind:
    """A kind of finding; ``key`` is its key in JSON and its field of `Audit`."""

    key: str
    title: str
    level: Level
    meaning: str
    advice: str


KINDS = (
    Kind(
        "unreadable",
        "Unreadable files",
        "mend",
        "They cannot be decoded; training and scoring stop at them.",
        "Export them again, or take the cases out.",
    ),
    Kind(
        "size_mismatch",
        "Masks of another size",
        "mend",
        "The mask is not on its image's grid, so nothing says which pixel it means.",
        "Export the masks at the size of their images.",
    ),
    Kind(
        "crossings",
        "Leaks across the split",
        "mend",
        "One picture, patient or case is in several parts: the test then asks what was learned.",
        "Make the split again with featherseg data split.",
    ),
    Kind(
        "outlines",
        "Unfilled outlines",
        "mend",
        "The mask is a drawn line: a network would learn the line, not what it surrounds.",
        "Fill them with featherseg data fix-outlines.",
    ),
    Kind(
        "contradictions",
        "Contradicting labels",
        "mend",
        "One picture has several classes, or a lesion in one copy and none in the other.",
        "Ask who labeled them; take out copies that nobody can decide on.",
    ),
    Kind(
        "mask_values",
        "Odd mask values",
        "mend",
        "Values that are no label, as JPEG or smoothing leaves behind at edges.",
        "Export masks as PNG without smoothing.",
    ),
    Kind(
        "duplicates_across_groups",
        "One picture in several groups",
        "mend",
        "A group is a patient or exam, but these groups share a picture.",
        "Join the groups; featherseg data split keeps them together anyhow.",
    ),
    Kind(
        "duplicate_groups",
        "Duplicates",
        "judge",
        "Several images show one picture: dealt to train and test, they make scores too good.",
        "Split with featherseg data split, which keeps them together, or keep one of each.",
    ),
    Kind(
        "exact_duplicates",
        "Equal pixels",
        "judge",
        "Duplicates of the same pixels; they are among the duplicates above.",
        "Keep one of each.",
    ),
    Kind(
        "inconsistent_masks",
        "Duplicates with unlike masks",
        "judge",
        "The masks of one picture overlap by a Dice below 0.8: more than a cut explains.",
        "Look which one is right; as they are, no model can fit both.",
    ),
    Kind(
        "calipers",
        "Burned-in calipers",
        "judge",
        "Measuring crosses or dotted lines end at the lesion: a network may learn them instead.",
        "Compare scores with and without them: featherseg evaluate --stress.",
    ),
    Kind(
        "burned_in_text",
        "Burned-in text",
        "judge",
        "Letters or digits in the picture: they may name a patient, a view or a device.",
        "Check that they identify nobody; crop them where they stand beside the picture.",
    ),
    Kind(
        "color_overlays",
        "Color in gray images",
        "judge",
        "Doppler boxes or colored marks in otherwise gray images.",
        "Decide whether such images belong to the task.",
    ),
    Kind(
        "small_images",
        "Small images",
        "judge",
        "A side is shorter than half of the median: details are missing, or the cut is another.",
        "Decide whether they belong to the task.",
    ),
    Kind(
        "constant_images",
        "Images of one gray value",
        "judge",
        "They show nothing.",
        "Take them out.",
    ),
    Kind(
        "multi_component",
        "Masks in several parts",
        "know",
        "Several lesions, one drawn in parts, or specks of up to a hundredth of the largest.",
        "Remove specks; where parts are usual, keep all components after a prediction.",
    ),
    Kind(
        "multi_mask",
        "Cases with several mask files",
        "know",
        "They are united: every reader that takes only the first loses lesions.",
        "Nothing to do here; for another tool, unite them.",
    ),
    Kind(
        "holes",
        "Holes in masks",
        "know",
        "Enclosed background inside a mask; a few pixels are a slip of the pen.",
        "Fill small ones, unless the structure has holes.",
    ),
    Kind(
        "empty",
        "Empty masks",
        "know",
        "Images without a lesion; a metric that ignores them hides false alarms.",
        "Keep them in training and test, and report presence beside Dice.",
    ),
)


def findings_of(audit: Audit, kind: Kind) -> tuple[Any, ...]:
    """The findings of one kind; none where it was not looked for."""
    return tuple(getattr(audit, kind.key) or ())


def not_found(audit: Audit) -> tuple[str, ...]:
    """Titles, in lower case, of what was looked for in vain; leaks only where a split was given."""
    return tuple(
        kind.title.lower()
        for kind in KINDS
        if getattr(audit, kind.key) is not None and not findings_of(audit, kind)
    )


def cases_of(finding: Any) -> tuple[str, ...]:
    """The case ids of one finding of any kind."""
    if isinstance(finding, str):
        return (finding,)
    if isinstance(finding, tuple):
        return finding
    cases = getattr(finding, "cases", None)
    return (finding.case,) if cases is None else tuple(cases)


def remark(finding: Any) -> str:
    """What there is to say of one finding besides its cases, '' for nothing."""
    return str(getattr(finding, "remark", ""))


def overview(audit: Audit) -> tuple[tuple[str, str], ...]:
    """Name and value of what the data set is made of."""
    rows = [("Images", str(audit.images)), ("Different pictures", _distinct(audit))]
    if set(audit.classes) != {""}:
        classes = (
            f"{name or 'no class'} {count.images} ({100 * count.share:.0f} %)"
            for name, count in audit.classes.items()
        )
        rows.append(("Classes", ", ".join(classes)))
    marked = sum(count.with_lesion for count in audit.classes.values())
    rows.append(("Masks", f"{marked} with something marked, {len(audit.empty)} empty"))
    if ALL in audit.lesion_area:
        rows.append(("Marked area", f"{_percent(audit.lesion_area[ALL])} of the image"))
    if audit.image_sizes is not None:
        rows.append(("Image size", _sizes(audit)))
    groups = audit.group_sizes
    if groups.groups < audit.images:
        each = groups.images_each
        of = f"of {each.min:.0f} to {each.max:.0f} images"
        rows.append(("Groups", f"{groups.groups} {of}; the largest is {groups.largest}"))
    else:
        rows.append(("Groups", "every image is its own: no patient or exam is known"))
    return tuple(rows)


def _distinct(audit: Audit) -> str:
    return (
        f"{audit.distinct} (by correlation alone {audit.distinct_by_correlation}, "
        f"by hash alone {audit.distinct_by_hash})"
    )


def _percent(area: Quantiles) -> str:
    low, middle, high = (f"{100 * share:.2g}" for share in (area.min, area.median, area.max))
    return f"{low} to {high} %, median {middle} %"


def _sizes(audit: Audit) -> str:
    sizes = audit.image_sizes
    if sizes is None:
        return "none readable"
    if sizes.different == 1:
        return f"{size_text(sizes.commonest)} (height x width)"
    ranges = (f"{side.min:.0f} to {side.max:.0f}" for side in (sizes.height, sizes.width))
    return (
        f"{' x '.join(ranges)} (height x width), {sizes.different} different; "
        f"commonest {size_text(sizes.commonest)} ({sizes.images_of_commonest})"
    )
