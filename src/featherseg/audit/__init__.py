"""What is wrong with a data set, before anything is learned from it.

Nothing here stops at a bad file: every finding names its case, and the whole is one JSON value.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from featherseg.audit.balance import (
    class_counts,
    group_sizes,
    image_sizes,
    lesion_areas,
    small_images,
)
from featherseg.audit.findings import Audit, Components, Holes, SeveralMasks
from featherseg.audit.leaks import (
    GivenSplit,
    crossings,
    from_split,
    read_given_split,
    unassigned,
)
from featherseg.audit.look import ImageFacts, Look, look_at
from featherseg.audit.pairs import across_groups, contradictions, inconsistent_masks
from featherseg.datasets import Dataset, expected_counts
from featherseg.duplicates import Duplicates, count_distinct, group_duplicates
from featherseg.splits import Split
from featherseg.types import Case

Progress = Callable[[Sequence[Case]], Iterable[Case]]


def audit(
    dataset: Dataset, split: Split | GivenSplit | None = None, progress: Progress = iter
) -> Audit:
    """Read every image and mask once and report what is wrong with them.

    `split` is looked through for groups and duplicates that cross it; whether it was made for
    this data set is `featherseg.splits.check_split`'s to say.
    """
    looks = {case.id: look_at(dataset, case) for case in progress(dataset.cases)}
    signatures = {n: look.image.signature for n, look in looks.items() if look.image is not None}
    duplicates = group_duplicates(signatures)
    return _audit(
        dataset, looks, duplicates, from_split(split) if isinstance(split, Split) else split
    )


def _audit(
    dataset: Dataset,
    looks: Mapping[str, Look],
    duplicates: Duplicates,
    split: GivenSplit | None,
) -> Audit:
    every, groups, pairs = tuple(looks.values()), duplicates.groups, duplicates.pairs
    names = tuple(name for name, look in looks.items() if look.image is not None)
    return Audit(
        layout=dataset.layout,
        images=len(dataset.cases),
        distinct=count_distinct(names, pairs),
        distinct_by_correlation=count_distinct(names, (p for p in pairs if p.is_correlated)),
        distinct_by_hash=count_distinct(names, (p for p in pairs if p.is_hash_alike)),
        exact_duplicates=duplicates.exact,
        duplicate_groups=groups,
        duplicates_across_groups=across_groups(groups, looks),
        contradictions=contradictions(groups, looks),
        inconsistent_masks=inconsistent_masks(dataset, groups, looks),
        unreadable=tuple(one for look in every for one in look.unreadable),
        size_mismatch=tuple(one for look in every for one in look.size_mismatch),
        mask_values=tuple(one for look in every for one in look.mask_values),
        outlines=tuple(look.case.id for look in every if look.mask and look.mask.is_outline),
        multi_component=_multi_component(every),
        multi_mask=tuple(
            SeveralMasks(look.case.id, len(look.case.masks))
            for look in every
            if len(look.case.masks) > 1
        ),
        holes=tuple(
            Holes(look.case.id, look.mask.holes, look.mask.hole_area_px)
            for look in every
            if look.mask and look.mask.holes
        ),
        empty=tuple(look.case.id for look in every if look.has_lesion is False),
        calipers=_where(every, lambda image: image.has_calipers),
        burned_in_text=_where(every, lambda image: image.has_text),
        color_overlays=_where(every, lambda image: image.has_color_overlay),
        small_images=small_images(every),
        constant_images=_where(every, lambda image: image.is_constant),
        classes=class_counts(every),
        lesion_area=lesion_areas(every),
        image_sizes=image_sizes(every),
        group_sizes=group_sizes(every),
        expected=expected_counts(dataset),
        crossings=None if split is None else crossings(dataset, duplicates, split),
        split_intact=None if split is None else split.is_intact,
        unassigned=None if split is None else unassigned(dataset, split),
        not_in_data=None if split is None else split.not_in_data,
    )


def _where(looks: Iterable[Look], is_so: Callable[[ImageFacts], bool]) -> tuple[str, ...]:
    return tuple(look.case.id for look in looks if look.image is not None and is_so(look.image))


def _multi_component(looks: Iterable[Look]) -> tuple[Components, ...]:
    return tuple(
        Components(look.case.id, look.mask.components, look.mask.specks)
        for look in looks
        if look.mask and look.mask.components > 1
    )


__all__ = ["Audit", "GivenSplit", "audit", "read_given_split"]
