"""Same-picture groups: invariances, blank images, and the counts known for BUSI."""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from featherseg.datasets import Dataset, load_dataset
from featherseg.datasets.phantom import simulate, write_phantom
from featherseg.duplicates import (
    SAME_BITS,
    SAME_CORRELATION,
    Signature,
    connected,
    find_duplicates,
    group_duplicates,
    signature,
)
from featherseg.images import read_image
from featherseg.types import Pixels


def phantom(seed: int) -> Pixels:
    return simulate(seed, "benign", (128, 160))[0]


def correlation(first: Signature, second: Signature) -> float:
    assert first.thumbnail is not None
    assert second.thumbnail is not None
    return float(first.thumbnail @ second.thumbnail)


def test_a_signature_is_normalized() -> None:
    one = signature(phantom(0))
    assert one.thumbnail is not None
    assert one.thumbnail.shape == (48 * 48,)
    assert one.thumbnail.dtype == np.float32
    assert abs(float(one.thumbnail.mean())) < 1e-6
    assert correlation(one, one) == pytest.approx(1.0, abs=1e-5)
    assert 0 < one.bits < 2**64


def test_correlation_is_pearsons() -> None:
    first, second = phantom(0), phantom(1)
    small = [
        cv2.resize(p.astype(np.float32), (48, 48), interpolation=cv2.INTER_AREA).ravel()
        for p in (first, second)
    ]
    expected = np.asarray(np.corrcoef(np.array(small, dtype=np.float64)))[0, 1]
    assert correlation(signature(first), signature(second)) == pytest.approx(expected, abs=1e-5)


def test_the_hash_has_63_bits_half_of_them_set() -> None:
    for seed in range(5):
        assert signature(phantom(seed)).bits.bit_count() == 31


def changed(pixels: Pixels) -> dict[str, Pixels]:
    """The same picture, as it comes back in data sets."""
    height, width = pixels.shape
    marked = pixels.copy()
    cv2.putText(marked, "R", (5, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 255)
    brighter = np.clip(pixels.astype(np.float32) * 1.1 + 8, 0, 255).astype(np.uint8)
    _, jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 60])
    return {
        "copy": pixels.copy(),
        "larger": np.asarray(cv2.resize(pixels, (width * 2, height * 2)), np.uint8),
        "stretched": np.asarray(cv2.resize(pixels, (width, height * 2)), np.uint8),
        "color": np.dstack([pixels] * 3),
        "marked": marked,
        "brighter": brighter,
        "jpeg": np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE), np.uint8),
    }


def test_one_picture_in_many_forms_is_one_group() -> None:
    forms = changed(phantom(3))
    signatures = {name: signature(pixels) for name, pixels in forms.items()}
    signatures["other"] = signature(phantom(4))
    found = group_duplicates(signatures)
    assert found.groups == (tuple(forms),)
    assert len(found.pairs) == len(forms) * (len(forms) - 1) // 2
    for pair in found.pairs:
        assert pair.correlation > SAME_CORRELATION or pair.differing_bits <= SAME_BITS


@pytest.mark.parametrize("value", [0, 127, 255])
def test_blank_images_equal_nothing(value: int) -> None:
    blank = np.full((40, 50), value, np.uint8)
    assert signature(blank).thumbnail is None
    found = group_duplicates({
        "a": signature(blank),
        "b": signature(phantom(0)),
        "c": signature(blank),
        "d": signature(np.full((9, 9, 3), 255 - value, np.uint8)),
    })  # fmt: skip
    assert found.groups == ()


def test_few_images() -> None:
    assert group_duplicates({}).groups == ()
    assert group_duplicates({"a": signature(phantom(0))}).pairs == ()


def test_blocks_find_what_one_comparison_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    signatures = {}
    for seed in range(6):
        signatures[f"{seed}a"] = signature(phantom(seed))
        signatures[f"{seed}b"] = signature(changed(phantom(seed))["jpeg"])
    whole = group_duplicates(signatures)
    monkeypatch.setattr("featherseg.duplicates._BLOCK", 5)
    assert group_duplicates(signatures) == whole
    assert whole.groups == tuple((f"{seed}a", f"{seed}b") for seed in range(6))


def slow_components(count: int, links: Iterable[tuple[int, int]]) -> set[frozenset[int]]:
    """Spread the smallest number of each component until nothing changes."""
    smallest = list(range(count))
    links = list(links)
    for _ in range(count):
        for a, b in links:
            smallest[a] = smallest[b] = min(smallest[a], smallest[b])
    return {frozenset(i for i in range(count) if smallest[i] == s) for s in smallest}


@given(st.integers(1, 12).flatmap(lambda n: st.tuples(
    st.just(n), st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=15)
)))  # fmt: skip
def test_components(drawn: tuple[int, list[tuple[int, int]]]) -> None:
    count, links = drawn
    found = connected(range(count), links)
    assert {frozenset(group) for group in found} == slow_components(count, links)
    assert [group[0] for group in found] == sorted(min(group) for group in found)
    assert all(list(group) == sorted(group) for group in found)


def test_simulated_images_are_all_different(tmp_path: Path) -> None:
    write_phantom(tmp_path, 40, 0, (96, 96))
    assert find_duplicates(load_dataset(tmp_path, "phantom")).pairs == ()


@pytest.fixture(scope="module")
def busi(data_root: Path) -> tuple[Dataset, dict[str, Signature]]:
    dataset = load_dataset(data_root / "BUSI", "busi")
    return dataset, {c.id: signature(read_image(c.image).pixels) for c in dataset.cases}


def test_busi_has_475_distinct_images(busi: tuple[Dataset, dict[str, Signature]]) -> None:
    dataset, signatures = busi
    found = group_duplicates(signatures)

    def distinct(keep: NDArray[np.bool_]) -> int:
        kept = [pair for pair, is_kept in zip(found.pairs, keep, strict=True) if is_kept]
        return len(connected(signatures, [(pair.first, pair.second) for pair in kept]))

    alike = np.array([pair.correlation > SAME_CORRELATION for pair in found.pairs])
    close = np.array([pair.differing_bits <= SAME_BITS for pair in found.pairs])
    counted = [distinct(alike), distinct(close), distinct(alike | close), distinct(alike & close)]
    assert counted == [485, 478, 475, 488]
    labels = {case.id: case.label for case in dataset.cases}
    mixed = [g for g in found.groups if len({labels[name] for name in g}) > 1]
    assert len(mixed) == 8
    assert any({"benign (433)", "malignant (145)"} <= set(group) for group in mixed)


def test_busi_pairs_above_099_are_all_found(busi: tuple[Dataset, dict[str, Signature]]) -> None:
    """Against a plain correlation matrix of thumbnails made here."""
    dataset, signatures = busi
    chosen = dataset.cases[:150] + dataset.cases[300:450]
    thumbnails = [
        cv2.resize(read_image(case.image).pixels, (48, 48), interpolation=cv2.INTER_AREA)
        for case in chosen
    ]
    gray = [t if t.ndim == 2 else cv2.cvtColor(t, cv2.COLOR_RGB2GRAY) for t in thumbnails]
    matrix = np.corrcoef(np.stack([g.ravel().astype(float) for g in gray]))
    rows, columns = np.nonzero(np.triu(matrix > 0.99, k=1))
    groups = group_duplicates(signatures).groups
    together = {name: place for place, group in enumerate(groups) for name in group}
    assert rows.size > 10
    for row, column in zip(rows, columns, strict=True):
        assert together[chosen[row].id] == together[chosen[column].id]
