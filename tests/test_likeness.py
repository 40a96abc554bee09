"""Image statistics: few flags on images like the training images, flags on plain mistakes."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from featherseg.images import read_image
from featherseg.likeness import image_statistics, reference_statistics, unlike
from featherseg.preprocess import fit_pixels
from featherseg.types import Pixels
from tests.tiny import blob_images


def checkerboard(size: int = 128) -> Pixels:
    return np.asarray(255 * (np.indices((size, size)).sum(axis=0) % 2), np.uint8)


def test_closed_forms() -> None:
    flat = image_statistics(np.full((40, 70), 51, np.uint8))
    assert flat == {
        "mean": pytest.approx(0.2),
        "sd": 0.0,
        "dark_share": 0.0,
        "bright_share": 0.0,
        "sharpness": 0.0,
        "saturation": 0.0,
    }
    half = np.zeros((128, 128), np.uint8)
    half[:, :64] = 255
    found = image_statistics(half)
    assert found["mean"] == pytest.approx(0.5)
    assert found["sd"] == pytest.approx(0.5)
    assert found["dark_share"] == found["bright_share"] == 0.5
    # The Laplacian of a checkerboard is 4 * 255 inside; the mirrored border changes little.
    assert image_statistics(checkerboard())["sharpness"] == pytest.approx(
        np.log10((4 * 255) ** 2), abs=0.02
    )


def test_saturation() -> None:
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = 255
    assert image_statistics(red)["saturation"] == 1.0
    gray = np.repeat(red[..., :1], 3, axis=2)
    assert image_statistics(gray)["saturation"] == 0.0
    assert "saturation" not in image_statistics(gray[..., :1])


def test_a_packed_copy_has_the_same_statistics() -> None:
    images, _ = blob_images(1, seed=4, size=(512, 512))
    whole = image_statistics(images[0])
    packed = image_statistics(fit_pixels(images[0], (256, 256), 3))
    for name, value in whole.items():
        assert packed[name] == pytest.approx(value, abs=0.02)


def test_quantiles() -> None:
    reference = reference_statistics([{"mean": value / 100} for value in range(101)])
    assert reference == {
        "mean": {
            "q01": pytest.approx(0.01),
            "q25": pytest.approx(0.25),
            "q50": pytest.approx(0.5),
            "q75": pytest.approx(0.75),
            "q99": pytest.approx(0.99),
        }
    }
    assert reference_statistics([{"a": 1.0}, {"b": 2.0}])["b"]["q50"] == 2.0
    assert reference_statistics([]) == {}


def test_sentences() -> None:
    reference = reference_statistics([{"dark_share": value} for value in (0.2, 0.3, 0.4)])
    assert unlike({"dark_share": 0.45}, reference) == []
    assert unlike({"dark_share": 0.9}, reference) == [
        "dark share is 0.90, but 0.20 to 0.40 in the training images"
    ]
    assert len(unlike({"dark_share": 0.0}, reference)) == 1
    assert unlike({"another": 0.9}, reference) == []


def mistakes(usual: Pixels) -> dict[str, Pixels]:
    """What must be flagged, made from a usual gray image (H, W)."""
    generator = np.random.default_rng(0)
    color = generator.integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return {
        "black": np.zeros_like(usual),
        "white": np.full_like(usual, 255),
        "noise": generator.integers(0, 256, usual.shape, dtype=np.uint8),
        "inverted": 255 - usual,
        "out of focus": np.asarray(cv2.GaussianBlur(usual, (0, 0), 20), np.uint8),
        "photograph": np.asarray(cv2.resize(color, (400, 300)), np.uint8),
    }


def test_blobs_and_mistakes() -> None:
    images, _ = blob_images(60, seed=5, size=(256, 256))
    reference = reference_statistics([image_statistics(each) for each in images[:40]])
    assert not any(unlike(image_statistics(each), reference) for each in images[40:])
    for name, pixels in mistakes(images[0]).items():
        assert unlike(image_statistics(pixels), reference), name


def test_breast_ultrasound(data_root: Path) -> None:
    files = sorted((data_root / "BUSI").rglob("*).png"))[::6]
    assert len(files) > 80
    images = [read_image(path).pixels for path in files]
    packed = [fit_pixels(each, (256, 256), 3) for each in images[::2]]
    reference = reference_statistics([image_statistics(each) for each in packed])
    flagged = sum(bool(unlike(image_statistics(each), reference)) for each in images[1::2])
    assert flagged <= 0.05 * len(images[1::2])
    gray = [each if each.ndim == 2 else each[..., 0] for each in images]
    for name, pixels in mistakes(np.ascontiguousarray(gray[0])).items():
        # A few pictures are so evenly gray that they look usual when inverted: see below.
        assert name == "inverted" or unlike(image_statistics(pixels), reference), name
    inverted = sum(bool(unlike(image_statistics(255 - each), reference)) for each in gray)
    assert inverted > 0.8 * len(gray)
