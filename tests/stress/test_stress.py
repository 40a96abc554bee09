"""The stress test itself: identities, determinism, paired changes against a slow reference."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from featherseg.case_table import Row, cases_csv, read_cases_csv
from featherseg.datasets import Dataset, load_dataset
from featherseg.errors import DataError
from featherseg.stress import Condition, conditions, steps, stress, summarize_stress
from featherseg.stress.conditions import Pair, Random
from featherseg.types import Image, Mask, Segmentation
from tests.scoring import blank, box, write_folder

MASKS = {"high": box(2, 5), "low": box(18, 20), "none": blank()}


def found_by_threshold(image: Image) -> Segmentation:
    """Finds what is bright; noise is everywhere, so the found part is about half."""
    mask = (image.pixels > 127).astype(np.uint8)
    return Segmentation(mask, mask.astype(np.float32), ("lesion",), image, "threshold")


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return load_dataset(write_folder(tmp_path / "data", MASKS), "folder")


def _same(image: Image, mask: Mask, _: float, __: Random) -> Pair:
    return image, mask


def _upper(image: Image, mask: Mask, _: float, __: Random) -> Pair:
    return replace(image, pixels=image.pixels[:15]), mask[:15]


def _never(_: Image, __: Mask, ___: float, ____: Random) -> None:
    return None


def _noise(image: Image, mask: Mask, _: float, random: Random) -> Pair:
    pixels = random.integers(0, 256, image.pixels.shape).astype(np.uint8)
    return replace(image, pixels=pixels), mask


SAME = Condition("same", "same", "nothing", 0.0, _same)
UPPER = Condition("upper", "depth", "half", 0.5, _upper)
NEVER = Condition("never", "none", "none", 0.0, _never)
NOISE = Condition("noise", "noise", "noise", 0.0, _noise)


def by_metric(rows: Sequence[Row], case: str) -> dict[str, float | None]:
    return {row.metric: row.value for row in rows if row.case == case}


def test_the_identity_changes_nothing(dataset: Dataset) -> None:
    rows = stress(found_by_threshold, dataset, under=(SAME,))
    for case in MASKS:
        values = by_metric(rows, case)
        for metric in ("dice", "area_true", "area_found"):
            assert values[metric] == values[f"{metric}@same"]
    (entry,) = summarize_stress(rows, (SAME,))["conditions"]
    for figure in ("dice_lesion", "dice_all", "sensitivity"):
        assert entry[figure]["difference"] == 0
        assert entry[figure]["verdict"] == "tie"
    assert (entry["n"], entry["n_groups"], entry["dice_lesion"]["n"]) == (3, 3, 2)
    assert (entry["specificity"]["n"], entry["specificity"]["verdict"]) == (1, "unknown")


def test_a_crop_is_scored_on_the_cropped_truth(dataset: Dataset) -> None:
    rows = stress(found_by_threshold, dataset, under=(UPPER,))
    assert by_metric(rows, "high")["area_true@upper"] == 100
    assert by_metric(rows, "low")["area_true@upper"] == 0
    (entry,) = summarize_stress(rows, (UPPER,))["conditions"]
    assert (entry["lesions_lost"], entry["dice_lesion"]["n"], entry["dice_all"]["n"]) == (1, 1, 3)


def test_a_condition_that_concerns_no_image_is_named_with_none(dataset: Dataset) -> None:
    rows = stress(found_by_threshold, dataset, under=(NEVER,))
    (entry,) = summarize_stress(rows, (NEVER,))["conditions"]
    assert (entry["n"], entry["dice_lesion"]["n"], entry["dice_lesion"]["difference"]) == (
        0,
        0,
        None,
    )
    assert entry["dice_lesion"]["verdict"] == "unknown"


def test_noise_depends_on_seed_and_case_and_on_nothing_else(dataset: Dataset) -> None:
    first = stress(found_by_threshold, dataset, under=(SAME, NOISE), seed=3)
    assert first == stress(found_by_threshold, dataset, under=(SAME, NOISE), seed=3)
    alone = stress(found_by_threshold, dataset, ["low"], under=(NOISE,), seed=3)
    assert by_metric(alone, "low").items() <= by_metric(first, "low").items()
    assert first != stress(found_by_threshold, dataset, under=(SAME, NOISE), seed=4)
    name = "area_found@noise"
    assert len({by_metric(first, case)[name] for case in MASKS}) > 1


def test_progress_sees_every_step_and_the_table_is_one_of_cases(
    dataset: Dataset, tmp_path: Path
) -> None:
    seen: list[str] = []

    def watch(pairs: object) -> object:
        for case, condition in pairs:  # type: ignore[attr-defined]
            seen.append(f"{case.id} {condition.name if condition else ''}")
            yield case, condition

    rows = stress(found_by_threshold, dataset, progress=watch, under=(SAME, UPPER))  # type: ignore[arg-type]
    assert len(seen) == len(steps(dataset.cases, (SAME, UPPER))) == 9
    (tmp_path / "stress.csv").write_text(cases_csv(rows))
    assert read_cases_csv(tmp_path / "stress.csv") == rows


def test_all_conditions_run_on_real_sizes_of_small_images(dataset: Dataset) -> None:
    summary = summarize_stress(stress(found_by_threshold, dataset))
    assert [entry["name"] for entry in summary["conditions"]] == [c.name for c in conditions()]
    darker = summary["conditions"][0]
    assert darker["name"] == "gain -10 dB"
    assert darker["dice_lesion"]["n"] == 2


def scores(case: str, group: str, plain: float, changed: float, found: bool = True) -> list[Row]:
    """A case with a lesion, scored as it is and under `same`."""
    values = {
        "area_true": 10.0,
        "area_found": 9.0,
        "dice": plain,
        "area_true@same": 10.0,
        "area_found@same": 9.0 if found else 0.0,
        "dice@same": changed,
    }
    return [Row(case, group, "", metric, value, "") for metric, value in values.items()]


def test_changes_are_paired_means_and_groups_are_drawn_whole() -> None:
    random = np.random.default_rng(2)
    plain = random.uniform(0.6, 0.9, 40)
    changed = plain - random.uniform(0.0, 0.2, 40)
    rows = [
        row
        for number in range(40)
        for row in scores(f"c{number}", f"g{number % 20}", plain[number], changed[number])
    ]
    lesion = summarize_stress(rows, (SAME,))["conditions"][0]["dice_lesion"]
    assert lesion["before"] == pytest.approx(plain.mean(), abs=1e-6)
    assert lesion["difference"] == pytest.approx((changed - plain).mean(), abs=1e-6)
    # The interval of the mean of 20 group means, by the normal approximation.
    means = (changed - plain).reshape(2, 20).mean(axis=0)
    half = 1.96 * means.std(ddof=1) / np.sqrt(20)
    assert lesion["low"] == pytest.approx(means.mean() - half, abs=0.004)
    assert lesion["high"] == pytest.approx(means.mean() + half, abs=0.004)
    assert lesion["verdict"] == "worse"


def test_missing_a_lesion_lowers_sensitivity() -> None:
    rows = [
        row
        for number in range(10)
        for row in scores(f"c{number}", f"g{number}", 0.8, 0.0 if number < 6 else 0.8, number >= 6)
    ]
    entry = summarize_stress(rows, (SAME,))["conditions"][0]
    assert entry["sensitivity"]["before"] == 1.0
    assert entry["sensitivity"]["after"] == pytest.approx(0.4)
    assert entry["sensitivity"]["verdict"] == "worse"
    assert entry["specificity"]["n"] == 0


def test_several_labels_are_averaged_where_they_are() -> None:
    values = {"area_true:a": 5.0, "area_true:b": 0.0, "dice:a": 0.5}
    values |= {"area_found:a": 5.0, "area_found:b": 0.0}
    rows = [
        Row("c", "g", "", metric + suffix, value, "")
        for suffix in ("", "@same")
        for metric, value in values.items()
    ]
    rows += [Row("c", "g", "", f"dice:b{suffix}", None, "") for suffix in ("", "@same")]
    entry = summarize_stress(rows, (SAME,))["conditions"][0]
    assert (entry["dice_lesion"]["before"], entry["dice_all"]["before"]) == (0.5, 0.75)


def test_a_model_of_other_labels_or_sizes_is_refused(dataset: Dataset) -> None:
    def other(image: Image) -> Segmentation:
        return replace(found_by_threshold(image), labels=("a", "b"))

    def small(image: Image) -> Segmentation:
        return replace(found_by_threshold(image), mask=np.zeros((3, 3), np.uint8))

    with pytest.raises(DataError, match="labels"):
        stress(other, dataset, under=())
    with pytest.raises(DataError, match="expected a mask of the image's size"):
        stress(small, dataset, under=())
