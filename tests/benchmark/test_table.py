"""Tables and plot of a run, from a made-up benchmark.json."""

import xml.etree.ElementTree as ElementTree
from typing import Any

from featherseg.benchmark.table import fastest, markdown, plot, warnings


def latency(p50_ms: float) -> dict[str, float]:
    return {
        "p50_ms": p50_ms,
        "p95_ms": 1.2 * p50_ms,
        "fastest_ms": 0.9 * p50_ms,
        "q25_ms": 0.95 * p50_ms,
        "q75_ms": 1.05 * p50_ms,
        "spread": 0.1,
        "n": 30,
    }


def way(runtime: str, precision: str, p50_ms: float, **changes: Any) -> dict[str, Any]:
    return {
        "runtime": runtime,
        "precision": precision,
        "note": "",
        "only_speed": False,
        "file_mb": None,
        "latency": latency(p50_ms),
        "frame": None,
        "video_frame": None,
        "start": None,
        "times_eager": 100.0 / p50_ms,
        "peak_share": 0.5,
        "kinds": None,
        **changes,
    }


def content(foreign_share: float | None = 0.02) -> dict[str, Any]:
    openvino = way(
        "openvino",
        "f32",
        40.0,
        file_mb=8.77,
        frame={**latency(44.0), "per_s": 22.7},
        video_frame={**latency(42.0), "per_s": 23.8},
        start={"wall_s": 0.55, "processor_s": 0.7, "peak_mb": 180.4},
        kinds={"dense convolution": 1.0},
    )
    accuracy = {
        "result": "busi_unet",
        "metric": "dice_lesion",
        "mean": 0.7,
        "low": 0.65,
        "high": 0.75,
        "n": 8,
        "over": "10 images, 8 with a lesion",
    }
    unet = {
        "name": "unet",
        "kind": "network",
        "architecture": "unet",
        "input_size": [512, 512],
        "channels": 3,
        "parameters": 2_000_000,
        "gmacs": 16.35,
        "accuracy": accuracy,
        "contenders": [
            way("torch", "f32", 100.0),
            openvino,
            way(
                "openvino",
                "int8",
                10.0,
                only_speed=True,
                kinds={"up-sampling": 0.3, "dense convolution": 0.65, "concatenation": 0.05},
            ),
        ],
    }
    peer = {
        **unet,
        "name": "nnunet_2d",
        "kind": "peer",
        "accuracy": None,
        "contenders": [
            way("torch", "f32", 300.0),
            way("openvino", "f32", 350.0, kinds={"transposed convolution": 1.0}),
            way("nnunetv2", "f32", 5.0, note="its whole predictor", peak_share=None),
        ],
    }
    return {
        "date": "2026-01-02",
        "cpu": {"model": "A CPU", "cores": 2, "avx2": True, "amx_int8": False},
        "system": "Linux",
        "python": "3.11.7",
        "versions": {"torch": "2.15.0"},
        "settings": {"threads": 2, "rounds": 30},
        "foreign_share": foreign_share,
        "peaks": {"f32": {"gflops": 400.4, "by": "torch, matrices"}},
        "subjects": [unet, peer],
    }


def rows(text: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]


def test_the_fastest_way_has_answers_and_is_a_network() -> None:
    unet, peer = content()["subjects"]
    assert (fastest(unet)["runtime"], fastest(unet)["precision"]) == ("openvino", "f32")
    assert fastest(peer)["runtime"] == "torch"


def test_every_row_has_every_column() -> None:
    found = rows(markdown(content()))
    lengths = [len(row) for row in found]
    networks, ways, reasons = lengths[0], lengths[4], lengths[-1]
    assert lengths == [networks] * 4 + [ways] * 8 + [reasons] * 4


def test_the_figures_are_those_of_the_run() -> None:
    found = rows(markdown(content()))
    cells = dict(zip(found[0], found[2], strict=True))
    assert cells[""] == "`unet`"
    assert cells["fastest"] == "OpenVINO f32"
    assert cells["p50 (ms)"] == "40.0"
    assert cells["times eager"] == "2.5"
    assert cells["frames/s"] == "22.7"
    assert cells["video/s"] == "23.8"
    assert cells["first mask (s)"] == "0.55"
    assert cells["memory (MB)"] == "180"
    assert cells["score"] == "0.700 (0.650 to 0.750) dice_lesion, busi_unet"
    int8 = next(row for row in found if "int8" in row)
    assert int8[-1] == "only speed: calibrated on noise"


def test_the_reason_stands_beside_how_far_a_network_got() -> None:
    made = content()
    head, _, unet, peer = rows(markdown(made))[-4:]
    cells = dict(zip(head, unet, strict=True))
    assert cells["fastest in OpenVINO"] == "int8, only speed"
    assert (cells["times eager"], cells["at least 8"]) == ("10.0", "yes")
    assert cells["where the time goes"] == "dense convolution 65%, up-sampling 30%"
    assert dict(zip(head, peer, strict=True))["at least 8"] == "no"

    # The goal is one for small networks, and needs eager torch to compare with.
    made["subjects"][0]["parameters"] = 12_000_001
    for way in made["subjects"][1]["contenders"]:
        way["times_eager"] = None
    for row in rows(markdown(made))[-2:]:
        assert dict(zip(head, row, strict=True))["at least 8"] == ""


def test_the_machine_is_described() -> None:
    text = markdown(content())
    assert "A CPU, 2 cores (avx2), 2 threads, 30 rounds in turn. Others used 2% of" in text
    assert "f32 400 (torch, matrices)" in text
    assert "torch 2.15.0; Python 3.11.7; Linux." in text


def test_a_busy_machine_is_warned_of() -> None:
    assert warnings(content(0.15)) == warnings(content(None)) == []
    (warning,) = warnings(content(0.16))
    assert "others used 16% of the machine" in warning
    assert f"**{warning}.**" in markdown(content(0.16))


def test_only_what_has_a_result_is_drawn() -> None:
    svg = plot(content())
    assert svg is not None
    words = {element.text for element in ElementTree.fromstring(svg).iter() if element.text}
    assert "unet" in words
    assert "nnunet_2d" not in words
    assert "dice_lesion, 10 images, 8 with a lesion" in words
    nothing = content()
    nothing["subjects"] = nothing["subjects"][1:]
    assert plot(nothing) is None
