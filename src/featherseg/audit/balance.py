"""How a data set is made up: classes, lesion areas, image sizes, groups."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from featherseg.audit.findings import ClassCount, GroupSizes, ImageSizes, OddSize, Quantiles
from featherseg.audit.look import Look

# A side shorter than this share of the data set's median side is not usual.
_SMALL_SHARE = 0.5
_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
_SHARE_DIGITS, _DIGITS = 5, 2
# What stands beside the classes for all of them.
ALL = "all"


def quantiles(values: Sequence[float], digits: int = _DIGITS) -> Quantiles:
    """Minimum, 5, 25, 50, 75, 95 % and maximum of one value or more, linearly interpolated."""
    found = np.quantile(np.asarray(values, np.float64), _QUANTILES)
    return Quantiles(len(values), *(round(float(value), digits) for value in found))


def class_counts(looks: Sequence[Look]) -> dict[str, ClassCount]:
    """Class -> its images, in the order of first sight; '' where images have no class."""
    images = Counter(look.case.label for look in looks)
    lesions = Counter(look.case.label for look in looks if look.has_lesion)
    return {
        label: ClassCount(count, lesions[label], round(count / len(looks), _SHARE_DIGITS))
        for label, count in images.items()
    }


def lesion_areas(looks: Sequence[Look]) -> dict[str, Quantiles]:
    """Share of the image that is lesion, in [0, 1]: "all" and each class, empty masks left out."""
    shares: dict[str, list[float]] = {ALL: []}
    for look in looks:
        if look.mask is not None and look.mask.share:
            shares["all"].append(look.mask.share)
            if look.case.label not in ("", ALL):
                shares.setdefault(look.case.label, []).append(look.mask.share)
    return {name: quantiles(each, _SHARE_DIGITS) for name, each in shares.items() if each}


def image_sizes(looks: Sequence[Look]) -> ImageSizes | None:
    """Sizes of the readable images; None where there is none."""
    sizes = Counter(look.image.size for look in looks if look.image is not None)
    if not sizes:
        return None
    commonest, count = sizes.most_common(1)[0]
    heights, widths = zip(*sizes.elements(), strict=True)
    return ImageSizes(len(sizes), commonest, count, quantiles(heights), quantiles(widths))


def small_images(looks: Sequence[Look]) -> tuple[OddSize, ...]:
    """Images with a side shorter than half of the median."""
    sizes = {look.case.id: look.image.size for look in looks if look.image is not None}
    if not sizes:
        return ()
    least = _SMALL_SHARE * np.median(np.array(list(sizes.values())), axis=0)
    return tuple(
        OddSize(name, size)
        for name, size in sizes.items()
        if size[0] < least[0] or size[1] < least[1]
    )


def group_sizes(looks: Sequence[Look]) -> GroupSizes:
    """How many images a group (patient, exam) has; every case is its own where none is known."""
    counts = Counter(look.case.group for look in looks)
    return GroupSizes(len(counts), quantiles(list(counts.values())), counts.most_common(1)[0][0])
