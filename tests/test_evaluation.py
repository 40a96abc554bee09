"""Cases to rows: the rule, the image's own grid, several labels, and what is refused."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from featherseg.case_table import Row
from featherseg.datasets import Dataset, load_dataset, read_case
from featherseg.errors import DataError, ImageError
from featherseg.evaluation import Scoring, case_rows, evaluate
from featherseg.metrics import score_masks
from featherseg.types import Case, Image, Segmentation
from tests.scoring import DIAGONAL, HEIGHT, WIDTH, blank, box, segmenter, write_folder, write_groups

TRUTH = {"hit": box(5, 5), "missed": box(2, 20), "clean": blank(), "alarm": blank()}
FOUND = {"hit": box(6, 7), "missed": blank(), "clean": blank(), "alarm": box(0, 0, 3, 4)}


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return load_dataset(write_folder(tmp_path / "data", TRUTH), "folder")


def values(rows: Iterable[Row], case: str) -> dict[str, float | None]:
    return {row.metric: row.value for row in rows if row.case == case}


def test_each_case_gets_its_scores_and_areas(dataset: Dataset) -> None:
    rows = evaluate(segmenter(FOUND), dataset).rows
    hit = values(rows, "hit")
    assert (hit.pop("area_true"), hit.pop("area_found")) == (100, 100)
    sure = FOUND["hit"].astype(np.float32)
    facts = {
        "area_image": HEIGHT * WIDTH,
        "diagonal_image": DIAGONAL,
        "nsd_tolerance": 2.0,
        "calipers": 0,
        "confidence": 1.0,
    }
    expected = score_masks(TRUTH["hit"], FOUND["hit"], None, sure) | facts
    assert hit.keys() == expected.keys()
    assert {name: value for name, value in hit.items() if value is not None} == pytest.approx(
        {name: value for name, value in expected.items() if value is not None}, abs=1e-6
    )
    missed = values(rows, "missed")
    assert (missed["dice"], missed["precision"], missed["hd95"]) == (0.0, 0.0, DIAGONAL)
    assert (missed["area_true"], missed["area_found"]) == (100, 0)
    alarm = values(rows, "alarm")
    assert (alarm["dice"], alarm["recall"], alarm["assd"]) == (0.0, None, None)
    assert values(rows, "clean")["dice"] is None


def test_rows_carry_group_class_and_unit(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, {"hit": TRUTH["hit"]})
    write_groups(folder, {"hit": ("patient 7", "benign")})
    rows = evaluate(segmenter(FOUND), load_dataset(folder, "folder")).rows
    assert {(row.case, row.group, row.class_name) for row in rows} == {
        ("hit", "patient 7", "benign")
    }
    units = {row.metric: row.unit for row in rows}
    assert (units["area_true"], units["area_found"], units["dice"]) == ("px", "px", "")
    assert (units["hd95"], units["assd"]) == ("px", "px")


def test_known_spacing_gives_millimeters() -> None:
    image = Image(np.zeros((HEIGHT, WIDTH), np.uint8), (0.1, 0.2), "memory")
    truth, found = TRUTH["hit"], FOUND["hit"]
    segmentation = Segmentation(found, found.astype(np.float32), ("lesion",), image, "m")
    case = Case("hit", "hit", Path("hit.png"), (), "")
    rows = list(case_rows(case, truth, segmentation, ("lesion",)))
    scores = score_masks(truth, found, (0.1, 0.2))
    assert values(rows, "hit")["hd95"] == pytest.approx(scores["hd95"], abs=1e-6)
    assert {row.unit for row in rows if row.metric in ("hd95", "assd")} == {"mm"}


def test_units_and_a_stated_tolerance() -> None:
    image = Image(np.zeros((HEIGHT, WIDTH), np.uint8), (0.1, 0.2), "memory")
    found = FOUND["hit"]
    segmentation = Segmentation(found, found.astype(np.float32), ("lesion",), image, "m")
    case = Case("hit", "hit", Path("hit.png"), (), "")
    rows = list(case_rows(case, TRUTH["hit"], segmentation, ("lesion",), Scoring(0.5)))
    units = {row.metric: row.unit for row in rows}
    in_mm = {"hd", "hd95", "hd95_pooled", "assd", "centroid_error", "diagonal_image"}
    assert {name for name, unit in units.items() if unit == "mm"} == in_mm | {"nsd_tolerance"}
    assert {name for name, unit in units.items() if unit == "mm2"} == {"area_difference"}
    in_px = {"area_true", "area_found", "area_image", "false_positive_area"}
    assert {name for name, unit in units.items() if unit == "px"} == in_px
    assert values(rows, "hit")["nsd_tolerance"] == 0.5
    assert (
        values(rows, "hit")["nsd"] == score_masks(TRUTH["hit"], found, (0.1, 0.2), None, 0.5)["nsd"]
    )


def test_images_are_flagged_where_that_can_be_told(dataset: Dataset) -> None:
    def unlike(image: Image) -> list[str]:
        return ["too dark"] if "alarm" in image.source else []

    rows = evaluate(segmenter(FOUND), dataset, scoring=Scoring(unlike=unlike)).rows
    flags = {row.case: row.value for row in rows if row.metric == "flagged"}
    assert flags == {"hit": 0, "missed": 0, "clean": 0, "alarm": 1}
    assert not any(row.metric == "flagged" for row in evaluate(segmenter(FOUND), dataset).rows)


def test_several_labels_are_scored_one_by_one(tmp_path: Path) -> None:
    truth = {"a": box(2, 2) + box(2, 20, label=2)}
    found = {"a": box(2, 2) + box(2, 22, label=2)}
    folder = write_folder(tmp_path, truth, labels=("head", "body"))
    dataset = load_dataset(folder, "folder")
    rows = evaluate(segmenter(found, ("head", "body")), dataset).rows
    scores = values(rows, "a")
    assert scores["dice:head"] == 1.0
    assert scores["dice:body"] == pytest.approx(0.8)
    assert scores["area_found:body"] == 100
    assert "dice" not in scores
    # The probability is that of any foreground, so it says nothing of one of two labels.
    assert not any(name.startswith(("auc", "brier", "reliability")) for name in scores)
    assert (scores["area_image"], scores["confidence"]) == (HEIGHT * WIDTH, 1.0)


def test_only_the_asked_cases_in_their_order_and_timed(dataset: Dataset) -> None:
    seen: list[str] = []

    def progress(cases: Iterable[Case]) -> Iterator[Case]:
        for case in cases:
            seen.append(case.id)
            yield case

    evaluation = evaluate(segmenter(FOUND), dataset, ["missed", "hit"], progress)
    assert seen == ["missed", "hit"]
    assert list(dict.fromkeys(row.case for row in evaluation.rows)) == ["missed", "hit"]
    assert len(evaluation.seconds) == 2
    assert min(evaluation.seconds) >= 0
    assert (evaluation.model_id, evaluation.labels) == ("model-1", ("lesion",))


def test_unknown_and_no_cases_are_refused(dataset: Dataset) -> None:
    with pytest.raises(DataError, match="no case 'hot'; the nearest is 'hit'"):
        evaluate(segmenter(FOUND), dataset, ["hot"])
    with pytest.raises(DataError, match=r"no case '12345'$"):
        evaluate(segmenter(FOUND), dataset, ["12345"])
    with pytest.raises(DataError, match="at least one case"):
        evaluate(segmenter(FOUND), dataset, [])


def test_a_damaged_image_is_named(dataset: Dataset) -> None:
    path = dataset.cases[0].image
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(ImageError, match=path.name):
        evaluate(segmenter(FOUND), dataset)


def test_a_model_of_other_labels_is_refused(dataset: Dataset) -> None:
    evaluate(segmenter(FOUND, ("tumor",)), dataset)
    with pytest.raises(DataError, match="model's labels head, body, the data have lesion"):
        evaluate(segmenter(FOUND, ("head", "body")), dataset)
    renamed = replace(dataset, labels=("body", "head"))
    with pytest.raises(DataError, match="the data have body, head"):
        evaluate(segmenter(FOUND, ("head", "body")), renamed)


def test_a_mask_of_another_size_is_refused(dataset: Dataset) -> None:
    wrong = {**FOUND, "hit": np.zeros((HEIGHT, WIDTH + 1), np.uint8)}
    with pytest.raises(DataError, match="case 'hit': expected a mask of the image's size"):
        evaluate(segmenter(wrong), dataset)


def test_every_image_is_scored_on_its_own_grid(tmp_path: Path) -> None:
    large = np.kron(TRUTH["hit"], np.ones((3, 3), np.uint8))
    folder = write_folder(tmp_path, {"hit": TRUTH["hit"], "large": large})
    dataset = load_dataset(folder, "folder")
    rows = evaluate(segmenter({"hit": TRUTH["hit"], "large": large}), dataset).rows
    assert values(rows, "large")["area_true"] == 900
    image, _ = read_case(dataset, dataset.cases[1])
    assert image.pixels.shape == (90, 120)
