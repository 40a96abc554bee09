"""The audit finds every flaw it names, each planted here, and stops at none of them."""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from featherseg.audit import Audit, audit
from featherseg.datasets import load_dataset
from featherseg.datasets.phantom import simulate
from featherseg.duplicates import Duplicates
from featherseg.splits import Split, make_split
from featherseg.types import Case, Mask, Pixels

KEYS = [
    "images",
    "distinct",
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


def test_busi(busi: Audit) -> None:
    assert busi.images == 624
    assert 475 <= busi.distinct <= 490
    assert len(busi.empty) == 106
    assert all(name.startswith("normal") for name in busi.empty)
    assert (busi.unreadable, busi.size_mismatch) == ((), ())
    assert busi.is_usable
    assert any({"benign (433)", "malignant (145)"} <= set(c.cases) for c in busi.contradictions)


def test_a_truncated_release_warns(busi: Audit) -> None:
    assert busi.expected == {"benign": (437, 350), "malignant": (210, 168), "normal": (133, 106)}
    assert busi.warnings[0] == "benign: the official release has 437 images, found 350"
    assert len(busi.warnings) == 3
    assert busi.to_json()["expected"]["normal"] == {"expected": 133, "found": 106}
