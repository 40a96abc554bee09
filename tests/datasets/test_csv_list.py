"""A CSV list of images and masks."""

from pathlib import Path

import numpy as np
import pytest

from featherseg.datasets import load_dataset, read_case
from featherseg.errors import DataError
from tests.datasets.releases import csv_list, lesion, picture, save


def test_columns(tmp_path: Path) -> None:
    dataset = load_dataset(csv_list(tmp_path), "csv")
    assert [(case.id, case.group, case.label) for case in dataset.cases] == [
        ("scan1", "p1", "benign"),
        ("scan2", "p0", "benign"),
        ("scan10", "p0", "benign"),
    ]
    image, mask = read_case(dataset, dataset.cases[1])
    assert image.spacing_mm == (0.1, 0.2)
    np.testing.assert_array_equal(mask, lesion(2) // 255)
    assert load_dataset(tmp_path / "list.csv", "csv") == dataset


def test_only_two_columns_are_needed(tmp_path: Path) -> None:
    csv_list(tmp_path)
    (tmp_path / "list.csv").write_text("\ufeffMask;Image\nb/scan1.tif;a/scan1.png\n\n")
    (case,) = load_dataset(tmp_path, "csv").cases
    assert (case.id, case.group, case.label, case.spacing_mm) == ("scan1", "scan1", "", None)


def test_label_maps_beside_labels_json(tmp_path: Path) -> None:
    csv_list(tmp_path)
    save(tmp_path / "b/scan1.tif", np.asarray(lesion(1) // 127, np.uint8))
    (tmp_path / "labels.json").write_text('["head", "body"]')
    dataset = load_dataset(tmp_path, "csv")
    assert dataset.labels == ("head", "body")
    assert read_case(dataset, dataset.cases[0])[1].max() == 2


def test_one_name_in_several_folders_needs_an_id(tmp_path: Path) -> None:
    csv_list(tmp_path)
    save(tmp_path / "c/scan1.png", picture(7))
    rows = "a/scan1.png,b/scan1.tif,{}\nc/scan1.png,b/scan1.tif,{}\n"
    (tmp_path / "list.csv").write_text("image,mask,group\n" + rows.format("p1", "p2"))
    with pytest.raises(DataError, match=r"different ids, got 'scan1' .* add a column id"):
        load_dataset(tmp_path, "csv")
    (tmp_path / "list.csv").write_text("image,mask,id\n" + rows.format("first", "second"))
    assert [case.id for case in load_dataset(tmp_path, "csv").cases] == ["first", "second"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "columns with image,mask among them, got nothing"),
        ("image\na/scan1.png\n", "columns with image,mask"),
        ("image,mask,mask\n", "different columns"),
        ("image,mask\na/scan1.png,b/scan9.tif\n", r"found no \S+b/scan9\.tif"),
        ("image,mask\na/scan1.png,\n", "a path inside"),
        ("image,mask\na/scan1.png,../b/scan1.tif\n", "a path inside .* link other folders"),
        ("image,mask\n/etc/passwd,b/scan1.tif\n", "a path inside"),
        ("image,mask\na/scan1.png,b/scan1.tif,more\n", "expected 2 columns, got the row"),
        ("image,mask,spacing_row_mm\na/scan1.png,b/scan1.tif,1\n", "both of spacing_row_mm"),
        ("image,mask,spacing_row_mm,spacing_col_mm\na/scan1.png,b/scan1.tif,1,x\n", "got 'x'"),
        ("image,mask\n", "expected images in the layout 'csv', found none"),
        ("\xff\xfe", "columns with image,mask"),
    ],
)
def test_bad_lists(tmp_path: Path, content: str, message: str) -> None:
    csv_list(tmp_path)
    (tmp_path / "list.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        load_dataset(tmp_path, "csv")


def test_what_is_no_list(tmp_path: Path) -> None:
    csv_list(tmp_path)
    (tmp_path / "list.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read as a CSV file"):
        load_dataset(tmp_path, "csv")
    (tmp_path / "other.csv").write_text("image,mask\n")
    with pytest.raises(DataError, match=r"one list NAME\.csv, found list\.csv, other\.csv"):
        load_dataset(tmp_path, "csv")
    with pytest.raises(DataError, match="expected a data folder, found a file"):
        load_dataset(tmp_path / "a/scan1.png", "csv")
    with pytest.raises(DataError, match="expected a data folder, found nothing"):
        load_dataset(tmp_path / "absent.csv", "csv")
