"""Head circumference: exact ellipses, drawn lines, filled masks, and the figures of HC18."""

import csv
import json
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import SimpleITK

from featherseg.circumference import ellipse_of_mask, ellipse_of_outline
from featherseg.errors import ImageError
from featherseg.images.raster import read_mask
from featherseg.metrics.head import head_scores
from tests.conftest import Cli
from tests.test_shape import Part, around, elliptic

# What is promised of the real outlines, in millimeters: mean and largest |difference|.
OUTLINE_MM, OUTLINE_MOST_MM = 0.02, 0.05
FILLED_MM = 0.1


def drawn(radii: tuple[int, int], angle_deg: float, thickness_px: int) -> Part:
    canvas = np.zeros((300, 400), np.uint8)
    cv2.ellipse(canvas, (201, 148), radii, angle_deg, 0, 360, 1, thickness_px)
    return canvas > 0


@pytest.mark.parametrize("thickness", [1, 2, 3, 5])
@pytest.mark.parametrize("angle", [0, 30, 75])
def test_a_drawn_line_is_measured_through_its_middle(angle: int, thickness: int) -> None:
    found = ellipse_of_outline(drawn((120, 90), angle, thickness), (0.1, 0.1))
    assert found is not None
    assert found.circumference == pytest.approx(0.1 * around((120, 90)), rel=0.003)


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.1, 0.1), (0.3, 0.1)])
@pytest.mark.parametrize("angle", [0.0, 30.0, 75.0])
def test_a_filled_mask_is_measured_along_its_boundary(
    angle: float, spacing: tuple[float, float]
) -> None:
    radii = (100 * max(spacing), 70 * max(spacing))
    found = ellipse_of_mask(elliptic(radii, angle, spacing), spacing)
    assert found is not None
    assert found.circumference == pytest.approx(around(radii), rel=0.0005)


def test_holes_specks_and_the_image_border_do_not_matter() -> None:
    mask = elliptic((100, 70), 20)
    whole = ellipse_of_mask(mask)
    spoiled = mask.copy()
    spoiled[90:100, 90:110] = False
    spoiled[2, 2] = True
    assert ellipse_of_mask(spoiled) == whole
    assert whole is not None
    cut = ellipse_of_mask(mask[:, 25:])
    assert cut is not None
    assert cut.circumference == pytest.approx(whole.circumference, rel=0.002)


def test_what_is_no_head() -> None:
    assert ellipse_of_mask(np.zeros((9, 9), bool)) is None
    assert ellipse_of_outline(np.zeros((9, 9), bool)) is None
    assert ellipse_of_outline(np.eye(9, dtype=bool)) is None
    with pytest.raises(ImageError, match=r"got a drawn outline.*--outline"):
        ellipse_of_mask(drawn((120, 90), 0, 2))


def test_the_scores_of_hc18() -> None:
    truth, found = elliptic((60, 45), 0), elliptic((60, 45), 0)
    found[:, :-4] = found[:, 4:]  # the same head, four pixels to the left
    scores = head_scores(truth, found, (0.2, 0.2))
    assert scores.df_mm == pytest.approx(0.0, abs=0.01)
    assert scores.hd_mm == pytest.approx(0.8)
    sitk: Any = SimpleITK
    overlap = sitk.LabelOverlapMeasuresImageFilter()
    images: list[Any] = [sitk.GetImageFromArray(part.astype(np.uint8)) for part in (truth, found)]
    overlap.Execute(*images)
    assert scores.dice == pytest.approx(overlap.GetDiceCoefficient())
    smaller = head_scores(truth, elliptic((60, 45), 0) & (np.indices(truth.shape)[0] > 40), (1, 1))
    assert smaller.df_mm < 0 < smaller.adf_mm == -smaller.df_mm
    larger = head_scores(truth, truth, (0.2, 0.2), true_circumference_mm=60.0)
    assert larger.df_mm == pytest.approx(0.2 * around((60, 45)) - 60.0, abs=0.05)
    assert (larger.hd_mm, larger.dice) == (0.0, 1.0)


def test_a_missed_head_counts() -> None:
    truth = elliptic((30, 20), 0)
    nothing = np.zeros_like(truth)
    scores = head_scores(truth, nothing, (0.5, 0.25))
    assert scores.adf_mm == pytest.approx(head_scores(truth, truth, (0.5, 0.25)).circumference_mm)
    assert (scores.circumference_mm, scores.dice) == (0.0, 0.0)
    assert scores.hd_mm == math.hypot(0.5 * truth.shape[0], 0.25 * truth.shape[1])
    with pytest.raises(ImageError, match="expected a true mask with a head"):
        head_scores(nothing, truth, (1.0, 1.0))
    with pytest.raises(ImageError, match="two positive numbers"):
        head_scores(truth, truth, (0.0, 1.0))


def test_the_verb(tmp_path: Path, cli: Cli) -> None:
    cv2.imwrite(str(tmp_path / "head.png"), elliptic((60, 45), 0).astype(np.uint8) * 255)
    cv2.imwrite(str(tmp_path / "line.png"), drawn((120, 90), 0, 2).astype(np.uint8) * 255)
    spacing = ("--spacing-mm", 0.1, 0.1)
    ended = cli("measure", tmp_path / "head.png", *spacing, "--circumference", "--json")
    (mask,) = json.loads(ended.out)["masks"]
    (found,) = mask["measurements"]
    assert found["circumference_mm"] == pytest.approx(0.1 * around((60, 45)), rel=0.001)
    assert found["circumference_px"] == pytest.approx(around((60, 45)), rel=0.001)
    assert (
        "circumference 33" in cli("measure", tmp_path / "head.png", *spacing, "--circumference").out
    )
    ended = cli("measure", tmp_path / "line.png", "--outline", *spacing)
    assert "foreground: circumference 66" in ended.out
    ended = cli("measure", tmp_path / "line.png", "--circumference")
    assert ended.code == 1
    assert "line.png: expected a filled mask" in ended.err


def test_the_figures_of_hc18(data_root: Path) -> None:
    folder = data_root / "HC18"
    if not folder.is_dir():
        pytest.skip("HC18 not found in the folder of real data")
    with (folder / "training_set_pixel_size_and_HC.csv").open() as file:
        rows = list(csv.reader(file))[1:]
    from_line, from_mask = [], []
    for name, pixel_mm, circumference_mm in rows[::6]:
        path = folder / "training_set" / name.replace(".png", "_Annotation.png")
        spacing = (float(pixel_mm), float(pixel_mm))
        line = read_mask(path) > 0
        by_line = ellipse_of_outline(line, spacing)
        by_mask = ellipse_of_mask(inside(line), spacing)
        assert by_line is not None
        assert by_mask is not None
        from_line.append(abs(by_line.circumference - float(circumference_mm)))
        from_mask.append(abs(by_mask.circumference - float(circumference_mm)))
    assert np.mean(from_line) <= OUTLINE_MM
    assert max(from_line) <= OUTLINE_MOST_MM
    assert np.mean(from_mask) <= FILLED_MM


def inside(line: Part) -> Part:
    """What a line of two pixels encloses, up to its middle: filled from outside, one pixel less."""
    height, width = line.shape
    flooded = np.zeros((height + 2, width + 2), np.uint8)
    flooded[1:-1, 1:-1] = line
    cv2.floodFill(flooded, None, (0, 0), 2)
    outer = (flooded != 2).astype(np.uint8)
    return cv2.erode(outer, np.ones((3, 3), np.uint8))[1:-1, 1:-1] > 0
