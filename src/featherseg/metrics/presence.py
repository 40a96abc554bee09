"""Whether a lesion is there at all: a question about images, not pixels."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Presence:
    """Counts of images: with a lesion that was seen or missed, without one, false or right."""

    seen: int
    missed: int
    false_alarms: int
    true_negatives: int


def presence(areas: Iterable[tuple[float, float]]) -> Presence:
    """Count images from pairs (area of the truth, area found), in any unit; 0 is "none".

    Any overlap or none: an image with a lesion where something was found counts as seen.

    >>> presence([(10, 9), (10, 0), (0, 3), (0, 0)])
    Presence(seen=1, missed=1, false_alarms=1, true_negatives=1)
    """
    answers = [(true > 0, found > 0) for true, found in areas]
    return Presence(
        seen=answers.count((True, True)),
        missed=answers.count((True, False)),
        false_alarms=answers.count((False, True)),
        true_negatives=answers.count((False, False)),
    )
