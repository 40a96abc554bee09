"""NIfTI files, written and read: orientation, spacing, and what is refused."""

import gzip
import struct
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray

from featherseg.datasets import load_dataset, read_case
from featherseg.datasets.exchange.nifti import read_nifti, read_nifti_mask, write_nifti
from featherseg.errors import DataError, ImageError
from tests.datasets.exports import make, write

# Both libraries come without types.
NIBABEL: Any = nibabel
ITK: Any = SimpleITK


def test_nifti_is_upright_and_stated_as_simpleitk_reads_it(tmp_path: Path) -> None:
    pixels = np.arange(20 * 30, dtype=np.uint16).reshape(20, 30).astype(np.uint8)
    write_nifti(tmp_path / "a.nii.gz", pixels, (0.25, 0.5))
    read: Any = ITK.ReadImage(str(tmp_path / "a.nii.gz"))
    assert read.GetSpacing()[:2] == (0.5, 0.25)
    assert read.GetDirection() == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    np.testing.assert_array_equal(ITK.GetArrayFromImage(read)[0], pixels)


def test_a_mask_that_another_tool_saved_is_read(tmp_path: Path) -> None:
    image, mask = np.zeros((20, 30), np.uint8), np.eye(20, 30, dtype=np.uint8)
    write_nifti(tmp_path / "image.nii.gz", image, None)
    write_nifti(tmp_path / "mask.nii.gz", mask, None)
    for pixel_type in (ITK.sitkInt16, ITK.sitkFloat32):
        read = ITK.ReadImage(str(tmp_path / "mask.nii.gz"))
        ITK.WriteImage(ITK.Cast(read, pixel_type), str(tmp_path / "saved.nii"))
        back = read_nifti_mask(tmp_path / "saved.nii", 1, tmp_path / "image.nii.gz")
        np.testing.assert_array_equal(back, mask)


def test_an_unknown_spacing_stays_unknown(tmp_path: Path) -> None:
    pixels = np.zeros((20, 30), np.uint8)
    write_nifti(tmp_path / "a.nii.gz", pixels, None)
    assert read_nifti(tmp_path / "a.nii.gz").spacing_mm is None
    header: Any = NIBABEL.load(tmp_path / "a.nii.gz").header
    assert header.get_xyzt_units()[0] == "unknown"


def test_nifti_in_micrometers_is_read_in_millimeters(tmp_path: Path) -> None:
    image = NIBABEL.Nifti1Image(np.zeros((30, 20, 1), np.uint8), np.diag([50.0, 20.0, 1.0, 1.0]))
    image.header.set_xyzt_units("micron")
    NIBABEL.save(image, tmp_path / "a.nii")
    assert read_nifti(tmp_path / "a.nii").spacing_mm == pytest.approx((0.02, 0.05))


def test_a_mirrored_mask_is_refused(tmp_path: Path) -> None:
    write_nifti(tmp_path / "image.nii", np.zeros((20, 30), np.uint8), None)
    mirrored = NIBABEL.Nifti1Image(np.zeros((30, 20, 1), np.uint8), np.diag([1.0, -1.0, 1.0, 1.0]))
    NIBABEL.save(mirrored, tmp_path / "mask.nii")
    with pytest.raises(DataError, match="expected the axes of its image, L/P, got R/P"):
        read_nifti_mask(tmp_path / "mask.nii", 1, tmp_path / "image.nii")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((20, 30, 4), np.uint8), "expected one 2-D image, got 20x30x4"),
        (np.full((20, 30), 300, np.int16), "expected whole values from 0 to 255, got int16"),
        (np.full((20, 30), -1, np.int16), "from -1 to -1"),
        (np.full((20, 30), 0.5, np.float32), "expected whole values"),
        (np.full((20, 30), np.nan, np.float32), "expected whole values"),
        (np.zeros((7, 30), np.uint8), "at least 8x8"),
    ],
)
def test_what_is_no_8_bit_slice_is_refused(
    tmp_path: Path, array: NDArray[Any], message: str
) -> None:
    NIBABEL.save(NIBABEL.Nifti1Image(array, np.eye(4)), tmp_path / "a.nii")
    with pytest.raises(ImageError, match=message):
        read_nifti(tmp_path / "a.nii")


def test_damaged_nifti_files_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    write_nifti(tmp_path / "a.nii", np.zeros((20, 30), np.uint8), None)
    content = (tmp_path / "a.nii").read_bytes()
    cases = {
        "cut.nii": content[:-100],
        "text.nii": b"not an image",
        "cut.nii.gz": gzip.compress(content)[:-50],
        # The header says 30000 x 30000.
        "huge.nii": content[:42] + struct.pack("<hh", 30000, 30000) + content[46:],
    }
    for name, damaged in cases.items():
        (tmp_path / name).write_bytes(damaged)
        with pytest.raises(ImageError, match=r"damaged one or another|30000x30000"):
            read_nifti(tmp_path / name)
    with pytest.raises(ImageError, match="found nothing"):
        read_nifti(tmp_path / "none.nii")


def test_nifti_folders_need_partners_and_named_labels(tmp_path: Path) -> None:
    root = write("nifti", make(tmp_path / "data", "gray", 2, False), tmp_path / "n", None)
    (root / "labels.json").write_text('["head"]')
    dataset = load_dataset(root, "nifti")
    with pytest.raises(DataError, match=r"expected labels 0 to 1, got the value 2"):
        read_case(dataset, dataset.cases[0])
    (root / "labels.json").unlink()
    dataset = load_dataset(root, "nifti")
    assert set(np.unique(read_case(dataset, dataset.cases[0])[1])) == {0, 1}
    (root / "masks" / "case.nii.gz").unlink()
    with pytest.raises(DataError, match=r"masks: expected the same names .* none for case"):
        load_dataset(root, "nifti")
