"""Burned-in marks: found on phantoms in styles known and held out, and on sixty real images."""

import csv
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from featherseg.calipers import Marks, find_marks, remove_marks
from featherseg.datasets.burn_in import draw_calipers, draw_label
from featherseg.datasets.simulate import KINDS, simulate
from featherseg.images import read_image
from featherseg.types import Mask, Pixels
from tests.calipers.styles import held_out_calipers, held_out_text
from tests.conftest import REPOSITORY

LABELED = Path(__file__).parents[1] / "data" / "busi_calipers.csv"
DOCUMENT = REPOSITORY / "docs" / "marks.md"

Truth = tuple[bool, bool]


def known_calipers(pixels: Pixels, mask: Mask, rng: np.random.Generator) -> Pixels:
    return draw_calipers(pixels, mask, rng, numbers=False)


def phantoms(
    count: int,
    calipers: Callable[[Pixels, Mask, np.random.Generator], Pixels],
    label: Callable[[Pixels, np.random.Generator], Pixels],
    seed: int,
) -> list[tuple[Truth, Marks]]:
    """Half of the phantoms get calipers, half of each text; half are RGB."""
    found = []
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        size = (int(rng.uniform(230, 380)), int(rng.uniform(230, 380)))
        pixels, mask = simulate(1000 * seed + index, KINDS[index % len(KINDS)], size)
        if index % 2:
            pixels = np.repeat(pixels[..., np.newaxis], 3, axis=2)
        truth = (index % 4 in (1, 2), index // 2 % 2 == 1)
        if truth[0]:
            pixels = calipers(pixels, mask, rng)
        if truth[1]:
            pixels = label(pixels, rng)
        found.append((truth, find_marks(pixels)))
    return found


def counts(truth: Sequence[bool], found: Sequence[bool]) -> tuple[int, int, int, int]:
    """True positives, false positives, false negatives, true negatives."""
    pairs = list(zip(truth, found, strict=True))
    return (
        pairs.count((True, True)),
        pairs.count((False, True)),
        pairs.count((True, False)),
        pairs.count((False, False)),
    )


def check(found: Sequence[tuple[Truth, Marks]], least: float) -> None:
    for which in (0, 1):
        truth = [each[0][which] for each in found]
        said = [(each[1].has_calipers, each[1].has_text)[which] for each in found]
        both, false, missed, _ = counts(truth, said)
        assert both / (both + false) >= least, (which, "precision", both, false)
        assert both / (both + missed) >= least, (which, "recall", both, missed)


def test_marks_drawn_as_scanners_do_are_found() -> None:
    check(phantoms(40, known_calipers, draw_label, seed=1), least=0.9)


def other_calipers(pixels: Pixels, _: Mask, rng: np.random.Generator) -> Pixels:
    return held_out_calipers(pixels, rng)


def test_marks_of_other_styles_are_found() -> None:
    check(phantoms(40, other_calipers, held_out_text, seed=2), least=0.85)


def phantom_agreement() -> dict[tuple[str, str], list[float]]:
    """Precision and recall of each style and kind of mark, as docs/marks.md states them."""
    other = [phantoms(120, other_calipers, held_out_text, seed) for seed in (22, 23, 24)]
    agreement = {}
    for style, found in (
        ("known", phantoms(120, known_calipers, draw_label, seed=21)),
        ("other", [each for part in other for each in part]),
    ):
        for which, kind in enumerate(("calipers", "text")):
            said = [(marks.has_calipers, marks.has_text)[which] for _, marks in found]
            both, false, missed, _ = counts([truth[which] for truth, _ in found], said)
            agreement[style, kind] = [both / (both + false), both / (both + missed)]
    return agreement


@pytest.mark.slow
def test_phantoms_agree_as_the_document_says() -> None:
    rows = re.findall(
        r"^\| (known|other) \| \d+ \| (\w+) \| (\S+) \| (\S+) \|$",
        DOCUMENT.read_text(),
        re.MULTILINE,
    )
    stated = {(style, kind): [float(each) for each in shares] for style, kind, *shares in rows}
    found = phantom_agreement()
    assert stated.keys() == found.keys()
    for key, shares in found.items():
        assert shares == pytest.approx(stated[key], abs=5e-4)


def test_tissue_alone_has_no_marks() -> None:
    for seed in range(9):
        marks = find_marks(simulate(seed, KINDS[seed % 3], (256, 300))[0])
        assert not marks.calipers + marks.text
        assert not marks.mask.any()


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("arm", [4, 8, 15])
def test_a_cross_is_found_where_it_is(arm: int, turned: bool) -> None:
    pixels = np.full((90, 110), 60, np.uint8)
    row, col, a = 41, 52, arm if turned else 0
    cv2.line(pixels, (col - arm, row - a), (col + arm, row + a), 240, 1)
    cv2.line(pixels, (col - a, row + arm), (col + a, row - arm), 240, 1)
    (box,) = find_marks(pixels).calipers
    assert np.abs(np.array(box) - (row - arm, col - arm, row + arm + 1, col + arm + 1)).max() <= 2


def test_what_is_no_cross_is_left_alone() -> None:
    shapes: dict[str, Callable[[Pixels], object]] = {
        "disk": lambda p: cv2.circle(p, (50, 45), 9, 240, -1),
        "line": lambda p: cv2.line(p, (10, 45), (95, 45), 240, 1),
        "corner": lambda p: cv2.polylines(
            p, [np.array([[50, 20], [50, 45], [80, 45]])], False, 240
        ),
        "uneven": lambda p: cv2.line(cv2.line(p, (20, 45), (80, 45), 240), (50, 41), (50, 49), 240),
    }
    for name, draw in shapes.items():
        pixels = np.full((90, 110), 60, np.uint8)
        draw(pixels)
        assert not find_marks(pixels).calipers, name


def test_a_dotted_line_alone_is_a_caliper_and_scattered_dots_are_none() -> None:
    pixels = np.full((90, 160), 60, np.uint8)
    for step in range(14):
        pixels[40 + step : 42 + step, 20 + 8 * step : 22 + 8 * step] = 230
    marks = find_marks(pixels)
    assert (len(marks.calipers), marks.text) == (1, ())
    scattered = np.full((200, 200), 60, np.uint8)
    rng = np.random.default_rng(0)
    scattered[rng.integers(2, 198, 60), rng.integers(2, 198, 60)] = 230
    assert not find_marks(scattered).calipers


def test_colored_ink_is_found_on_tissue_as_bright() -> None:
    pixels = np.full((90, 160, 3), 235, np.uint8)
    cv2.putText(pixels, "LT 3", (20, 50), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 200, 0), 2)
    assert find_marks(pixels).has_text


