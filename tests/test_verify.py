"""Verifying a bundle: right ones agree, and each way of being wrong is found."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featherseg.bundle import AgreementEntry, Bundle, CheckData, FloatPrecision, read_check
from featherseg.postprocess import OperatingPoint
from featherseg.preprocess import normalize
from featherseg.types import Floats
from featherseg.verify import compare, disagreements, usable_runtimes, verify_bundle
from tests.conftest import Cli
from tests.tiny import seal, write_tiny_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_tiny_bundle(tmp_path / "bundle")


def with_logits(bundle: Bundle, change: Any) -> Bundle:
    """The same bundle, sealed again around other expected logits."""
    check = read_check(bundle)
    logits = np.asarray(change(check.logits), np.float32)
    np.savez(bundle.folder / "check.npz", images=check.images, masks=check.masks, logits=logits)
    return seal(bundle.folder, bundle.manifest.model_dump(exclude={"schema_version", "files"}))


def test_a_right_bundle_agrees(bundle: Bundle, cli: Cli) -> None:
    verification = verify_bundle(bundle)
    assert verification.findings == ()
    assert {(each.runtime, each.precision) for each in verification.agreements} == set(
        usable_runtimes()
    )
    assert all(each.differing_pixels == 0.0 for each in verification.agreements)
    ended = cli("verify", bundle.folder)
    assert (ended.code, ended.err) == (0, "")
    assert "onnxruntime f32, 4 images" in ended.out


def test_other_logits_are_found(bundle: Bundle, cli: Cli) -> None:
    with_logits(bundle, lambda logits: logits + 0.02)
    ended = cli("verify", bundle.folder, "--json")
    assert ended.code == 1
    report = json.loads(ended.out)
    assert len(report["findings"]) >= 2
    assert "logits differ by" in report["findings"][0]
    assert ended.err.startswith("MISMATCH")


def test_a_changed_byte_is_bad_input(bundle: Bundle, cli: Cli) -> None:
    path = bundle.folder / "model.bin"
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    ended = cli("verify", bundle.folder)
    assert ended.code == 2
    assert "model.bin" in ended.err
    assert ended.err.count("\n") == 1


class Stored:
    """A session that answers with given logits."""

    runtime = "openvino"

    def __init__(self, logits: Floats, precision: str = "f32") -> None:
        self.precision = precision
        self._logits = logits

    def logits(self, batch: Floats) -> Floats:
        return self._logits


def compared(bundle: Bundle, change: Any, precision: str = "f32") -> AgreementEntry:
    check = read_check(bundle)
    session = Stored(change(check.logits), precision)
    batch = normalize(check.images, bundle.preprocessing)
    return compare(session, batch, check, bundle.operating_point)


def test_differences_are_relative_to_the_largest_logit(bundle: Bundle) -> None:
    largest = float(np.abs(read_check(bundle).logits).max())
    assert largest > 1.0
    agreement = compared(bundle, lambda logits: logits + 0.5)
    assert agreement.largest_difference == pytest.approx(0.5 / largest, rel=1e-4)
    small = CheckData(
        np.zeros((1, 2, 2, 3), np.uint8), np.zeros((1, 2, 2), np.uint8), np.full((1, 1, 2, 2), 0.1)
    )
    found = Stored(np.full((1, 1, 2, 2), 0.3))
    agreement = compare(found, np.zeros((1, 3, 2, 2), np.float32), small, OperatingPoint())
    assert agreement.largest_difference == pytest.approx(0.2)


def test_pixels_and_dice(bundle: Bundle) -> None:
    check = read_check(bundle)
    agreement = compared(bundle, lambda logits: np.full_like(logits, -9.0))
    found = float((check.logits > 0).mean())
    assert agreement.differing_pixels == pytest.approx(found)
    expected = [
        2 * int((truth & logits).sum()) / (int(truth.sum()) + int(logits.sum()))
        for truth, logits in zip(check.masks > 0, check.logits[:, 0] > 0, strict=True)
    ]
    assert agreement.dice_change == pytest.approx(-float(np.mean(expected)))


def test_both_empty_counts_as_one() -> None:
    none = CheckData(
        np.zeros((2, 8, 8, 1), np.uint8),
        np.zeros((2, 8, 8), np.uint8),
        np.full((2, 1, 8, 8), -5.0, np.float32),
    )
    found = none.logits.copy()
    found[0] = 5.0
    agreement = compare(Stored(found), np.zeros((2, 1, 8, 8), np.float32), none, OperatingPoint())
    assert agreement.dice_change == -0.5


def entry(**values: Any) -> AgreementEntry:
    fine = {
        "runtime": "openvino",
        "precision": "f32",
        "images": 4,
        "largest_difference": 0.0,
        "differing_pixels": 0.0,
        "dice_change": 0.0,
    }
    return AgreementEntry.model_validate({**fine, **values})


@pytest.mark.parametrize(
    ("values", "count"),
    [
        ({"largest_difference": 1e-3, "differing_pixels": 1e-4}, 0),
        ({"largest_difference": 1.1e-3}, 1),
        ({"differing_pixels": 1.1e-4}, 1),
        ({"precision": "bf16", "largest_difference": 0.02, "differing_pixels": 5e-3}, 0),
        ({"precision": "bf16", "differing_pixels": 5.1e-3}, 1),
        ({"dice_change": -0.5}, 0),
    ],
)
def test_limits(values: dict[str, Any], count: int) -> None:
    assert len(disagreements(entry(**values))) == count


@pytest.mark.parametrize(
    ("values", "count"),
    [
        ({"largest_difference": 1e-2, "differing_pixels": 1e-3}, 0),
        ({"largest_difference": 1.1e-2}, 1),
        ({"differing_pixels": 1.1e-3}, 1),
        ({"precision": "bf16", "largest_difference": 0.02, "differing_pixels": 5e-3}, 0),
        ({"precision": "bf16", "differing_pixels": 5.1e-3}, 1),
    ],
)
def test_limits_of_float16_weights(values: dict[str, Any], count: int) -> None:
    assert len(disagreements(entry(**values), "float16")) == count


def test_the_limits_are_those_of_the_bundles_weights(bundle: Bundle) -> None:
    largest = float(np.abs(read_check(bundle).logits).max())
    assert len(verify_bundle(with_logits(bundle, lambda logits: logits * 1.003)).findings) > 0
    facts = bundle.manifest.model_dump(exclude={"schema_version", "files"})
    halved = seal(bundle.folder, {**facts, "weights": "float16"})
    assert verify_bundle(halved).findings == ()
    assert largest > 1.0


@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_what_is_not_a_number_is_found(bundle: Bundle, precision: str) -> None:
    agreement = compared(bundle, lambda logits: np.full_like(logits, np.nan), precision)
    assert disagreements(agreement)


F32, BF16, ONNX = ("openvino", "f32"), ("openvino", "bf16"), ("onnxruntime", "f32")


@pytest.mark.parametrize(
    ("stored", "precision", "onnxruntime", "expected"),
    [
        ("auto", "f32", None, [F32]),
        ("auto", "bf16", "1", [F32, BF16, ONNX]),
        ("f32", "bf16", None, [F32]),
        ("bf16", "f32", None, [F32, BF16]),
    ],
)
def test_usable_runtimes(
    stored: FloatPrecision,
    precision: str,
    onnxruntime: str | None,
    expected: list[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("featherseg.verify.default_precision", lambda: precision)
    monkeypatch.setattr("featherseg.verify.installed_version", lambda package: onnxruntime)
    assert list(usable_runtimes(stored)) == expected
