"""The nerve challenge's rule and its run lengths, written and read."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from featherseg.errors import DataError
from featherseg.metrics.kaggle import (
    decode_runs,
    encode_runs,
    kaggle_dice,
    read_submission,
    write_submission,
)
from featherseg.metrics.overlap import confusion

sizes = st.tuples(st.integers(1, 7), st.integers(1, 6))


def pixel_by_pixel(mask: NDArray[np.uint8]) -> str:
    """Walk down the columns, counting from 1."""
    runs: list[list[int]] = []
    height, width = mask.shape
    for place in range(height * width):
        if not mask[place % height, place // height]:
            continue
        if runs and sum(runs[-1]) == place + 1:
            runs[-1][1] += 1
        else:
            runs.append([place + 1, 1])
    return " ".join(f"{start} {length}" for start, length in runs)


@settings(deadline=None)
@given(arrays(np.uint8, sizes, elements=st.sampled_from([0, 255])))
def test_runs_equal_a_walk_over_the_pixels_and_come_back(mask: NDArray[np.uint8]) -> None:
    text = encode_runs(mask)
    assert text == pixel_by_pixel(mask)
    height, width = mask.shape
    assert np.array_equal(decode_runs(text, (height, width)), mask > 0)


def test_a_submission_comes_back(tmp_path: Path) -> None:
    mask = np.zeros((4, 3), np.uint8)
    mask[1:3, 1:] = 1
    write_submission({"1": mask, "2": np.zeros((4, 3), np.uint8)}, tmp_path / "s.csv")
    assert (tmp_path / "s.csv").read_text() == "img,pixels\n1,6 2 10 2\n2,\n"
    found = read_submission(tmp_path / "s.csv", (4, 3))
    assert np.array_equal(found["1"], mask)
    assert not found["2"].any()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1", "pairs 'start length'"),
        ("1 -2", "pairs 'start length'"),
        ("1 2.5", "pairs 'start length'"),
        ("\u00b2 1", "pairs 'start length'"),
        ("0 2", "starts from 1"),
        ("3 0", "lengths of at least 1"),
        ("5 2 1 2", "ascending order"),
        ("1 3 3 2", "do not overlap"),
        ("12 2", "outside of 4x3"),
        ("1 " + "9" * 5000, "outside of 4x3"),
    ],
)
def test_runs_that_cannot_be_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        decode_runs(text, (4, 3))
    (tmp_path / "s.csv").write_text(f"img,pixels\n1,\n2,{text}\n")
    with pytest.raises(DataError, match=f"row 3: .*{message}"):
        read_submission(tmp_path / "s.csv", (4, 3))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an empty file"),
        (b"a,b\n", "expected the columns img,pixels, got a,b"),
        (b"img,pixels\n1\n", "row 2: expected 2 fields, got 1"),
        (b"img,pixels\n1,\n1,\n", "row 3: the image '1' stands there twice"),
        (b"\xff\xfe", "cannot be read as CSV"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "s.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_submission(tmp_path / "s.csv", (4, 3))


def test_a_missing_and_a_huge_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_submission(tmp_path / "none.csv", (4, 3))
    with (tmp_path / "huge.csv").open("wb") as file:
        file.truncate(1_000_000_001)
    with pytest.raises(DataError, match="larger than 1 GB"):
        read_submission(tmp_path / "huge.csv", (4, 3))


def test_one_pixel_in_an_image_without_a_nerve_costs_everything() -> None:
    empty, one = np.zeros((3, 3), bool), np.eye(3, dtype=bool)
    assert kaggle_dice(confusion(empty, empty)) == 1.0
    assert kaggle_dice(confusion(empty, one)) == kaggle_dice(confusion(one, empty)) == 0.0
    assert kaggle_dice(confusion(one, one)) == 1.0


def test_runs_may_touch() -> None:
    assert np.array_equal(decode_runs("1 3 4 2", (4, 3)), decode_runs("1 5", (4, 3)))