@pytest.mark.parametrize("size", [(1, 1), (3, 40), (64, 64)])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_blank_and_tiny_images_have_no_marks(size: tuple[int, int], value: int) -> None:
    for shape in (size, (*size, 3)):
        marks = find_marks(np.full(shape, value, np.uint8))
        assert (marks.has_calipers, marks.has_text, marks.mask.shape) == (False, False, size)


@pytest.mark.parametrize("channels", [1, 3])
def test_removal_takes_the_marks_and_leaves_the_rest(channels: int) -> None:
    pixels = np.full((90, 160), 60, np.uint8)
    cv2.putText(pixels, "LT 3", (20, 70), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 240, 2)
    cv2.line(pixels, (100, 30), (120, 30), 240, 1)
    cv2.line(pixels, (110, 20), (110, 40), 240, 1)
    if channels == 3:
        pixels = np.repeat(pixels[..., np.newaxis], 3, axis=2)
    before, marks = pixels.copy(), find_marks(pixels)
    for how in ("inpaint", "mask"):
        clean = remove_marks(pixels, marks, how)
        assert clean.max() <= 70
        assert np.array_equal(clean[~marks.mask], pixels[~marks.mask])
        assert not find_marks(clean).mask.any()
    assert np.array_equal(pixels, before)


def test_removal_of_nothing_changes_nothing() -> None:
    pixels = simulate(3, "benign", (128, 128))[0]
    for how in ("inpaint", "mask"):
        unmarked = remove_marks(pixels, find_marks(pixels), how)
        assert np.array_equal(unmarked, pixels)


def test_drawings_repeat_and_leave_their_image_alone() -> None:
    pixels, mask = simulate(5, "benign", (200, 240))
    before = pixels.copy()
    first, second = (draw_calipers(pixels, mask, np.random.default_rng(4)) for _ in range(2))
    assert np.array_equal(first, second)
    assert np.array_equal(pixels, before)
    assert (first != pixels).any()


def busi_agreement(root: Path) -> dict[str, list[str]]:
    """What docs/marks.md states for each kind of mark, over the labeled images."""
    rows = list(csv.DictReader(LABELED.read_text().splitlines()))
    found = []
    for row in rows:
        folder = root / "BUSI" / "Dataset_BUSI_with_GT" / row["case"].split()[0]
        found.append(find_marks(read_image(folder / f"{row['case']}.png").pixels))
    agreement = {}
    for kind in ("calipers", "text"):
        truth = [row[kind] == "1" for row in rows]
        said = [getattr(marks, f"has_{kind}") for marks in found]
        both, false, missed, neither = counts(truth, said)
        shares = (
            (both + neither) / len(rows),
            both / (both + false),
            both / (both + missed),
            cohen_kappa_score(truth, said),
        )
        agreement[kind] = [f"{both + missed} of {len(rows)}", *(f"{share:.3f}" for share in shares)]
    return agreement


@pytest.mark.slow
def test_real_images_agree_with_labels_made_by_eye_as_the_document_says(data_root: Path) -> None:
    table = re.findall(r"^\| (calipers|text) \| (.+) \|$", DOCUMENT.read_text(), re.MULTILINE)
    stated = {kind: cells.split(" | ") for kind, cells in table}
    assert busi_agreement(data_root) == stated


def test_an_image_that_is_all_mark_is_blanked() -> None:
    pixels = np.full((40, 30, 3), 200, np.uint8)
    marks = Marks(np.ones((40, 30), np.bool_), (), ())
    assert not remove_marks(pixels, marks, "mask").any()
