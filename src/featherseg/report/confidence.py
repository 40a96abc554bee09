"""Whether a model's probabilities and its confidence can be believed, as a part of a report."""

from collections.abc import Mapping, Sequence
from typing import Any

from featherseg.report.figures import INK, PALETTE, panels, style, to_svg
from featherseg.report.section import Section

_SIZE_INCHES = (7.2, 3.3)
_LARGEST_MARK, _SMALLEST_MARK = 11.0, 3.0

Summary = Mapping[str, Any]


def confidence_section(summary: Summary) -> tuple[Section, ...]:
    """Calibration and the worth of the confidence; nothing where the table has neither."""
    calibration = summary.get("calibration")
    rows = [*_selection_rows(summary), *_failure_rows(summary)]
    if calibration:
        rows = [("Expected calibration error", f"{calibration['ece']:.3f}"), *rows]
    if not rows:
        return ()
    text = (
        "Calibrated means: of all pixels with a probability of 0.7, seven in ten are lesion. "
        "A confidence is worth having when the images it is lowest for are those that fail.",
    )
    figures = (reliability_svg(calibration["bins"]),) if calibration else ()
    return (Section("Can it be believed?", text, tuple(rows), figures=figures),)


def _selection_rows(summary: Summary) -> list[tuple[str, str]]:
    aurc = summary.get("aurc")
    if not aurc:
        return []
    return [
        (
            "Area under the risk-coverage curve (risk: 1 - Dice; lower is better)",
            f"{aurc['value']:.3f}; with the best order of images {aurc['best']:.3f}, "
            f"with a random one {aurc['random']:.3f}",
        )
    ]


def _failure_rows(summary: Summary) -> list[tuple[str, str]]:
    failures = summary.get("failures")
    if not failures:
        return []
    count = f"{failures['n_failed']} of {failures['n']} images with a Dice below "
    rows = [("Failures", f"{count}{failures['dice_below']:g}")]
    for key, name in (
        ("auroc_confidence", "How well the confidence tells failures (AUROC; 0.5 is chance)"),
        ("auroc_flagged", "How well the flag 'unlike the training images' tells failures (AUROC)"),
    ):
        value = failures[key]
        rows.append((name, "not defined here" if value is None else f"{value:.3f}"))
    return rows


def reliability_svg(bins: Sequence[Mapping[str, float]]) -> str:
    """The reliability plot: stated probability against the share that is lesion.

    A mark is a bin, larger where more pixels are; the diagonal is perfect calibration.
    """
    largest = max(each["share"] for each in bins)
    with style("reliability"):
        figure, (axes,) = panels(1, 1, _SIZE_INCHES)
        axes.set_title("Reliability near the true outline")
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle="--")
        axes.plot(
            [each["probability"] for each in bins],
            [each["true"] for each in bins],
            color=PALETTE[0],
            linewidth=1.2,
        )
        for each in bins:
            size = _SMALLEST_MARK + (_LARGEST_MARK - _SMALLEST_MARK) * each["share"] / largest
            axes.plot(
                [each["probability"]],
                [each["true"]],
                "o",
                color=PALETTE[0],
                markersize=size,
                clip_on=False,
            )
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_xlabel("stated probability")
        axes.set_ylabel("share that is lesion")
        return to_svg(figure)
