"""What an audit can find: one frozen value a finding, and all of them as one JSON value."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

Size = tuple[int, int]
Group = tuple[str, ...]
# What JSON leaves out where no split was given.
_OF_A_SPLIT = ("crossings", "split_intact", "unassigned", "not_in_data")


def counted(number: int, what: str) -> str:
    """A number with its noun: 1 hole, 2 holes."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def size_text(size: Size) -> str:
    """Height and width for people: 480x640."""
    return f"{size[0]}x{size[1]}"


@dataclass(frozen=True)
class Unreadable:
    """A file that cannot be decoded, and why."""

    case: str
    file: str
    reason: str

    @property
    def remark(self) -> str:
        """What there is to say besides the cases."""
        return self.reason


@dataclass(frozen=True)
class SizeMismatch:
    """A mask file that is not on its image's grid; sizes in pixels, (height, width)."""

    case: str
    file: str
    image: Size
    mask: Size

    @property
    def remark(self) -> str:
        """What there is to say besides the cases."""
        return f"{self.file}: mask {size_text(self.mask)}, image {size_text(self.image)}"


@dataclass(frozen=True)
class OddValues:
    """A mask file with values that are no label (the first few of them).

    In binary masks that is more than one value besides 0, as JPEG or smoothing leaves behind;
    in label maps a value above the number of labels.
    """

    case: str
    file: str
    values: tuple[int, ...]

    @property
    def remark(self) -> str:
        """What there is to say besides the cases."""
        return f"{self.file}: values {', '.join(map(str, self.values))}"


@dataclass(frozen=True)
class Components:
    """A mask in several parts; ``specks`` of them have at most a hundredth of the largest's area.

    Of a label map the label with the most parts is counted (8-neighborhood).
    """

    case: str
    components: int
    specks: int

    @property
    def remark(self) -> str:
        """What there is to say besides the cases."""
        specks = f", {self.specks} of them tiny" if self.specks else ""
        return f"{self.components} parts{specks}"


@dataclass(frozen=True)
class Holes:
    """A mask with ``holes`` enclosed regions of background, ``area_px`` pixels together."""

    case: str
    holes: int
    area_px: int

    @property
    def remark(self) -> str:
        """What there is to say besides the cases."""
        return f"{counted(self.holes, 'hole')}, {counted(self.area_px, 'pixel')}"


@dataclass(frozen=True)
class SeveralMasks:
    """A case with several mask files, which are united."""

    case: str
    files: int

    @property
    def remark(self) -> str:
        """What there is to say besides the cases."""
        return f"{self.files} mask files"


@dataclass(frozen=True)
class OddSize:
    """An image far smaller than usual in its data set; size in pixels, (height, width)."""

    case: str
    size: Size

    @property
    def remark(self) -> str:
        """What there is to say besides the cases."""
        return f"{size_text(self.size)} pixels"


@dataclass(frozen=True)
class Contradiction:
    """One picture under several classes, or with a lesion here and none there."""

    cases: Group
    classes: tuple[str, ...]
    differs: tuple[str, ...]

    @property
    def remark(self) -> str:
        """What there is to say besides the cases."""
        classes = " / ".join(name or "no class" for name in self.classes)
        presence = "a lesion here, none there" if "presence" in self.differs else ""
        return "; ".join(filter(None, (classes if "class" in self.differs else "", presence)))


@dataclass(frozen=True)
class InconsistentMasks:
    """The two least alike masks of one picture: ``cases`` are two, ``dice`` is in [0, 1].

    ``is_resized`` where the two images differ in size and one mask was brought to the other's.
    """

    cases: Group
    dice: float
    is_resized: bool

    @property
    def remark(self) -> str:
        """What there is to say besides the cases."""
        resized = ", after resizing" if self.is_resized else ""
        return f"Dice {self.dice:.2f}{resized}"


