"""The examples of docs/runtimes.md run on a bundle's bare files and give the masks of `predict`."""

import re
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from featherseg.bundle import Bundle
from featherseg.segment import Segmenter
from featherseg.types import Image
from tests.conftest import REPOSITORY
from tests.tiny import SIZE, blob_images, write_tiny_bundle

EXAMPLES = re.findall(
    r"```python\n(.*?)```", (REPOSITORY / "docs" / "runtimes.md").read_text(), flags=re.DOTALL
)


def described(bundle: Bundle) -> None:
    """Give a hand-made ONNX file the metadata that export writes."""
    from featherseg.export.models import _description

    model = onnx.load(bundle.folder / "model.onnx")
    onnx.helper.set_model_props(model, _description(bundle.preprocessing, tells_presence=False))
    onnx.save(model, bundle.folder / "model.onnx")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_bare_runtimes_give_the_masks_of_predict(
    runtime: str, channels: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (example,) = [text for text in EXAMPLES if f"\nimport {runtime}\n" in text]
    assert "featherseg" not in example
    bundle = write_tiny_bundle(tmp_path / "bundle", channels=channels)
    pixels = blob_images(1, seed=6, size=(2 * SIZE[0] + 7, 2 * SIZE[1] + 3))[0][0]
    expected = Segmenter.from_bundle(bundle)(Image(pixels, None, "made")).mask
    described(bundle)
    cv2.imwrite(str(tmp_path / "image.png"), pixels)
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "runtimes.md", "exec"), {})
    mask = cv2.imread("mask.png", cv2.IMREAD_GRAYSCALE)
    assert mask is not None
    assert expected.any()
    assert set(np.unique(mask)) == {0, 255}
    assert ((mask > 0) != expected).mean() < 1e-3


def test_the_example_of_a_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = [text for text in EXAMPLES if "featherseg" in text]
    write_tiny_bundle(tmp_path / "bundle")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(example, "runtimes.md", "exec"), names)
    masks = names["session"].masks(np.zeros((2, *SIZE, 3), np.uint8))  # type: ignore[attr-defined]
    assert masks.shape == (2, *SIZE)
