"""The audit finds every flaw it names, each planted here, and stops at none of them."""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest

from featherseg.audit import Audit, audit
from featherseg.datasets import load_dataset
from featherseg.datasets.phantom import simulate
from featherseg.duplicates import Duplicates
from featherseg.splits import Split, make_split
from featherseg.types import Case, Mask, Pixels
from tests.conftest import REPOSITORY

KEYS = [
    "images",
    "distinct",
    "exact_duplicates",
    "duplicates_across_groups",
    "inconsistent_masks",
    "outlines",
    "multi_component",
    "multi_mask",
    "holes",
    "calipers",
    "color_overlays",
    "small_images",
    "constant_images",
    "duplicate_groups",
    "contradictions",
    "unreadable",
    "size_mismatch",
    "mask_values",
    "empty",
    "expected",
]


def add(root: Path, stem: str, pixels: Pixels, mask: Mask) -> None:
    for part, content in (("images", pixels), ("masks", mask)):
        (root / part).mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(content).save(root / part / f"{stem}.png")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four sound images with a lesion, each its own picture."""
    for seed in range(4):
        pixels, mask = simulate(seed, "benign", (72, 80))
        add(tmp_path / "data", f"case{seed}", pixels, mask * np.uint8(255))
    return tmp_path / "data"


def audited(root: Path, split: Split | None = None) -> Audit:
    return audit(load_dataset(root, "folder"), split)


def test_a_sound_folder_has_no_findings(root: Path) -> None:
    found = audited(root)
    content = found.to_json()
    assert set(KEYS) <= set(content)
    assert (content["images"], content["distinct"]) == (4, 4)
    assert all(not content[key] for key in KEYS[2:])
    assert "crossings" not in content
    assert found.is_usable
    assert found.warnings == ()
    json.dumps(content, allow_nan=False)


def test_duplicates_and_contradictions(root: Path) -> None:
    pixels, mask = simulate(0, "benign", (72, 80))
    add(root, "copy", pixels, np.zeros_like(mask))
    rows = [f"case{n},p{n},benign" for n in range(4)] + ["copy,p4,malignant"]
    (root / "groups.csv").write_text("id,group,class\n" + "\n".join(rows) + "\n")
    found = audited(root)
    assert (found.images, found.distinct) == (5, 4)
    assert found.duplicate_groups == (("case0", "copy"),)
    (contradiction,) = found.contradictions
    assert contradiction.cases == ("case0", "copy")
    assert contradiction.classes == ("benign", "malignant")
    assert contradiction.differs == ("class", "presence")
    assert found.empty == ("copy",)
    assert found.is_usable


def test_duplicates_in_other_forms(root: Path) -> None:
    """Scaled, recompressed, brightened or stored as color, it is one picture."""
    pixels, mask = simulate(0, "benign", (72, 80))
    mask = mask * np.uint8(255)
    larger = (160, 144)
    bright = np.clip(pixels * 1.1 + 8, 0, 255).astype(np.uint8)
    _, jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 60])
    forms = {
        "bright": bright,
        "color": np.dstack([pixels] * 3),
        "jpeg": np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE), np.uint8),
    }
    for name, form in forms.items():
        add(root, name, form, mask)
    scaled = np.asarray(cv2.resize(mask, larger, interpolation=cv2.INTER_NEAREST), np.uint8)
    add(root, "scaled", np.asarray(cv2.resize(pixels, larger), np.uint8), scaled)
    found = audited(root)
    assert found.duplicate_groups == (("bright", "case0", "color", "jpeg", "scaled"),)
    assert (found.images, found.distinct) == (8, 4)
    assert (found.distinct_by_correlation, found.distinct_by_hash) == (4, 4)
    assert found.exact_duplicates == (("case0", "color"),)
    assert found.inconsistent_masks == ()


def test_unlike_masks_of_one_picture(root: Path) -> None:
    pixels, mask = simulate(0, "benign", (72, 80))
    moved = np.roll(mask, 12, axis=1) * np.uint8(255)
    add(root, "copy", pixels, moved)
    (found,) = audited(root).inconsistent_masks
    expected = 2 * (mask & (moved > 0)).sum() / (2 * mask.sum())
    assert found.cases == ("case0", "copy")
    assert found.dice == pytest.approx(expected, abs=1e-3)
    assert not found.is_resized
    assert found.remark.startswith("Dice 0.")


def test_one_picture_under_two_patients(root: Path) -> None:
    pixels, mask = simulate(0, "benign", (72, 80))
    add(root, "copy", pixels, mask * np.uint8(255))
    assert audited(root).duplicates_across_groups == ()  # no patients are known
    rows = "case0,a\ncase1,a\ncase2,b\ncase3,b\ncopy,b"
    (root / "groups.csv").write_text(f"id,group\n{rows}\n")
    found = audited(root)
    assert found.duplicates_across_groups == (("case0", "copy"),)
    assert found.group_sizes.groups == 2
    assert found.group_sizes.images_each.max == 3
    (root / "groups.csv").write_text(f"id,group\n{rows.replace('copy,b', 'copy,a')}\n")
    assert audited(root).duplicates_across_groups == ()


def test_marks_colors_and_odd_images(root: Path) -> None:
    pixels, mask = simulate(5, "benign", (200, 240))
    mask = mask * np.uint8(255)
    colored = np.dstack([pixels] * 3)
    cv2.rectangle(colored, (20, 20), (90, 80), (250, 220, 0), 1)
    add(root, "colored", colored, mask)
    # A picture that is colored all over is no overlay, and one pixel is noise.
    tinted = np.dstack([pixels, pixels // 2, pixels // 4]).astype(np.uint8)
    add(root, "tinted", np.maximum(tinted, np.array([90, 40, 10], np.uint8)), mask)
    noise = np.dstack([simulate(6, "benign", (200, 240))[0]] * 3)
    noise[3, 3] = (255, 0, 0)
    add(root, "noise", noise, mask)
    add(root, "blank", np.full((200, 240), 90, np.uint8), mask)
    add(root, "tiny", simulate(7, "benign", (30, 240))[0], mask[:30])
    found = audited(root)
    assert found.color_overlays == ("colored",)
    assert found.constant_images == ("blank",)
    # The median image has 200x240 pixels; the four of the folder have 72x80.
    small = {one.case: one.size for one in found.small_images}
    assert small == {"tiny": (30, 240)} | {f"case{n}": (72, 80) for n in range(4)}


def test_calipers_are_listed(root: Path) -> None:
    pixels, mask = simulate(5, "benign", (200, 240))
    for row, col in ((60, 60), (60, 150)):
        pixels[row - 6 : row + 7, col] = 255
        pixels[row, col - 6 : col + 7] = 255
    add(root, "marked", pixels, mask * np.uint8(255))
    assert audited(root).calipers == ("marked",)


def test_parts_holes_and_outlines(root: Path) -> None:
    def masked(seed: int, mask: Mask) -> None:
        add(root, f"odd{seed}", simulate(seed, "normal", (72, 80))[0], mask * np.uint8(255))

    parts = np.zeros((72, 80), np.uint8)
    parts[10:40, 10:40] = 1
    parts[50:60, 50:60] = 1
    parts[5, 70] = 1
    masked(10, parts)
    holed = np.zeros((72, 80), np.uint8)
    holed[10:40, 10:40] = 1
    holed[20, 20:23] = holed[30, 30] = 0
    masked(11, holed)
    ring = np.zeros((72, 80), np.uint8)
    cv2.ellipse(ring, (40, 36), (25, 20), 0, 0, 360, 1, 1)
    masked(12, ring)
    found = audited(root)
    assert [(p.case, p.components, p.specks) for p in found.multi_component] == [("odd10", 3, 1)]
    assert [(h.case, h.holes, h.area_px) for h in found.holes] == [("odd11", 2, 4)]
    assert found.outlines == ("odd12",)


def test_balance(root: Path) -> None:
    add(root, "none", simulate(9, "normal", (72, 80))[0], np.zeros((72, 80), np.uint8))
    rows = "\n".join(f"case{n},p{n},benign" for n in range(4))
    (root / "groups.csv").write_text(f"id,group,class\n{rows}\nnone,p4,normal\n")
    found = audited(root)
    assert (found.classes["benign"].images, found.classes["benign"].with_lesion) == (4, 4)
    assert (found.classes["normal"].share, found.classes["normal"].with_lesion) == (0.2, 0)
    shares = [simulate(n, "benign", (72, 80))[1].mean() for n in range(4)]
    area = found.lesion_area["all"]
    assert area.n == 4
    assert (area.min, area.max) == pytest.approx((min(shares), max(shares)), abs=1e-5)
    assert area.median == pytest.approx(float(np.median(shares)), abs=1e-5)
    assert found.lesion_area["benign"] == area
    assert "normal" not in found.lesion_area
    assert found.image_sizes is not None
    assert (found.image_sizes.different, found.image_sizes.commonest) == (1, (72, 80))


def test_a_duplicate_that_agrees_is_no_contradiction(root: Path) -> None:
    pixels, mask = simulate(0, "benign", (72, 80))
    add(root, "copy", pixels, mask * np.uint8(255))
    found = audited(root)
    assert found.duplicate_groups
    assert not found.contradictions


def test_unreadable_files_are_listed_and_the_rest_is_read(root: Path) -> None:
    for path in (root / "images/case1.png", root / "masks/case2.png"):
        path.write_bytes(path.read_bytes()[:100])
    found = audited(root)
    assert [(u.case, u.file) for u in found.unreadable] == [
        ("case1", "case1.png"),
        ("case2", "case2.png"),
    ]
    assert all("truncated" in u.reason for u in found.unreadable)
    assert (found.images, found.distinct) == (4, 3)
    assert found.empty == ()
    assert not found.is_usable


def test_masks_of_another_size(root: Path) -> None:
    add(root, "other", simulate(9, "benign", (72, 80))[0], np.full((80, 72), 255, np.uint8))
    found = audited(root)
    (mismatch,) = found.size_mismatch
    assert (mismatch.case, mismatch.image, mismatch.mask) == ("other", (72, 80), (80, 72))
    assert not found.is_usable


def test_odd_values_of_binary_masks(root: Path) -> None:
    pixels, mask = simulate(9, "benign", (72, 80))
    add(root, "ones", pixels, mask)
    smooth = mask * np.uint8(255)
    smooth[0, :3] = (3, 128, 254)
    add(root, "smooth", simulate(10, "benign", (72, 80))[0], smooth)
    (odd,) = audited(root).mask_values
    assert (odd.case, odd.values) == ("smooth", (3, 128, 254))


def test_odd_values_of_label_maps(root: Path) -> None:
    for seed in range(4):
        pixels, mask = simulate(seed, "benign", (72, 80))
        add(root, f"case{seed}", pixels, mask * np.uint8(seed))
    (root / "labels.json").write_text('["head", "body"]')
    found = audited(root)
    assert [(odd.case, odd.values) for odd in found.mask_values] == [("case3", (3,))]
    assert found.empty == ("case0",)


def test_crossings(root: Path) -> None:
    pixels, mask = simulate(0, "benign", (72, 80))
    add(root, "copy", pixels, mask * np.uint8(255))
    dataset = load_dataset(root, "folder")
    blind = Duplicates((), ())
    split = make_split(dataset, blind, fractions=(0.4, 0.3, 0.3), seed=0)
    parts = {"train": ("case0", "case1"), "validation": ("case2", "copy"), "test": ("case3",)}
    found = audited(root, dataclasses.replace(split, subsets=parts))
    assert found.crossings is not None
    (crossing,) = found.crossings
    assert crossing.cases == ("case0", "copy")
    assert crossing.parts == ("train", "validation")
    assert crossing.why == "duplicate"
    assert found.split_intact is False
    assert not found.is_usable
    safe = {"train": ("case0", "copy"), "validation": ("case1", "case2"), "test": ("case3",)}
    assert audited(root, dataclasses.replace(split, subsets=safe)).crossings == ()


def test_groups_that_cross_folds(root: Path) -> None:
    rows = "\n".join(f"case{n},p{n}" for n in range(4))
    (root / "groups.csv").write_text(f"id,group\n{rows}\n")
    split = make_split(load_dataset(root, "folder"), Duplicates((), ()), folds=3, seed=0)
    intact = audited(root, split)
    assert (intact.crossings, intact.split_intact, intact.is_usable) == ((), True, True)
    first, second = (split.folds or ())[0][0], (split.folds or ())[1][0]
    rows = "\n".join(f"case{n},{'one' if f'case{n}' in (first, second) else n}" for n in range(4))
    (root / "groups.csv").write_text(f"id,group\n{rows}\n")
    (crossing,) = audited(root, split).crossings or ()
    assert crossing.parts == ("fold 0", "fold 1")
    assert crossing.why == "group"


def test_progress_sees_every_case(root: Path) -> None:
    dataset = load_dataset(root, "folder")
    seen: list[str] = []

    def watched(cases: Sequence[Case]) -> Iterator[Case]:
        for case in cases:
            seen.append(case.id)
            yield case

    audit(dataset, None, watched)
    assert seen == [case.id for case in dataset.cases]


@pytest.fixture(scope="module")
def busi(data_root: Path) -> Audit:
    return audit(load_dataset(data_root / "BUSI", "busi"))


@pytest.mark.slow
def test_busi(busi: Audit) -> None:
    assert busi.images == 624
    assert 475 <= busi.distinct <= 490
    assert len(busi.empty) == 106
    assert all(name.startswith("normal") for name in busi.empty)
    assert (busi.unreadable, busi.size_mismatch) == ((), ())
    assert busi.is_usable
    assert any({"benign (433)", "malignant (145)"} <= set(c.cases) for c in busi.contradictions)
    assert (busi.distinct_by_correlation, busi.distinct_by_hash) == (485, 478)
    assert busi.exact_duplicates == (("benign (433)", "malignant (145)"),)
    assert (len(busi.multi_mask), busi.outlines, len(busi.color_overlays)) == (14, (), 14)


@pytest.mark.slow
def test_busi_as_committed(busi: Audit) -> None:
    """Whoever changes what is found makes the committed figures again."""
    stored = json.loads((REPOSITORY / "results/audits/busi.json").read_text())
    assert json.loads(json.dumps(busi.to_json())) == stored


@pytest.mark.slow
def test_a_truncated_release_warns(busi: Audit) -> None:
    assert busi.expected == {"benign": (437, 350), "malignant": (210, 168), "normal": (133, 106)}
    assert busi.warnings[0] == "benign: the official release has 437 images, found 350"
    assert len(busi.warnings) == 3
    assert busi.to_json()["expected"]["normal"] == {"expected": 133, "found": 106}
