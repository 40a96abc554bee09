"""A whole run on small networks: everything that was asked for, in figures that fit each other."""

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from featherseg.benchmark.profile import DENSE, NARROW_CONVOLUTION, OTHER
from featherseg.benchmark.run import SCHEMA, Settings, run_benchmark
from featherseg.benchmark.table import markdown
from featherseg.errors import FeatherSegError
from featherseg.extras import installed_version
from tests.conftest import REPOSITORY, Cli
from tests.tiny import SIZE, write_tiny_bundle

SMALL = Settings(size=32, threads=1, rounds=2, starts=1, int8=True, peak_width=16)


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    bundle = write_tiny_bundle(tmp_path_factory.mktemp("benchmark") / "tiny").folder
    return run_benchmark(["simplified_unet", str(bundle)], SMALL)


def ways(subject: dict[str, Any]) -> dict[tuple[str, str, str], dict[str, Any]]:
    return {
        (each["runtime"], each["precision"], each["note"]): each for each in subject["contenders"]
    }


@pytest.mark.slow
def test_the_content_is_json_and_says_how_it_was_made(content: dict[str, Any]) -> None:
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert content["schema"] == SCHEMA
    assert content["settings"]["threads"] == 1
    assert content["settings"]["rounds"] == 2
    assert content["cpu"]["cores"] >= 1
    assert {"torch", "openvino", "onnxruntime", "featherseg"} <= set(content["versions"])
    assert content["foreign_share"] is None or 0.0 <= content["foreign_share"] <= 1.0
    assert {"f32", "int8"} <= set(content["peaks"])


@pytest.mark.slow
def test_a_network_is_run_in_every_way(content: dict[str, Any]) -> None:
    unet, _ = content["subjects"]
    assert (unet["name"], unet["kind"], unet["input_size"]) == (
        "simplified_unet",
        "network",
        [32, 32],
    )
    assert unet["parameters"] == 2_162_129
    # A quarter of the sides of 64x64 is a sixteenth of the multiply-accumulates.
    assert unet["gmacs"] == pytest.approx(16.4 / 256, rel=0.02)
    assert {
        ("torch", "f32", ""),
        ("torch", "f32", "not fused"),
        ("openvino", "f32", ""),
        ("openvino", "int8", ""),
        ("onnxruntime", "f32", ""),
        ("onnxruntime", "int8", ""),
    } <= set(ways(unet))
    only_speed = [each for each in unet["contenders"] if each["only_speed"]]
    assert {each["runtime"] for each in only_speed} == {"openvino", "onnxruntime"}
    assert {each["precision"] for each in only_speed} == {"int8"}


@pytest.mark.slow
def test_the_time_of_openvino_is_shared_out_to_kinds_of_operations(content: dict[str, Any]) -> None:
    unet, _ = content["subjects"]
    for (runtime, _, _), each in ways(unet).items():
        if runtime != "openvino":
            assert each["kinds"] is None
            continue
        assert sum(each["kinds"].values()) == pytest.approx(1.0)
        assert list(each["kinds"].values()) == sorted(each["kinds"].values(), reverse=True)
        # Four stages of 32 to 256 channels, and the first of 16.
        assert {DENSE, NARROW_CONVOLUTION} <= set(each["kinds"])
        assert OTHER not in each["kinds"]


@pytest.mark.slow
def test_ratios_and_shares_fit_the_times(content: dict[str, Any]) -> None:
    unet, _ = content["subjects"]
    eager = ways(unet)["torch", "f32", ""]
    assert eager["times_eager"] == 1.0
    for each in unet["contenders"]:
        latency = each["latency"]
        assert 0.0 < latency["fastest_ms"] <= latency["p50_ms"] <= latency["p95_ms"]
        assert latency["n"] >= SMALL.rounds
        ratio = eager["latency"]["p50_ms"] / latency["p50_ms"]
        assert each["times_eager"] == pytest.approx(ratio)
        gflops = 2 * unet["gmacs"] / (latency["p50_ms"] / 1e3)
        peak = content["peaks"][each["precision"]]["gflops"]
        assert each["peak_share"] == pytest.approx(gflops / peak)


