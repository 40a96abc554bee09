"""The page of a comparison: complete, self-contained, escaped, with the right pictures."""

import base64
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from featherseg.compare import Run, compare, load_runs
from featherseg.datasets import Dataset, load_dataset
from featherseg.errors import DataError
from featherseg.report.compare_figures import differences_svg, scores_svg
from featherseg.report.compare_page import render_comparison
from featherseg.report.compare_pictures import FindsMask, grid_cases, picture_grid
from featherseg.types import Case, Image, Mask, Pixels
from tests.compare.tables import GOOD, POOR, found_masks, table, truth_masks, write_evaluation
from tests.report.test_html import Parsed
from tests.scoring import blank, write_folder

# Far above what JPEG adds to gray.
TINT = 40
FOUND = {"good": found_masks(GOOD), "poor": found_masks(POOR, alarm=True)}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, ...]:
    root = tmp_path_factory.mktemp("evaluations")
    return load_runs([write_evaluation(root / name, table(FOUND[name])) for name in FOUND])


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return load_dataset(write_folder(tmp_path / "data", truth_masks()), "folder")


def finder(masks: dict[str, Mask]) -> FindsMask:
    def find(case: Case, _: Image) -> Mask:
        return masks[case.id]

    return find


def decoded(uri: str) -> Pixels:
    data = np.frombuffer(base64.b64decode(uri.partition(",")[2]), np.uint8)
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), np.uint8)


def outlines(uri: str) -> tuple[bool, bool]:
    """Whether a picture of a gray image holds a warm (found) and a cool (true) outline."""
    red, _, blue = np.moveaxis(decoded(uri).astype(int), 2, 0)
    return bool(((red - blue) > TINT).sum() > 10), bool(((blue - red) > TINT).sum() > 10)


def test_the_page_says_everything_without_asking_anybody(runs: tuple[Run, ...]) -> None:
    page = render_comparison(compare(runs))
    parsed = Parsed(page)
    assert not parsed.open
    text = re.sub(r"<[^>]+>", " ", page)
    for expected in ("good and poor", "reference: good", "all empty", "worse", "Holm", "Presence"):
        assert expected in text
    assert page.count("<svg") == 6
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    assert "<script" not in page
    assert "--masks NAME=FOLDER" in page
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_names_are_escaped(tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "<b onload=x>&"]
    for folder, shifts in zip(folders, (GOOD, POOR), strict=True):
        write_evaluation(folder, table(found_masks(shifts)))
    page = render_comparison(compare(load_runs(folders), ["dice_all"]))
    assert "<b onload" not in page
    assert not Parsed(page).open


def test_equal_comparisons_give_equal_pages(runs: tuple[Run, ...]) -> None:
    compared = [compare(runs, ["dice_all"]) for _ in range(2)]
    assert render_comparison(compared[0]) == render_comparison(compared[1])


def test_figures_hold_a_dot_for_each_case(runs: tuple[Run, ...]) -> None:
    metric = compare(runs, ["dice_lesion"]).metrics[0]
    # Eight dots, a median and a mean for each run.
    assert scores_svg(metric).count("<use") >= 2 * (8 + 2)
    differences = differences_svg(metric)
    assert differences is not None
    assert "Difference from good, right is better" in differences
    assert differences.count("<use") >= 8 + 1


def test_without_shared_cases_there_is_no_figure_of_differences(runs: tuple[Run, ...]) -> None:
    metric = compare(runs, ["dice_lesion"]).metrics[0]
    standing = metric.standings[1]
    assert standing.versus is not None
    alone = replace(standing, versus=replace(standing.versus, n=0))
    assert differences_svg(replace(metric, standings=(metric.standings[0], alone))) is None


def test_cases_run_from_the_best_to_the_worst(runs: tuple[Run, ...]) -> None:
    chosen = grid_cases(runs, count=4)
    means = [mean for _, mean in chosen]
    assert means == sorted(means, reverse=True)
    # Only the false alarm is worse than every lesion; the other normal image shows nothing.
    assert chosen[-1] == ("n2", 0.5)
    every = grid_cases(runs, count=99)
    assert len(every) == 9
    assert "n1" not in dict(every)


def test_the_grid_shows_image_truth_and_every_mask(runs: tuple[Run, ...], dataset: Dataset) -> None:
    rows = list(picture_grid(runs, {name: finder(FOUND[name]) for name in FOUND}, dataset))
    assert [cell.heading for cell in rows[0].cells] == ["image", "truth", "good", "poor"]
    image, truth, _, poor = (outlines(cell.image) for cell in rows[0].cells)
    assert (image, truth, poor) == ((False, False), (False, True), (True, True))
    assert rows[-1].case == "n2"
    assert [cell.remark for cell in rows[-1].cells[2:]] == ["rightly empty", "false alarm"]
    page = render_comparison(compare(runs, ["dice_all"]), ("",), rows)
    assert page.count("<img ") == 4 * len(rows)
    assert "found outline" in page
    assert not Parsed(page).open


def test_a_missed_lesion_is_called_so(tmp_path: Path, dataset: Dataset) -> None:
    masks = {**FOUND["good"], "case0": blank()}
    folders = [
        write_evaluation(tmp_path / "a", table(masks)),
        write_evaluation(tmp_path / "b", table(masks)),
    ]
    rows = list(picture_grid(load_runs(folders), {"a": finder(masks)}, dataset))
    assert rows[-1].case == "case0"
    assert rows[-1].cells[-1].remark == "missed lesion"


def test_masks_that_were_not_scored_are_refused(runs: tuple[Run, ...], dataset: Dataset) -> None:
    swapped = {"good": finder({**FOUND["good"], "case0": blank(), "case7": blank()})}
    with pytest.raises(DataError, match="the scored one had 100; give the model or the masks"):
        list(picture_grid(runs, swapped, dataset))
    small = {name: np.zeros((5, 5), np.uint8) for name in FOUND["good"]}
    with pytest.raises(DataError, match="expected a mask of the image's size 30x40, got 5x5"):
        list(picture_grid(runs, {"good": finder(small)}, dataset))
