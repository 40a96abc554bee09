"""ONNX Runtime's int8: really in integers, and near the float32 network."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from featherseg.benchmark import onnx_int8
from featherseg.benchmark.onnx_int8 import write_int8_onnx
from featherseg.runtime.cpu import Capabilities
from featherseg.runtime.onnxruntime import open_onnxruntime
from tests.tiny import SIZE, tiny_logits, tiny_onnx

NOISE = np.random.default_rng(0).random((8, 3, *SIZE), np.float32)


def quantized(folder: Path) -> Path:
    onnx.save(tiny_onnx(1, 3), folder / "model.onnx")
    write_int8_onnx(folder / "model.onnx", NOISE, folder / "int8.onnx")
    return folder / "int8.onnx"


def weights(path: Path) -> list[np.ndarray]:
    tensors = onnx.load(path).graph.initializer
    return [onnx.numpy_helper.to_array(each) for each in tensors if len(each.dims) == 4]


def test_weights_are_integers_between_steps_of_rounding(tmp_path: Path) -> None:
    path = quantized(tmp_path)
    assert {each.name for each in tmp_path.iterdir()} == {"model.onnx", "int8.onnx"}
    nodes = [node.op_type for node in onnx.load(path).graph.node]
    assert nodes.count("Conv") == 2
    assert nodes.count("QuantizeLinear") >= 2
    assert nodes.count("DequantizeLinear") >= nodes.count("QuantizeLinear") + 2
    assert [each.dtype for each in weights(path)] == [np.int8, np.int8]


def test_logits_are_near_those_of_float32_but_rounded(tmp_path: Path) -> None:
    logits = open_onnxruntime(quantized(tmp_path), threads=1).logits(NOISE)
    exact = tiny_logits(NOISE, 1)
    assert logits.shape == exact.shape
    assert np.abs(logits - exact).mean() < 0.05 * exact.std()
    # Of 256 levels, where float32 has nearly as many values as there are pixels.
    assert len(np.unique(logits)) <= 256 < len(np.unique(exact))


def test_weights_have_seven_bits_where_products_would_overflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for vnni, largest in ((True, 127), (False, 64)):
        monkeypatch.setattr(
            onnx_int8, "capabilities", lambda vnni=vnni: Capabilities("", 1, vnni=vnni)
        )
        folder = tmp_path / str(vnni)
        folder.mkdir()
        assert max(np.abs(each.astype(int)).max() for each in weights(quantized(folder))) == largest


def test_a_normalization_is_quantized_without_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = tiny_onnx(1, 3)
    make = onnx.helper.make_node
    model.graph.node[1].CopyFrom(
        make("InstanceNormalization", ["level", "scale", "shift"], ["light"])
    )
    for name, value in (("scale", 2.0), ("shift", 0.5)):
        model.graph.initializer.append(
            onnx.numpy_helper.from_array(np.array([value], np.float32), name)
        )
    onnx.save(model, tmp_path / "model.onnx")
    write_int8_onnx(tmp_path / "model.onnx", NOISE, tmp_path / "int8.onnx")
    assert not caplog.records
    exact, rounded = (
        open_onnxruntime(tmp_path / name, threads=1).logits(NOISE)
        for name in ("model.onnx", "int8.onnx")
    )
    assert np.abs(rounded - exact).mean() < 0.05 * exact.std()
    assert not np.array_equal(rounded, exact)
