"""Surface distances against MONAI, SimpleITK, stored values, and all pairs of pixels."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from featherseg.images.raster import read_mask
from featherseg.metrics import score_masks
from featherseg.metrics.surface import (
    assd,
    hd,
    hd95,
    hd95_pooled,
    nsd,
    scaled,
    surface,
    surface_distances,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import monai.metrics

# Neither states the types of what it exports.
sitk: Any = SimpleITK
reference_metrics: Any = monai.metrics

Part = NDArray[np.bool_]
Spacing = tuple[float, float]
SPACINGS = [(1.0, 1.0), (0.1, 0.2), (3.0, 0.5)]


def all_pairs(truth: Part, found: Part, spacing: Spacing) -> tuple[float, float]:
    """HD95 and ASSD the slow way: outlines by looking at neighbors, every pair of pixels."""
    edges = [outline(truth) * spacing, outline(found) * spacing]
    distances = np.linalg.norm(edges[0][:, None] - edges[1][None], axis=2)
    there, back = distances.min(axis=1), distances.min(axis=0)
    percentiles = [float(np.percentile(each, 95)) for each in (there, back)]
    return max(percentiles), float(np.concatenate((there, back)).mean())


def outline(part: Part) -> NDArray[np.float64]:
    padded = np.pad(part, 1)
    height, width = part.shape
    return np.array(
        [
            (row, column)
            for row in range(height)
            for column in range(width)
            if part[row, column]
            and not (
                padded[row, column + 1]
                and padded[row + 2, column + 1]
                and padded[row + 1, column]
                and padded[row + 1, column + 2]
            )
        ],
        np.float64,
    )


def blobs(seed: int, size: tuple[int, int] = (48, 40), level: float = 0.55) -> Part:
    noise = np.random.default_rng(seed).random((size[0] // 8, size[1] // 8))
    return np.asarray(np.kron(noise, np.ones((8, 8))) > level, np.bool_)


def scored(truth: Part, found: Part, spacing: Spacing) -> tuple[float, float]:
    distances = surface_distances(truth, found, spacing)
    assert distances is not None
    return hd95(distances), assd(distances)


def monai_scores(truth: Part, found: Part, spacing: Spacing) -> tuple[float, float]:
    pair = [torch.from_numpy(part)[None, None].float() for part in (found, truth)]
    largest = reference_metrics.compute_hausdorff_distance(
        *pair, include_background=True, percentile=95, spacing=list(spacing)
    )
    average = reference_metrics.compute_average_surface_distance(
        *pair, include_background=True, symmetric=True, spacing=list(spacing)
    )
    return float(largest), float(average)


def sitk_scores(truth: Part, found: Part, spacing: Spacing) -> tuple[float, float]:
    """By distance maps to contours; right only for masks away from the image border."""
    images = [sitk.GetImageFromArray(part.astype(np.uint8)) for part in (truth, found)]
    for image in images:
        image.SetSpacing((spacing[1], spacing[0]))
    contours = [sitk.LabelContour(image, fullyConnected=False) for image in images]
    maps = [
        sitk.GetArrayFromImage(
            sitk.Abs(
                sitk.SignedMaurerDistanceMap(
                    contour, insideIsPositive=False, squaredDistance=False, useImageSpacing=True
                )
            )
        )
        for contour in contours
    ]
    edges = [sitk.GetArrayFromImage(contour) > 0 for contour in contours]
    there, back = maps[1][edges[0]], maps[0][edges[1]]
    percentiles = [float(np.percentile(each, 95)) for each in (there, back)]
    return max(percentiles), float(np.concatenate((there, back)).mean())


# MONAI warns of its own deprecated arguments.
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("reference", [all_pairs, monai_scores])
@pytest.mark.parametrize("seed", range(4))
def test_random_pairs_equal_references(
    seed: int, reference: Callable[[Part, Part, Spacing], tuple[float, float]], spacing: Spacing
) -> None:
    truth, found = blobs(seed), blobs(100 + seed)
    assert scored(truth, found, spacing) == pytest.approx(
        reference(truth, found, spacing), rel=1e-5
    )


@pytest.mark.parametrize("spacing", SPACINGS)
def test_masks_inside_the_image_equal_simpleitk(spacing: Spacing) -> None:
    truth, found = np.pad(blobs(1), 4), np.pad(blobs(2), 4)
    assert scored(truth, found, spacing) == pytest.approx(
        sitk_scores(truth, found, spacing), rel=1e-5
    )


def test_stored_pairs_have_their_known_values(data_root: Path) -> None:
    folder = data_root / "metric_pairs"
    known = json.loads((folder / "expected.json").read_text())
    row, column = known["spacing_mm_row_col"]
    for name, values in known["pairs"].items():
        truth, found = (read_mask(folder / f"{name}_{which}.png") for which in ("true", "found"))
        pixels = score_masks(truth, found)
        millimeters = score_masks(truth, found, (row, column), None, known["nsd_tolerance_mm"])
        for metric in ("dice", "iou", "precision", "recall", "accuracy"):
            assert pixels[metric] == pytest.approx(values[metric], abs=1e-12), (name, metric)
        assert millimeters["nsd"] == pytest.approx(values["nsd_1mm"], rel=1e-6), name
        for metric in ("hd", "hd95", "assd"):
            assert pixels[metric] == pytest.approx(values[f"{metric}_px"], rel=1e-6), name
            assert millimeters[metric] == pytest.approx(values[f"{metric}_mm"], rel=1e-6), name
        if name == "touching_border":
            continue
        for metric in ("hd95", "assd"):
            assert pixels[metric] == pytest.approx(values[f"sitk_{metric}_px"], rel=1e-4)
        for unit, scores in (("px", pixels), ("mm", millimeters)):
            expected = values[f"hd95_pooled_{unit}"]
            assert scores["hd95_pooled"] == pytest.approx(expected, rel=1e-4)


def medpy_hd95(truth: Part, found: Part, spacing: Spacing) -> float:
    """The percentile over both directions in one array, as medpy defines it; slowly."""
    edges = [outline(truth) * spacing, outline(found) * spacing]
    distances = np.linalg.norm(edges[0][:, None] - edges[1][None], axis=2)
    return float(np.percentile(np.hstack((distances.min(axis=1), distances.min(axis=0))), 95))


def monai_more(truth: Part, found: Part, spacing: Spacing, tolerance: float) -> tuple[float, float]:
    """Hausdorff distance and normalized surface Dice."""
    pair = [torch.from_numpy(part)[None, None].float() for part in (found, truth)]
    largest = reference_metrics.compute_hausdorff_distance(
        *pair, include_background=True, spacing=list(spacing)
    )
    near = reference_metrics.compute_surface_dice(
        *pair, [tolerance], include_background=True, spacing=list(spacing)
    )
    return float(largest), float(near)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("seed", range(4))
def test_maximum_pooled_percentile_and_nsd_equal_references(seed: int, spacing: Spacing) -> None:
    truth, found = blobs(seed), blobs(100 + seed)
    tolerance = 3.1 * spacing[1]
    distances = surface_distances(truth, found, spacing)
    assert distances is not None
    assert (hd(distances), nsd(distances, tolerance)) == pytest.approx(
        monai_more(truth, found, spacing, tolerance), rel=1e-5
    )
    assert hd95_pooled(distances) == pytest.approx(medpy_hd95(truth, found, spacing))
    assert hd95_pooled(distances) <= hd95(distances) <= hd(distances)


def test_the_maximum_equals_simpleitk() -> None:
    """It measures whole masks; where the farthest pixels are surface, that is the same."""
    truth, found = np.pad(blobs(1), 4), np.zeros((56, 48), bool)
    found[2:5, 2:5] = True
    measured = sitk.HausdorffDistanceImageFilter()
    measured.Execute(*(sitk.GetImageFromArray(part.astype(np.uint8)) for part in (truth, found)))
    distances = surface_distances(truth, found)
    assert distances is not None
    assert hd(distances) == pytest.approx(measured.GetHausdorffDistance(), rel=1e-6)


@pytest.mark.parametrize("spacing", [0.05, 0.07, 0.3])
def test_two_pixels_are_within_two_pixels_whatever_the_spacing(spacing: float) -> None:
    truth, found = np.zeros((2, 9, 9), np.uint8)
    truth[3, 3] = found[3, 5] = 1
    assert score_masks(truth, found, (spacing, spacing))["nsd"] == 1.0
    assert score_masks(truth, found, (spacing, 2 * spacing))["nsd"] == 1.0
    found = np.roll(found, 1, axis=1)
    assert score_masks(truth, found, (spacing, spacing))["nsd"] == 0.0


def test_scaling_pixels_equals_measuring_with_a_spacing() -> None:
    truth, found = blobs(5), blobs(6)
    there, pixels = surface_distances(truth, found, (0.3, 0.3)), surface_distances(truth, found)
    assert there is not None
    assert pixels is not None
    scaled_there = scaled(pixels, 0.3)
    assert hd(scaled_there) == pytest.approx(hd(there))
    assert assd(scaled_there) == pytest.approx(assd(there))


def test_hd95_is_not_the_pooled_percentile() -> None:
    truth = np.zeros((40, 40), bool)
    found = truth.copy()
    truth[5, 5] = True
    found[5, 5:36] = True
    distances = surface_distances(truth, found)
    assert distances is not None
    both = np.concatenate((distances.true_to_found, distances.found_to_true))
    assert hd95(distances) == pytest.approx(28.5)
    assert hd95(distances) > np.percentile(both, 95)


def test_an_edge_on_the_image_border_is_surface() -> None:
    full = np.ones((5, 6), bool)
    assert surface(full).sum() == 18
    assert scored(full, full, (1.0, 1.0)) == (0.0, 0.0)


def test_single_pixels_and_anisotropic_spacing() -> None:
    truth, found = np.zeros((2, 9, 9), bool)
    truth[1, 1] = found[4, 5] = True
    assert scored(truth, found, (1.0, 1.0)) == pytest.approx((5.0, 5.0))
    assert scored(truth, found, (2.0, 0.5)) == pytest.approx((np.hypot(6, 2),) * 2)


@pytest.mark.parametrize(("true_fill", "found_fill"), [(0, 0), (0, 1), (1, 0)])
def test_an_empty_mask_has_no_distances(true_fill: int, found_fill: int) -> None:
    truth, found = np.full((4, 4), true_fill, bool), np.full((4, 4), found_fill, bool)
    assert surface_distances(truth, found) is None


parts = arrays(np.bool_, (7, 6), elements=st.booleans()).filter(lambda part: bool(part.any()))


@settings(deadline=None)
@given(parts, parts)
def test_distances_are_symmetric_and_equal_all_pairs(truth: Part, found: Part) -> None:
    forth, back = scored(truth, found, (1.5, 1.0)), scored(found, truth, (1.5, 1.0))
    assert forth == pytest.approx(back)
    assert forth == pytest.approx(all_pairs(truth, found, (1.5, 1.0)))
    assert (forth == (0.0, 0.0)) == np.array_equal(surface(truth), surface(found))
