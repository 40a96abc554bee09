"""`featherseg score`: the same scores as `evaluate`, and clear words where names do not fit."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from featherseg.bundle import load_bundle
from featherseg.datasets import images_sha256, load_dataset
from featherseg.datasets.exchange.nifti import write_nifti
from featherseg.errors import DataError
from featherseg.images import read_image
from featherseg.scoring import match_masks
from featherseg.segment import Segmenter
from tests.conftest import Cli
from tests.scoring import DIAGONAL, blank, box, write_folder, write_groups
from tests.tiny import write_tiny_bundle

Array = NDArray[Any]
LESIONS = {"a (1)": box(5, 5), "b": box(8, 20), "é": box(0, 0), "n": blank()}
FOUND = {"a (1)": box(5, 10), "b": box(8, 20), "é": box(0, 0, 5, 10), "n": blank()}


def write_masks(root: Path, masks: Mapping[str, Array], scale: int = 255) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for stem, mask in masks.items():
        PIL.Image.fromarray(np.asarray(mask * np.uint8(scale), np.uint8)).save(root / f"{stem}.png")
    return root


def table(path: Path) -> dict[tuple[str, str], str]:
    with path.open(newline="", encoding="utf-8") as file:
        return {(row["case"], row["metric"]): row["value"] for row in csv.DictReader(file)}


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "data", LESIONS)


def test_the_scores_are_those_of_evaluate(cli: Cli, tmp_path: Path) -> None:
    data, bundle = tmp_path / "data", tmp_path / "bundle"
    assert cli("data", "phantom", "--out", data, "--cases", 6, "--size", 64).code == 0
    write_tiny_bundle(bundle)
    predicted = cli("predict", bundle, data / "images", "--out", tmp_path / "p", "--overlay")
    assert predicted.code == 0, predicted.err
    (tmp_path / "chance").mkdir()
    segmenter = Segmenter.from_bundle(load_bundle(bundle))
    for path in (data / "images").iterdir():
        np.save(tmp_path / "chance" / path.stem, segmenter(read_image(path)).probability)
    common = ("--layout", "phantom", "--subset", "all", "--out", tmp_path / "e")
    assert cli("evaluate", bundle, "--data", data, *common).code == 0
    called = cli(
        "score", "--true", data / "masks", "--found", tmp_path / "p", "--images", data / "images",
        "--probability", tmp_path / "chance", "--out", tmp_path / "s", "--json",
    )  # fmt: skip
    assert called.code == 0, called.err
    expected, found = table(tmp_path / "e" / "cases.csv"), table(tmp_path / "s" / "cases.csv")
    # Whether an image is unlike the training is known to the bundle alone.
    assert {key[1] for key in set(expected) ^ set(found)} <= {"flagged"}
    assert all(found[key] == expected[key] for key in found)
    summary = json.loads(called.out)
    assert (summary["subset"], summary["external"]) == ("all", None)
    assert summary["model"]["kind"] == "masks"
    assert len(summary["model"]["id"]) == 64
    assert summary["images_sha256"] == images_sha256(load_dataset(data, "phantom"))
    assert (summary["missing_predictions"], summary["surplus_predictions"]) == ([], [])
    evaluated = json.loads((tmp_path / "e" / "summary.json").read_text())
    for name in ("dice_lesion", "dice_all", "hd95", "presence", "iou_lesion"):
        assert summary[name] == evaluated[name]
    page = (tmp_path / "s" / "report.html").read_text()
    assert "data:image/jpeg" in page
    assert str(tmp_path) not in page


def test_numbers_by_hand(cli: Cli, truth: Path, tmp_path: Path) -> None:
    found = write_masks(tmp_path / "found", FOUND)
    common = ("--true", truth / "masks", "--found", found, "--out", tmp_path / "s")
    called = cli("score", *common, "--spacing-mm", 0.5, 0.2)
    assert called.code == 0, called.err
    scores = table(tmp_path / "s" / "cases.csv")
    # Two boxes of 100 pixels that share 50.
    assert float(scores["a (1)", "dice"]) == pytest.approx(2 * 50 / 200)
    assert float(scores["a (1)", "iou"]) == pytest.approx(50 / 150, abs=1e-6)
    # Five columns of 0.2 mm apart.
    assert float(scores["a (1)", "hd95"]) == pytest.approx(1.0)
    assert float(scores["b", "hd95"]) == 0.0
    # Half of the rows, 5 of 0.5 mm.
    assert float(scores["é", "recall"]) == 0.5
    assert float(scores["é", "precision"]) == 1.0
    assert scores["n", "dice"] == ""
    summary = json.loads((tmp_path / "s" / "summary.json").read_text())
    assert summary["dice_lesion"]["mean"] == pytest.approx((0.5 + 1 + 100 / 150) / 3, abs=1e-6)
    assert summary["hd95"]["unit"] == "mm"
    # Without probabilities nothing that rests on them is made up.
    assert not {metric for _, metric in scores} & {"auc", "brier", "confidence"}


def test_a_missing_mask_is_a_missed_lesion_and_a_surplus_one_is_told(
    cli: Cli, truth: Path, tmp_path: Path
) -> None:
    found = write_masks(tmp_path / "found", {"b": FOUND["b"], "stranger [1]": blank()})
    common = ("--true", truth / "masks", "--found", found, "--out", tmp_path / "s")
    called = cli("score", *common)
    assert called.code == 0, called.err
    text = " ".join(called.out.split())
    assert "scored as if nothing was found: 3 of 4, 2 with a lesion, which counts as missed" in text
    assert "without a true mask, so not scored: 1 (stranger [1])" in text
    summary = json.loads((tmp_path / "s" / "summary.json").read_text())
    assert set(summary["missing_predictions"]) == {"a (1)", "é", "n"}
    assert summary["surplus_predictions"] == ["stranger [1]"]
    assert summary["presence"]["missed"] == 2
    scores = table(tmp_path / "s" / "cases.csv")
    assert (scores["é", "dice"], float(scores["é", "hd95"])) == ("0", DIAGONAL)
    page = (tmp_path / "s" / "report.html").read_text()
    assert "Names that did not fit" in page
    assert "data:image" not in page


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"b": np.zeros((30, 41), np.uint8)}, "the true mask 30x40 (b.png), got 30x41"),
        ({"other": blank()}, "expected masks named as in"),
        ({"b": box(5, 5) + box(5, 5, 5)}, "got 2 values from 1 to 2; name them with --labels"),
        ({"b": np.arange(1200, dtype=np.uint8).reshape(30, 40)}, "threshold it first"),
    ],
)
def test_masks_that_do_not_fit_are_refused(
    cli: Cli, truth: Path, tmp_path: Path, found: dict[str, Array], message: str
) -> None:
    write_masks(tmp_path / "found", found, scale=1)
    called = cli(
        "score", "--true", truth / "masks", "--found", tmp_path / "found", "--out", tmp_path / "s"
    )
    assert called.code == 2
    assert message in called.err
    assert called.err.count("\n") == 1
    assert not (tmp_path / "s").exists()


def test_folders_without_masks_are_refused(cli: Cli, truth: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder, message in (("empty", "expected mask files"), ("none", "found nothing")):
        common = ("--found", tmp_path / folder, "--out", tmp_path / "s")
        called = cli("score", "--true", truth / "masks", *common)
        assert (called.code, message in called.err) == (2, True)


def test_busi_masks_are_found_among_the_images_and_united(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "benign"
    write_masks(folder, {"benign (1)": blank() + 90, "benign (2)": blank() + 90}, scale=1)
    write_masks(folder, {"benign (1)_mask": box(0, 0), "benign (1)_mask_1": box(15, 20)})
    write_masks(folder, {"benign (2)_mask": box(3, 3)})
    found = {"benign (1)": box(0, 0) + box(15, 20), "benign (2)": box(3, 3)}
    write_masks(tmp_path / "found", found)
    common = ("--true", folder, "--found", tmp_path / "found", "--out", tmp_path / "s", "--json")
    summary = json.loads(cli("score", *common, "--images", folder).out)
    assert (summary["n"], summary["dice_lesion"]["mean"]) == (2, 1.0)


def test_groups_classes_and_labels_beside_the_masks_are_used(cli: Cli, tmp_path: Path) -> None:
    masks = {"a": box(0, 0) + box(15, 15, label=2), "b": box(0, 0), "c": box(3, 3, label=2)}
    data = write_folder(tmp_path / "data", masks, ("head", "body"))
    write_groups(data, {"a": ("p", "x"), "b": ("p", "x"), "c": ("q", "y")})
    found = write_masks(tmp_path / "found", masks, scale=1)
    common = ("--true", data / "masks", "--found", found, "--json")
    summary = json.loads(cli("score", *common, "--out", tmp_path / "s").out)
    assert summary["n_groups"] == 2
    assert set(summary["per_class"]) == {"x", "y"}
    assert summary["per_label"]["body"]["n_lesion"] == 2
    named = json.loads(cli("score", *common, "--out", tmp_path / "t", "--labels", "u, v").out)
    assert set(named["per_label"]) == {"u", "v"}
    refused = cli("score", *common, "--out", tmp_path / "u", "--labels", "u,u")
    assert (refused.code, "expected different names" in refused.err) == (2, True)
    write_masks(found, {"a": masks["a"] + 1}, scale=1)
    refused = cli("score", *common, "--out", tmp_path / "u")
    assert (refused.code, "got the value 3; name all" in refused.err) == (2, True)
    refused = cli("score", *common, "--out", tmp_path / "u", "--probability", found)
    assert (refused.code, "score one label at a time" in refused.err) == (2, True)


def test_masks_made_by_nnunet_are_scored_under_their_own_names(
    cli: Cli, truth: Path, tmp_path: Path
) -> None:
    write_groups(truth, {name: (f"patient {name}", "kind") for name in LESIONS})
    raw = tmp_path / "raw"
    made = cli("data", "export", truth, "--layout", "folder", "--to", "nnunet", "--out", raw)
    assert made.code == 0, made.err
    (root,) = raw.iterdir()
    names = {
        case["id"]: name
        for name, case in json.loads((root / "names.json").read_text())["cases"].items()
    }
    predictions = {names[case]: mask for case, mask in FOUND.items()}
    # nnU-Net writes 0 and 1, and the probabilities of both classes beside.
    found = write_masks(tmp_path / "predicted", predictions, scale=1)
    for name, mask in predictions.items():
        both = np.stack([1.0 - mask, mask]).astype(np.float16)[:, np.newaxis]
        np.savez_compressed(found / f"{name}.npz", probabilities=both)
    (found / "dataset.json").write_text("{}")
    common = ("--true", root / "labelsTr", "--found", found, "--probability", found, "--json")
    called = cli("score", *common, "--out", tmp_path / "s", "--images", root / "imagesTr")
    assert called.code == 0, called.err
    summary = json.loads(called.out)
    assert (summary["n"], summary["missing_predictions"]) == (4, [])
    assert set(summary["per_class"]) == {"kind"}
    scores = table(tmp_path / "s" / "cases.csv")
    assert {case for case, _ in scores} == set(LESIONS)
    assert float(scores["a (1)", "dice"]) == 0.5
    # Half of the lesion has probability 1: ROC through (50/1100, 0.5).
    assert float(scores["a (1)", "auc"]) == pytest.approx((0.5 + (1 - 50 / 1100)) / 2, abs=1e-6)


def test_nifti_masks_bring_their_spacing(cli: Cli, tmp_path: Path) -> None:
    for name, mask in (("true", box(5, 5)), ("found", box(5, 10))):
        (tmp_path / name).mkdir()
        write_nifti(tmp_path / name / "a.nii.gz", mask, (0.5, 0.2))
    common = ("--true", tmp_path / "true", "--found", tmp_path / "found", "--json")
    summary = json.loads(cli("score", *common, "--out", tmp_path / "s").out)
    assert (summary["hd95"]["mean"], summary["hd95"]["unit"]) == (1.0, "mm")


def test_every_found_mask_needs_its_probability(cli: Cli, truth: Path, tmp_path: Path) -> None:
    found = write_masks(tmp_path / "found", FOUND)
    chance = write_masks(tmp_path / "chance", {"b": FOUND["b"]})
    common = ("--true", truth / "masks", "--found", found, "--out", tmp_path / "s")
    refused = cli("score", *common, "--probability", chance)
    assert (refused.code, "for every found mask, none for" in refused.err) == (2, True)
    np.save(chance / "b.npy", FOUND["b"].astype(float))
    refused = cli("score", *common, "--probability", chance)
    assert (refused.code, "one probability map for 'b'" in refused.err) == (2, True)
    refused = cli("score", *common, "--images", chance)
    assert (refused.code, "expected an image for every true mask" in refused.err) == (2, True)


def test_two_masks_of_one_name_are_refused(truth: Path, tmp_path: Path) -> None:
    found = write_masks(tmp_path / "found", FOUND)
    PIL.Image.fromarray(FOUND["b"]).save(found / "b.tif")
    with pytest.raises(DataError, match=r"one mask for 'b', got b\.(png|tif), b\.(png|tif)"):
        match_masks(truth / "masks", found)


def test_the_id_follows_the_found_masks(truth: Path, tmp_path: Path) -> None:
    found = write_masks(tmp_path / "found", FOUND)
    first = match_masks(truth / "masks", found).model_id
    write_masks(found, {"not scored": blank()})
    assert match_masks(truth / "masks", found).model_id == first
    write_masks(found, {"b": blank()})
    assert match_masks(truth / "masks", found).model_id != first


def test_predictions_of_another_hand_are_refused(truth: Path, tmp_path: Path) -> None:
    found = write_masks(tmp_path / "found", FOUND)
    for content in ("[]", '{"images": [{"input": "a", "mask": "../b.png"}]}', "no JSON"):
        (found / "predictions.json").write_text(content)
        with pytest.raises(DataError, match=r"predictions\.json: expected"):
            match_masks(truth / "masks", found)


@pytest.mark.parametrize("called_by", ["id", "name"])
def test_a_name_that_is_anothers_id_is_not_mistaken(
    cli: Cli, tmp_path: Path, called_by: str
) -> None:
    """`a (1)` is exported as a_1, and `a_1` as a_1_2."""
    masks = {"a (1)": box(0, 0), "a_1": box(15, 20)}
    data = write_folder(tmp_path / "data", masks)
    out = tmp_path / "out"
    assert (
        cli("data", "export", data, "--layout", "folder", "--to", "nifti", "--out", out).code == 0
    )
    names = dict(zip(masks, ("a_1", "a_1_2"), strict=True))
    found = {(case if called_by == "id" else names[case]): mask for case, mask in masks.items()}
    write_masks(tmp_path / "found", found)
    common = ("--true", out / "masks", "--found", tmp_path / "found", "--out", tmp_path / "s")
    images = data / "images" if called_by == "id" else out / "images"
    called = cli("score", *common, "--images", images, "--json")
    assert called.code == 0, called.err
    summary = json.loads(called.out)
    assert (summary["dice_lesion"]["mean"], summary["missing_predictions"]) == (1.0, [])
