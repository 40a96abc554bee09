"""Quantizing a network of two layers, and one whose middle layer is hostile to 8 bits."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from featherseg.compress.quantize import harms, layer_names, quantize, save_int8
from featherseg.errors import BundleError, DataError
from featherseg.runtime.library import load_openvino
from featherseg.runtime.openvino import open_openvino
from featherseg.types import Floats
from tests.tiny import SIZE, blob_images, tiny_onnx


def batch_of(count: int, seed: int = 0) -> Floats:
    gray, _ = blob_images(count, seed)
    batch = np.repeat(gray[:, np.newaxis], 3, axis=1) / np.float32(255)
    return np.asarray(batch, np.float32)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("quantize") / "model.onnx"
    onnx.save(tiny_onnx(labels=1, channels=3), path)
    return path


def operations(model: Any) -> list[str]:
    return [each.get_type_name() for each in model.get_ops()]


def run(model: Path, batch: Floats) -> Floats:
    return open_openvino(model, (3, *SIZE), "f32").logits(batch)


def test_both_layers_become_int8_and_the_answers_stay_near(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(layer_names(tiny)) == 2
    quantized = quantize(tiny, batch_of(8))
    kinds = {
        each.get_element_type().to_string()
        for each in quantized.get_ops()
        if each.get_type_name() == "Constant" and len(each.get_output_shape(0)) == 4
    }
    assert "i8" in kinds
    assert operations(quantized).count("FakeQuantize") == 2
    save_int8(quantized, tmp_path / "model.xml")
    fresh = batch_of(3, seed=7)
    before, after = run(tiny, fresh), run(tmp_path / "model.xml", fresh)
    assert 0 < np.abs(after - before).max() < 0.02 * np.abs(before).max()
    # Standard output is for results; NNCF draws bars there.
    assert capsys.readouterr().out == ""


def test_kept_layers_stay_in_floating_point(tiny: Path, tmp_path: Path) -> None:
    layers = layer_names(tiny)
    one = quantize(tiny, batch_of(8), kept=layers[:1])
    assert operations(one).count("FakeQuantize") == 1
    none = quantize(tiny, batch_of(8), kept=layers)
    assert "FakeQuantize" not in operations(none)
    save_int8(none, tmp_path / "model.xml")
    np.testing.assert_allclose(
        run(tmp_path / "model.xml", batch_of(2)), run(tiny, batch_of(2)), atol=1e-5
    )


def test_the_same_images_give_the_same_model(tiny: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_int8(quantize(tiny, batch_of(8)), tmp_path / f"{name}.xml")
    assert (tmp_path / "a.bin").read_bytes() == (tmp_path / "b.bin").read_bytes()


@pytest.mark.parametrize("count", [0, 1, 7])
def test_too_few_images_to_calibrate_on(tiny: Path, count: int) -> None:
    with pytest.raises(DataError, match=rf"needs at least 8, got {count}; export with --precision"):
        quantize(tiny, batch_of(8)[:count])


def hostile() -> onnx.ModelProto:
    """Three layers that leave an image as it is; the second goes over values of up to a thousand.

    It takes in x and 1000 x and gives the first alone: in 8 bits, x is lost beside its neighbor.
    """
    make, tensor = onnx.helper.make_node, onnx.numpy_helper.from_array
    weights = {
        "spread": np.array([1.0, 1e3]).reshape(2, 1, 1, 1),
        "choose": np.array([1.0, 0.0]).reshape(1, 2, 1, 1),
        "scale": np.array([20.0]).reshape(1, 1, 1, 1),
    }
    nodes = [
        make("Conv", ["image", "spread"], ["wide"], name="first"),
        make("Relu", ["wide"], ["positive"]),
        make("Conv", ["positive", "choose"], ["narrow"], name="second"),
        make("Relu", ["narrow"], ["again"]),
        make("Conv", ["again", "scale", "bias"], ["logits"], name="third"),
    ]
    values = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 1, *SIZE])
        for name in ("image", "logits")
    ]
    tensors = [tensor(value.astype(np.float32), name) for name, value in weights.items()]
    tensors.append(tensor(np.array([-9.0], np.float32), "bias"))
    graph = onnx.helper.make_graph(nodes, "hostile", values[:1], values[1:], tensors)
    return onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10
    )


def test_the_layer_that_harms_is_found_and_keeping_it_helps(tmp_path: Path) -> None:
    path = tmp_path / "hostile.onnx"
    onnx.save(hostile(), path)
    batch = batch_of(8)[:, :1]
    harm = harms(path, batch)
    layers = layer_names(path)
    assert list(harm) == list(layers)
    assert max(harm, key=lambda name: harm[name]) == layers[1]
    assert harm[layers[1]] > 10 * max(harm[layers[0]], harm[layers[2]])

    def error(kept: tuple[str, ...]) -> float:
        save_int8(quantize(path, batch, kept), tmp_path / "int8.xml")
        found = open_openvino(tmp_path / "int8.xml", (1, *SIZE), "f32").logits(batch)
        return float(np.abs(found - (20 * batch - 9)).max())

    assert error((layers[1],)) < 0.2 * error(())


def test_a_network_that_cannot_be_quantized(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_openvino()
    import nncf

    def refuse(*arguments: object, **named: object) -> None:
        raise nncf.ValidationError("\nnot this one")

    monkeypatch.setattr(nncf, "quantize", refuse)
    with pytest.raises(BundleError, match="cannot be quantized: not this one; export it with"):
        quantize(tiny, batch_of(8))


@pytest.mark.slow
def test_nothing_is_sent_and_no_file_is_left(tiny: Path, tmp_path: Path) -> None:
    program = (
        "import os, socket, sys\n"
        "def refuse(*args, **kwargs): raise SystemExit('contacted the outside: %r' % (args,))\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "import numpy as np\n"
        "from pathlib import Path\n"
        "from featherseg.compress.quantize import quantize\n"
        f"quantize(Path({str(tiny)!r}), np.random.default_rng(0).random((8, 3, 32, 48), 'f4'))\n"
        "assert not [name for name in sys.modules if name.startswith('openvino_telemetry.')]\n"
    )
    home = tmp_path / "home"
    home.mkdir()
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env={"HOME": str(home), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == ""
    assert list(home.iterdir()) == []