@pytest.mark.slow
def test_files_frames_and_starts_are_those_of_the_runtimes(content: dict[str, Any]) -> None:
    unet, _ = content["subjects"]
    for each in unet["contenders"]:
        if each["runtime"] == "torch":
            assert each["frame"] is each["video_frame"] is None
            assert each["start"] is each["file_mb"] is None
            continue
        assert each["frame"]["per_s"] == pytest.approx(1e3 / each["frame"]["p50_ms"])
        assert each["frame"]["fastest_ms"] > each["latency"]["fastest_ms"]
        assert each["video_frame"]["per_s"] == pytest.approx(1e3 / each["video_frame"]["p50_ms"])
        assert each["start"]["wall_s"] > 0.0
        # Not that of this process, which has loaded torch.
        assert 20.0 < each["start"]["peak_mb"] < 400.0
    found = ways(unet)
    assert found["openvino", "f32", ""]["file_mb"] == pytest.approx(8.7, rel=0.03)
    assert found["openvino", "int8", ""]["file_mb"] < 3.0
    assert found["onnxruntime", "int8", ""]["file_mb"] < 3.0


@pytest.mark.slow
def test_a_bundle_keeps_its_own_size_and_files(content: dict[str, Any]) -> None:
    _, tiny = content["subjects"]
    assert tiny["kind"] == "bundle"
    assert tiny["input_size"] == list(SIZE)
    assert tiny["parameters"] == 20
    # Its network is none of ours: there is nothing to run in torch, and no ratio to that.
    assert tiny["gmacs"] is None
    assert {each["runtime"] for each in tiny["contenders"]} == {"openvino", "onnxruntime"}
    assert all(
        each["times_eager"] is None and each["peak_share"] is None for each in tiny["contenders"]
    )
    assert "| `simplified_unet` | OpenVINO | int8 |" in markdown(content)


@pytest.mark.slow
def test_the_command_writes_table_json_and_plot(cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "speed"
    told = ["--size", 32, "--rounds", 1, "--starts", 0, "--threads", 1, "--out", out]
    done = cli("benchmark", "simplified_unet", *told, "--results", REPOSITORY / "results")
    assert done.code == 0, done.err
    assert "simplified_unet" in done.out
    assert {path.name for path in out.iterdir()} == {
        "benchmark.json",
        "README.md",
        "accuracy_latency.svg",
    }
    content = json.loads((out / "benchmark.json").read_text())
    (subject,) = content["subjects"]
    assert subject["accuracy"]["result"] == "busi_simplified_unet"
    assert markdown(content) in (out / "README.md").read_text()
    drawn = ElementTree.parse(out / "accuracy_latency.svg").getroot()
    assert "simplified_unet" in {element.text for element in drawn.iter()}

    again = cli("benchmark", "simplified_unet", *told)
    assert again.code == 2
    assert "is not empty" in again.err


@pytest.mark.parametrize(
    ("name", "told", "meant"),
    [
        ("simplified_unte", "'simplified_unte' is neither a network", "mean simplified_unet"),
        ("zoo:breast-lession", "got 'breast-lession'", "mean 'breast-lesion'"),
    ],
)
def test_an_unknown_name_is_told_with_the_nearest_before_anything_is_exported(
    cli: Cli, tmp_path: Path, name: str, told: str, meant: str
) -> None:
    done = cli("benchmark", "unet", name, "--out", tmp_path / "speed")
    assert done.code == 2
    assert told in done.err
    assert meant in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert not (tmp_path / "speed").exists()


def test_nothing_to_compare_is_said(cli: Cli, tmp_path: Path) -> None:
    done = cli("benchmark", "--out", tmp_path / "speed")
    assert done.code == 2
    assert "nothing to compare" in done.err


@pytest.mark.skipif(
    installed_version("nnunetv2") is not None, reason="the peers are installed here"
)
def test_peers_that_are_not_installed_are_named_with_the_command(cli: Cli, tmp_path: Path) -> None:
    done = cli("benchmark", "--peers", "--out", tmp_path / "speed")
    assert done.code == 2
    assert "segmentation-models-pytorch and nnunetv2" in done.err
    assert "make benchmark" in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_a_size_that_a_network_cannot_take_is_named() -> None:
    with pytest.raises(FeatherSegError, match="--size 100"):
        run_benchmark(["simplified_unet"], Settings(size=100))
