"""Calibration and confidence as a part of a report."""

from featherseg.report.confidence import confidence_section, reliability_svg

BINS = [
    {"low": 0.0, "high": 0.1, "share": 0.6, "probability": 0.03, "true": 0.1},
    {"low": 0.9, "high": 1.0, "share": 0.4, "probability": 0.97, "true": 0.8},
]


def test_nothing_is_said_where_nothing_is_known() -> None:
    assert confidence_section({}) == ()


def test_values_are_those_of_the_summary() -> None:
    summary = {
        "calibration": {"ece": 0.1234, "bins": BINS},
        "aurc": {"value": 0.2, "best": 0.1, "random": 0.3, "n": 9},
        "failures": {
            "n": 9,
            "n_failed": 2,
            "dice_below": 0.5,
            "auroc_confidence": 0.875,
            "auroc_flagged": None,
        },
    }
    (section,) = confidence_section(summary)
    values = dict(section.table)
    assert values["Expected calibration error"] == "0.123"
    assert "2 of 9 images with a Dice below 0.5" in values["Failures"]
    assert any(value == "0.875" for value in values.values())
    assert any(value == "not defined here" for value in values.values())
    assert any(
        "0.200" in value and "0.100" in value and "0.300" in value for value in values.values()
    )
    assert section.figures[0].startswith("<svg")


def test_a_confidence_without_probabilities_has_no_plot() -> None:
    summary = {"aurc": {"value": 0.2, "best": 0.1, "random": 0.3, "n": 9}}
    (section,) = confidence_section(summary)
    assert section.figures == ()
    assert len(section.table) == 1


def test_the_plot_has_a_mark_for_each_bin() -> None:
    assert reliability_svg(BINS).count("<use ") >= len(BINS)
