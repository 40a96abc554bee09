"""The plot of accuracy against latency: valid SVG, all points named, the same every time."""

import xml.etree.ElementTree as ElementTree

from featherseg.report.latency import Point, latency_svg

SVG = "{http://www.w3.org/2000/svg}"
POINTS = (
    Point("simplified_unet", 16.0, 0.543, 0.468, 0.615, 2_162_129, "int8"),
    Point("laednet_s", 24.0, 0.648, 0.581, 0.708, 3_881_981, "bf16"),
    Point("unet", 260.0, 0.66, None, None, 31_000_000, "f32"),
)


def texts(svg: str) -> list[str]:
    root = ElementTree.fromstring(svg)
    assert root.tag == f"{SVG}svg"
    return [element.text or "" for element in root.iter(f"{SVG}text")]


def test_every_point_and_both_axes_are_named() -> None:
    words = texts(latency_svg(POINTS, "dice_lesion", "median latency (ms)"))
    for point in POINTS:
        assert words.count(point.name) == 1
        assert point.precision in words
    assert {"dice_lesion", "median latency (ms)"} <= set(words)


def test_only_precisions_that_are_there_stand_in_the_legend() -> None:
    words = texts(latency_svg(POINTS[:1], "dice_lesion", "ms"))
    assert "int8" in words
    assert not {"f32", "bf16"} & set(words)


def test_equal_points_give_equal_bytes() -> None:
    assert latency_svg(POINTS, "dice", "ms") == latency_svg(POINTS, "dice", "ms")
