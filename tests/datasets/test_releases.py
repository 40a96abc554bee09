"""Every public layout, on made-up files in its very arrangement, through all that reads data."""

from pathlib import Path

import numpy as np
import pytest

from featherseg.audit import audit
from featherseg.datasets import (
    case_hashes,
    expected_counts,
    images_sha256,
    load_dataset,
    read_case,
    read_case_image,
)
from featherseg.datasets.pack import open_pack, pack, save_pack
from featherseg.duplicates import find_duplicates
from featherseg.errors import DataError
from featherseg.evaluation import evaluate
from featherseg.types import Image, Segmentation
from tests.datasets import releases
from tests.datasets.releases import RELEASES, SHAPE, lesion, picture, save


@pytest.fixture(params=RELEASES)
def layout(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_every_reader_feeds_everything(tmp_path: Path, layout: str) -> None:
    dataset = load_dataset(RELEASES[layout](tmp_path), layout)
    assert dataset.layout == layout
    assert len({case.id for case in dataset.cases}) == len(dataset.cases) >= 3
    for case in dataset.cases:
        image, mask = read_case(dataset, case)
        assert mask.dtype == np.uint8
        assert mask.shape == image.pixels.shape[:2] == SHAPE
        assert mask.max() <= len(dataset.labels)
        assert image.spacing_mm == case.spacing_mm
    packed = pack(dataset, (32, 24), 3)
    save_pack(packed, tmp_path / "p")
    assert open_pack(tmp_path / "p").images_sha256 == images_sha256(dataset) == packed.images_sha256
    assert len(set(case_hashes(dataset).values())) == len(dataset.cases)
    assert find_duplicates(dataset).groups == ()
    findings = audit(dataset)
    assert (findings.unreadable, findings.size_mismatch, findings.mask_values) == ((), (), ())
    assert findings.is_usable


def test_a_perfect_segmenter_scores_1(tmp_path: Path, layout: str) -> None:
    dataset = load_dataset(RELEASES[layout](tmp_path), layout)
    truth = {
        read_case_image(dataset, case).pixels.tobytes(): read_case(dataset, case)[1]
        for case in dataset.cases
    }

    def perfect(image: Image) -> Segmentation:
        mask = truth[image.pixels.tobytes()]
        return Segmentation(mask, mask.astype(np.float32), dataset.labels, image, "perfect")

    rows = evaluate(perfect, dataset).rows
    dice = [row.value for row in rows if row.metric.split(":")[0] == "dice"]
    assert {value for value in dice if value is not None} == {1.0}


def test_the_wrong_folder_says_what_was_expected(tmp_path: Path, layout: str) -> None:
    (tmp_path / "notes.txt").write_text("nothing here")
    with pytest.raises(DataError, match=f"{tmp_path}: expected .* give the"):
        load_dataset(tmp_path, layout)


MASKS = {
    "bp": "train/1_2_mask.tif",
    "busbra": "Masks/mask_0001-r.png",
    "hc18": "training_set/010_HC_Annotation.png",
    "isbi2012_interior": "membrane/train/label/3.png",
    "isic2018": "ISIC2018_Task1_Training_GroundTruth/ISIC_0000001_segmentation.png",
    "stare": "labels-ah/im0002.ah.ppm.gz",
    "stare_vk": "labels-vk/im0002.vk.ppm.gz",
    "udiat": "GT/000002.png",
}
IMAGES = {
    "bp": "train/1_2.tif",
    "busbra": "Images/bus_0001-r.png",
    "hc18": "training_set/010_HC.png",
    "isbi2012_interior": "membrane/train/image/3.png",
    "isic2018": "ISIC2018_Task1-2_Training_Input/ISIC_0000001.jpg",
    "stare": "stare-images/im0002.ppm.gz",
    "udiat": "original/000002.png",
}


@pytest.mark.parametrize("name", MASKS)
def test_an_image_without_a_mask(tmp_path: Path, name: str) -> None:
    root = RELEASES[name](tmp_path)
    (root / MASKS[name]).unlink()
    with pytest.raises(DataError, match=r"for every image, none for \S+; add the masks"):
        load_dataset(root, name)


@pytest.mark.parametrize("name", IMAGES)
def test_a_mask_without_an_image(tmp_path: Path, name: str) -> None:
    root = RELEASES[name](tmp_path)
    (root / IMAGES[name]).unlink()
    with pytest.raises(DataError, match=r"for every mask, none for \S+; add the images"):
        load_dataset(root, name)


def test_bp_groups_by_subject_and_keeps_empty_masks(tmp_path: Path) -> None:
    root = releases.bp(tmp_path)
    dataset = load_dataset(root, "bp")
    assert [(case.id, case.group) for case in dataset.cases] == [
        ("1_1", "1"),
        ("1_2", "1"),
        ("2_1", "2"),
        ("10_1", "10"),
    ]
    assert dataset.labels == ("nerve",)
    assert not read_case(dataset, dataset.cases[2])[1].any()
    assert audit(dataset).empty == ("2_1",)
    assert load_dataset(root / "train", "bp").cases == dataset.cases
    assert expected_counts(dataset) == {"images": (5635, 4)}
    assert any("5635" in warning for warning in audit(dataset).warnings)


def test_one_id_twice(tmp_path: Path) -> None:
    root = releases.bp(tmp_path)
    save(root / "train/1_1.TIF", picture(50))
    with pytest.raises(DataError, match=r"one SUBJECT_NUMBER\.tif of each name, got 1_1\.\w+ and"):
        load_dataset(root, "bp")


def test_isic_counts_only_the_parts_that_are_there(tmp_path: Path) -> None:
    dataset = load_dataset(releases.isic2018(tmp_path / "two"), "isic2018")
    assert expected_counts(dataset) == {"images": (2694, 6)}
    assert [case.id for case in dataset.cases][2:4] == ["ISIC_0000002", "ISIC_0010000"]
    one = load_dataset(releases.isic2018(tmp_path / "one", ("Test",)), "isic2018")
    assert expected_counts(one) == {"images": (1000, 3)}
    assert one.expected is not None


def test_isic_parts_need_their_masks_and_share_no_image(tmp_path: Path) -> None:
    root = releases.isic2018(tmp_path)
    again = "ISIC_0000000"
    save(root / f"ISIC2018_Task1-2_Validation_Input/{again}.jpg", picture(1, color=True))
    masks = root / "ISIC2018_Task1_Validation_GroundTruth"
    save(masks / f"{again}_segmentation.png", lesion(1))
    with pytest.raises(DataError, match=f"no other part has, got {again} again"):
        load_dataset(root, "isic2018")
    masks.rename(root / "elsewhere")
    with pytest.raises(DataError, match=r"ISIC2018_Task1_Validation_GroundTruth beside"):
        load_dataset(root, "isic2018")


def test_udiat_classes_come_from_a_csv_only(tmp_path: Path) -> None:
    root = releases.udiat(tmp_path)
    dataset = load_dataset(root, "udiat")
    assert [case.label for case in dataset.cases] == ["benign", "malignant", "benign"]
    assert expected_counts(dataset) == {"benign": (110, 2), "malignant": (53, 1)}
    (root / "DatasetB.csv").rename(root / "DatasetB.xlsx")
    unclassed = load_dataset(root, "udiat")
    assert {case.label for case in unclassed.cases} == {""}
    assert expected_counts(unclassed) == {"images": (163, 3)}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Image,Type\n1,Benign\n2,Malignant\n", "a class for every image, none for 000003"),
        ("Image,Type\n1,Benign\n1,Benign\n", "one row of each image"),
        ("Image,Type\n1,normal\n", "benign or malignant, got '1', 'normal'"),
        ("Image,Diagnosis\n1,Benign\n", "columns with image,type among them"),
        ("", "got nothing"),
    ],
)
def test_bad_tables(tmp_path: Path, content: str, message: str) -> None:
    root = releases.udiat(tmp_path)
    (root / "DatasetB.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        load_dataset(root, "udiat")


def test_busbra_groups_by_patient(tmp_path: Path) -> None:
    root = releases.busbra(tmp_path)
    dataset = load_dataset(root, "busbra")
    assert [(case.id, case.group, case.label) for case in dataset.cases] == [
        ("bus_0001-l", "1", "benign"),
        ("bus_0001-r", "1", "benign"),
        ("bus_0002-l", "2", "malignant"),
        ("bus_0003-s", "3", "benign"),
    ]
    rows = (root / "bus_data.csv").read_text().splitlines()
    (root / "bus_data.csv").write_text("\n".join(rows[:-1]))
    with pytest.raises(DataError, match=r"a row.* every image, none .*bus_0003-s"):
        load_dataset(root, "busbra")
    (root / "bus_data.csv").write_text("\n".join([*rows, rows[1]]))
    with pytest.raises(DataError, match="one row of each ID"):
        load_dataset(root, "busbra")


def test_stare_reads_either_annotator_and_unpacked_files(tmp_path: Path) -> None:
    root = releases.stare(tmp_path)
    for layout, shift in (("stare", 0), ("stare_vk", 1)):
        dataset = load_dataset(root, layout)
        for seed, case in enumerate(dataset.cases):
            image, mask = read_case(dataset, case)
            np.testing.assert_array_equal(image.pixels, picture(seed, color=True))
            np.testing.assert_array_equal(mask, lesion(seed + shift) // 255)
    (root / "stare-images/im0002.ppm.gz").unlink()
    save(root / "stare-images/im0002.ppm", picture(1, color=True))
    assert load_dataset(root, "stare").cases[1].image.name == "im0002.ppm"


def test_the_real_stare_release(data_root: Path) -> None:
    dataset = load_dataset(data_root / "STARE", "stare")
    assert expected_counts(dataset) == {"images": (20, 16)}
    image, mask = read_case(dataset, dataset.cases[0])
    assert image.pixels.shape == (605, 700, 3)
    # Vessels are a tenth of a retina.
    assert 0.05 < mask.mean() < 0.15
