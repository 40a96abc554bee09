"""Presence is a question about images."""

from featherseg.metrics.presence import Presence, presence


def test_any_pixel_found_in_an_image_with_a_lesion_counts_as_seen() -> None:
    areas = [(100, 1), (1, 100), (5, 0), (0, 2), (0, 1), (0, 0), (0, 0), (0, 0)]
    assert presence(areas) == Presence(seen=2, missed=1, false_alarms=2, true_negatives=3)


def test_no_image_gives_no_counts() -> None:
    assert presence([]) == Presence(seen=0, missed=0, false_alarms=0, true_negatives=0)