@dataclass(frozen=True)
class Crossing:
    """What should stay together but lies in several parts of a split.

    ``why`` is "duplicate" (one picture), "group" (one patient or exam) or "case" (listed twice).
    """

    cases: Group
    parts: tuple[str, ...]
    why: str

    @property
    def remark(self) -> str:
        """What there is to say besides the cases."""
        return f"{self.why} in {' and '.join(self.parts)}"


@dataclass(frozen=True)
class ClassCount:
    """Images of one class, and how many of them have a lesion in their mask."""

    images: int
    with_lesion: int
    share: float


@dataclass(frozen=True)
class Quantiles:
    """How ``n`` values spread."""

    n: int
    min: float
    p5: float
    p25: float
    median: float
    p75: float
    p95: float
    max: float


@dataclass(frozen=True)
class ImageSizes:
    """Sizes in pixels, (height, width): how many different ones, and the commonest."""

    different: int
    commonest: Size
    images_of_commonest: int
    height: Quantiles
    width: Quantiles


@dataclass(frozen=True)
class GroupSizes:
    """How many ``groups`` (patients, exams) there are, and how many images one has."""

    groups: int
    images_each: Quantiles
    largest: str


@dataclass(frozen=True)
class Audit:
    """All findings.

    ``distinct`` counts the different pictures among the readable images, by either signal; the
    two counts after it are what each signal alone tells apart. ``empty`` lists cases whose mask
    has no lesion. ``lesion_area`` gives shares of the image, in [0, 1], of all images with a
    lesion ("all") and of each class. ``expected`` is, for an official release, class ->
    (expected, found). ``crossings``, ``split_intact``, ``unassigned`` (cases in no part) and
    ``not_in_data`` (names of a split file that are no case) are None where no split was given.
    """

    layout: str
    images: int
    distinct: int
    distinct_by_correlation: int
    distinct_by_hash: int
    exact_duplicates: tuple[Group, ...]
    duplicate_groups: tuple[Group, ...]
    duplicates_across_groups: tuple[Group, ...]
    contradictions: tuple[Contradiction, ...]
    inconsistent_masks: tuple[InconsistentMasks, ...]
    unreadable: tuple[Unreadable, ...]
    size_mismatch: tuple[SizeMismatch, ...]
    mask_values: tuple[OddValues, ...]
    outlines: tuple[str, ...]
    multi_component: tuple[Components, ...]
    multi_mask: tuple[SeveralMasks, ...]
    holes: tuple[Holes, ...]
    empty: tuple[str, ...]
    calipers: tuple[str, ...]
    burned_in_text: tuple[str, ...]
    color_overlays: tuple[str, ...]
    small_images: tuple[OddSize, ...]
    constant_images: tuple[str, ...]
    classes: Mapping[str, ClassCount]
    lesion_area: Mapping[str, Quantiles]
    image_sizes: ImageSizes | None
    group_sizes: GroupSizes
    expected: Mapping[str, tuple[int, int]]
    crossings: tuple[Crossing, ...] | None
    split_intact: bool | None
    unassigned: tuple[str, ...] | None
    not_in_data: tuple[str, ...] | None

    @property
    def warnings(self) -> tuple[str, ...]:
        """Remarks that are no failure: a release or a split that is not whole."""
        lines = [
            f"{label}: the official release has {expected} images, found {found}"
            for label, (expected, found) in self.expected.items()
            if expected != found
        ]
        if self.unassigned:
            lines.append(f"the split names no part for {len(self.unassigned)} of the images")
        if self.not_in_data:
            lines.append(f"the split names {len(self.not_in_data)} images that are not here")
        return tuple(lines)

    @property
    def is_usable(self) -> bool:
        """False where training would fail or a score would not be honest."""
        broken = self.unreadable or self.size_mismatch or self.crossings
        return not broken and self.split_intact is not False

    def to_json(self) -> dict[str, Any]:
        """The findings as one JSON value; the keys about a split only where one was given."""
        content = asdict(self)
        for key in _OF_A_SPLIT:
            if content[key] is None:
                del content[key]
        content["expected"] = {
            label: {"expected": expected, "found": found}
            for label, (expected, found) in self.expected.items()
        }
        return {**content, "warnings": list(self.warnings)}
