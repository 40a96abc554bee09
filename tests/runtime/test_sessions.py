"""Both runtimes against numpy, and what they refuse."""

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from featherseg.bundle import Bundle
from featherseg.errors import BundleError, MissingExtraError
from featherseg.runtime import PROVIDERS, RUNTIMES, open_session
from featherseg.runtime.library import load_openvino
from featherseg.runtime.onnxruntime import open_onnxruntime
from featherseg.runtime.openvino import available_devices, open_openvino
from tests.tiny import SIZE, tiny_logits, tiny_onnx, write_tiny_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_tiny_bundle(tmp_path_factory.mktemp("runtime") / "bundle")


@pytest.fixture
def batch() -> Any:
    generator = np.random.default_rng(3)
    return generator.random((3, 3, *SIZE), dtype=np.float32)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_logits_are_those_of_numpy(bundle: Bundle, runtime: str, batch: Any) -> None:
    session = open_session(bundle, runtime, "f32")
    found = session.logits(batch)
    assert (session.runtime, session.precision) == (runtime, "f32")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, tiny_logits(batch, labels=1), atol=2e-5)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_results_stay_when_the_session_runs_again(bundle: Bundle, runtime: str, batch: Any) -> None:
    session = open_session(bundle, runtime)
    first = session.logits(batch[:1])
    kept = first.copy()
    session.logits(batch[1:])
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_input_that_is_not_contiguous(bundle: Bundle, runtime: str, batch: Any) -> None:
    session = open_session(bundle, runtime)
    flipped = batch[:, :, ::-1]
    np.testing.assert_array_equal(session.logits(flipped), session.logits(flipped.copy()))


def test_bf16_is_near_and_the_precision_is_the_one_used(bundle: Bundle, batch: Any) -> None:
    session = open_session(bundle, "openvino", "bf16")
    found, expected = session.logits(batch), tiny_logits(batch, labels=1)
    np.testing.assert_allclose(found, expected, atol=0.2)
    exact = float(np.abs(found - expected).max()) < 2e-5
    assert session.precision == ("f32" if exact else "bf16")


def test_another_importer_of_openvino_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    module = load_openvino()
    monkeypatch.setitem(sys.modules, "openvino.tools.ovc", "theirs")
    assert load_openvino.__wrapped__() is module
    assert sys.modules["openvino.tools.ovc"] == "theirs"  # type: ignore[comparison-overlap]


def test_threads_follow_the_environment(
    bundle: Bundle, batch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = tiny_logits(batch, labels=1)
    for threads in ("", "2"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        found = open_session(bundle, "openvino", "f32").logits(batch)
        np.testing.assert_allclose(found, expected, atol=2e-5)


def test_what_is_refused(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="unknown runtime 'torch'; choose one of openvino"):
        open_session(bundle, "torch")
    with pytest.raises(BundleError, match="onnxruntime computes in f32, not bf16"):
        open_session(bundle, "onnxruntime", "bf16")


def test_damaged_models(bundle: Bundle, tmp_path: Path) -> None:
    for name in ("model.onnx", "model.xml"):
        (tmp_path / name).write_bytes(b"<net" * 20)
    with pytest.raises(BundleError, match="ONNX Runtime cannot run"):
        open_onnxruntime(tmp_path / "model.onnx")
    with pytest.raises(BundleError, match="OpenVINO cannot run"):
        open_openvino(tmp_path / "model.xml", (3, *SIZE), "f32")
    shutil.copy(bundle.folder / "model.xml", tmp_path / "alone.xml")
    with pytest.raises(BundleError, match="OpenVINO cannot run"):
        open_openvino(tmp_path / "alone.xml", (3, *SIZE), "f32")
    with pytest.raises(BundleError, match="OpenVINO cannot run"):
        open_openvino(bundle.folder / "model.xml", (2, *SIZE), "f32")


def test_external_data_is_refused(tmp_path: Path) -> None:
    model = tiny_onnx(labels=1, channels=3)
    path = tmp_path / "model.onnx"
    onnx.save(model, path, save_as_external_data=True, location="weights", size_threshold=0)
    assert (tmp_path / "weights").is_file()
    with pytest.raises(BundleError, match="keeps weights in another file"):
        open_onnxruntime(path)


def test_a_missing_onnx_runtime_names_the_extra(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("featherseg.extras.installed_version", lambda package: None)
    with pytest.raises(MissingExtraError, match=r"featherseg\[onnxruntime\]"):
        open_session(bundle, "onnxruntime")


def test_a_provider_that_is_not_there_is_named(bundle: Bundle) -> None:
    present = onnxruntime.get_available_providers()
    if "CUDAExecutionProvider" in present:
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(BundleError, match=r"has .*CPUExecutionProvider.*, not CUDAExecution"):
        open_session(bundle, "onnxruntime-cuda")


@pytest.mark.parametrize("runtime", [name for name in PROVIDERS if name != "onnxruntime"])
def test_a_provider_is_asked_for_and_not_left_silently(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, runtime: str
) -> None:
    wanted, on_cpu = PROVIDERS[runtime], PROVIDERS["onnxruntime"]
    asked: list[list[tuple[str, dict[str, str]]]] = []
    loaded = [wanted, on_cpu]

    def made(path: str, options: Any, providers: list[tuple[str, dict[str, str]]]) -> Any:
        asked.append(providers)
        return SimpleNamespace(get_providers=lambda: loaded)

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [wanted, on_cpu])
    monkeypatch.setattr(onnxruntime, "InferenceSession", made)
    assert open_session(bundle, runtime).runtime == runtime
    assert [name for name, _ in asked[0]] == [wanted, on_cpu]
    assert (runtime == "onnxruntime-cuda") == (asked[0][0][1].get("use_tf32") == "0")
    loaded.remove(wanted)
    with pytest.raises(BundleError, match=f"cannot use {wanted} here"):
        open_session(bundle, runtime)


def test_devices() -> None:
    assert "CPU" in available_devices()


@pytest.fixture
def quiet_process() -> list[str]:
    """A fresh process in which every connection and every child process is an error."""
    guard = (
        "import socket, subprocess, sys\n"
        "def refuse(*args, **kwargs): raise SystemExit('contacted the outside: %r' % (args,))\n"
        "socket.socket.connect = socket.getaddrinfo = subprocess.Popen.__init__ = refuse\n"
    )
    return [sys.executable, "-W", "error", "-c", guard]


def test_openvino_sends_nothing(bundle: Bundle, quiet_process: list[str], tmp_path: Path) -> None:
    program = (
        "from featherseg.bundle import load_bundle\n"
        "from featherseg.runtime import open_session\n"
        f"open_session(load_bundle({str(bundle.folder)!r}))\n"
        "import openvino.tools.ovc\n"  # the tools use their silent stub when imported later
        "assert 'torch' not in sys.modules\n"
        "assert not [name for name in sys.modules if name.startswith('openvino_telemetry.')]\n"
    )
    *command, guard = quiet_process
    ended = subprocess.run(
        [*command, guard + program],
        env={"HOME": str(tmp_path), "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []
