"""Names of averages: every average has one, the headline is short, units are named."""

import doctest

from featherseg.report import words
from featherseg.report.words import HEADLINE, METRIC_NAMES, averages
from featherseg.summary import AVERAGES, Stamp, summarize
from tests.scoring import box, rows_of


def test_every_average_has_a_name() -> None:
    assert set(METRIC_NAMES) == set(AVERAGES)
    assert set(HEADLINE) < set(AVERAGES)
    assert doctest.testmod(words).failed == 0


def test_units_and_the_tolerance_are_part_of_the_name() -> None:
    pixels = rows_of("a", box(5, 5), box(5, 6))
    named = [name for name, _, _ in averages(summarize(pixels, Stamp()), HEADLINE)]
    assert named[-4:] == ["HD95 (px)", "ASSD (px)", "NSD at 2 px", "Boundary IoU"]
    both = [*pixels, *rows_of("b", box(5, 5), box(5, 6), spacing_mm=(0.1, 0.1))]
    digits = {name: digits for name, digits, _ in averages(summarize(both, Stamp()))}
    assert digits["Area difference (mm2)"] == digits["HD95 (px)"] == 1
    assert (digits["HD95 (mm)"], digits["Brier score"]) == (2, 3)
