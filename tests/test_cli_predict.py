"""`featherseg predict`: what it writes, what it refuses, and that nothing is lost."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest

from featherseg.bundle import Bundle
from featherseg.cli.files import find_images
from featherseg.cli.predictions import plan
from featherseg.errors import ImageError, StorageError
from featherseg.images import read_image
from tests.conftest import Cli
from tests.tiny import blob_images, write_tiny_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_tiny_bundle(tmp_path_factory.mktemp("predict") / "bundle")


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Three usable pictures of blobs with names that are hard on patterns and shells."""
    folder = tmp_path / "scans"
    folder.mkdir()
    images, _ = blob_images(3, seed=11, size=(90, 120))
    names = ("benign (1).png", "case [2].jpg", "third.tiff")
    for name, pixels in zip(names, images, strict=True):
        PIL.Image.fromarray(pixels).save(folder / name)
    return folder


def report(out: Path) -> Any:
    return json.loads((out / "predictions.json").read_text())


def test_masks_overlays_and_measurements(bundle: Bundle, scans: Path, cli: Cli) -> None:
    out = scans.parent / "deep" / "out"
    ended = cli(
        "predict", bundle.folder, scans, "--out", out, "--overlay", "--spacing-mm", 0.2, 0.1
    )
    assert ended.code == 0
    written = report(out)
    stems = ["benign (1)", "case [2]", "third"]
    expected = {f"{stem}{end}.png" for stem in stems for end in ("", "_overlay")}
    assert {path.name for path in out.iterdir()} == expected | {"predictions.json"}
    assert written["bundle"] == bundle.id
    assert (written["runtime"], written["spacing_mm"]) == ("openvino", [0.2, 0.1])
    assert written["errors"] == []
    _, truths = blob_images(3, seed=11, size=(90, 120))
    for image, truth in zip(written["images"], truths, strict=True):
        mask = cv2.imread(str(out / image["mask"]), cv2.IMREAD_UNCHANGED)
        assert mask is not None
        assert mask.shape == truth.shape == tuple(image["size_px"])
        assert set(np.unique(mask)) == {0, 255}
        assert (mask > 0)[truth > 0].mean() > 0.9
        (found,) = image["measurements"]
        assert found["label"] == "lesion"
        assert found["area_px"] == (mask > 0).sum()
        assert found["area_mm2"] == pytest.approx(0.02 * found["area_px"])
        assert found["long_axis_mm"] > found["short_axis_mm"] > 0
        assert 0.5 < image["confidence"] <= 1.0
        assert image["time_ms"] > 0
        assert read_image(out / image["overlay"]).pixels.shape == (90, 120, 3)


def test_without_spacing_there_are_no_millimeters(bundle: Bundle, scans: Path, cli: Cli) -> None:
    out = scans.parent / "out"
    assert cli("predict", bundle.folder, scans / "third.tiff", "--out", out).code == 0
    written = report(out)
    assert written["spacing_mm"] is None
    assert not [key for key in written["images"][0]["measurements"][0] if "mm" in key]
    assert written["images"][0]["overlay"] is None


def test_the_runtimes_give_the_same_masks(bundle: Bundle, scans: Path, cli: Cli) -> None:
    outs = []
    for runtime in ("openvino", "onnxruntime"):
        outs.append(scans.parent / runtime)
        ended = cli("predict", bundle.folder, scans, "--out", outs[-1], "--runtime", runtime)
        assert ended.code == 0
        assert report(outs[-1])["runtime"] == runtime
    for path in outs[0].glob("*.png"):
        assert path.read_bytes() == (outs[1] / path.name).read_bytes()


def test_label_values_where_there_are_several(tmp_path: Path, scans: Path, cli: Cli) -> None:
    several = write_tiny_bundle(tmp_path / "several", ("faint", "bright"))
    ended = cli("predict", several.folder, scans, "--out", tmp_path / "out", "--overlay")
    assert ended.code == 0
    mask = cv2.imread(str(tmp_path / "out" / "third.png"), cv2.IMREAD_UNCHANGED)
    assert mask is not None
    assert set(np.unique(mask)) == {0, 1, 2}
    found = report(tmp_path / "out")["images"][2]["measurements"]
    assert [each["area_px"] for each in found] == [(mask == 1).sum(), (mask == 2).sum()]


def test_bad_files_are_listed_at_the_end_and_the_others_written(
    bundle: Bundle, scans: Path, cli: Cli
) -> None:
    whole = (scans / "benign (1).png").read_bytes()
    (scans / "a truncated.png").write_bytes(whole[: len(whole) // 2])
    PIL.Image.fromarray(np.zeros((1, 1), np.uint8)).save(scans / "dot.png")
    PIL.Image.fromarray(np.zeros((20, 20), np.uint16)).save(scans / "deep.tiff")
    out = scans.parent / "out"
    ended = cli("predict", bundle.folder, scans, "--out", out)
    assert ended.code == 1
    assert len(list(out.glob("*.png"))) == 3
    errors = report(out)["errors"]
    assert {Path(each["input"]).name for each in errors} == {
        "a truncated.png",
        "dot.png",
        "deep.tiff",
    }
    assert ended.err.index("3 could not be used") < ended.err.index("a truncated.png")


def test_images_unlike_the_training_images_are_flagged(
    bundle: Bundle, scans: Path, cli: Cli
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    PIL.Image.fromarray(noise).save(scans / "noise.png")
    out = scans.parent / "out"
    ended = cli("predict", bundle.folder, scans / "noise.png", "--out", out)
    assert ended.code == 0
    assert "1 of 1 images are unlike the training images" in ended.out
    assert any("saturation" in each for each in report(out)["images"][0]["unlike_training"])


def test_a_full_disk_leaves_no_half_mask(
    bundle: Bundle, scans: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[:10])
        raise OSError(28, "No space left on device")

    out = scans.parent / "out"
    monkeypatch.setattr(Path, "write_bytes", full)
    ended = cli("predict", bundle.folder, scans, "--out", out)
    assert ended.code == 2
    message = [line for line in ended.err.splitlines() if line.startswith("featherseg:")]
    assert len(message) == 1
    assert "No space left on device" in message[0]
    assert list(out.iterdir()) == []


def test_a_folder_with_files_is_left_alone(bundle: Bundle, scans: Path, cli: Cli) -> None:
    out = scans.parent / "out"
    arguments = ("predict", bundle.folder, scans, "--out", out)
    assert cli(*arguments).code == 0
    (out / "third.png").write_bytes(b"mine")
    refused = cli(*arguments)
    assert refused.code == 2
    assert "--overwrite" in refused.err
    assert (out / "third.png").read_bytes() == b"mine"
    assert cli(*arguments, "--overwrite").code == 0
    assert read_image(out / "third.png").pixels.shape == (90, 120)
    assert cli("predict", bundle.folder, scans, "--out", out / "third.png").code == 2


def test_inputs_are_never_replaced(bundle: Bundle, scans: Path, cli: Cli) -> None:
    before = {path.name: path.read_bytes() for path in scans.iterdir()}
    ended = cli("predict", bundle.folder, scans, "--out", scans, "--overwrite")
    assert ended.code == 2
    assert "is an input image" in ended.err
    assert {path.name: path.read_bytes() for path in scans.iterdir()} == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["absent.png"],
        ["absent/"],
        ["none*.png"],
        ["{empty}"],
        ["{scans}", "--spacing-mm", "0", "1"],
        ["{scans}", "--runtime", "torch"],
    ],
)
def test_bad_input_is_one_line(bundle: Bundle, scans: Path, cli: Cli, arguments: list[str]) -> None:
    (scans / "empty").mkdir()
    filled = [each.format(scans=scans, empty=scans / "empty") for each in arguments]
    out = scans.parent / "out"
    ended = cli("predict", bundle.folder, *filled, "--out", out)
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert not out.exists()


def test_which_files_arguments_mean(scans: Path) -> None:
    (scans / "notes.txt").write_text("no image")
    (scans / "inside.png").mkdir()
    everything = find_images([str(scans)])
    assert [path.name for path in everything] == ["benign (1).png", "case [2].jpg", "third.tiff"]
    # A name with brackets is a name first, and a file named twice counts once.
    assert find_images([str(scans / "case [2].jpg"), str(scans)])[0].name == "case [2].jpg"
    assert len(find_images([str(scans), str(scans / "*.png"), str(scans / "third.tiff")])) == 3
    assert [path.name for path in find_images([str(scans.parent / "**" / "*.tiff")])] == [
        "third.tiff"
    ]
    with pytest.raises(ImageError, match="found none"):
        find_images([str(scans / "inside.png")])


def names(*paths: str, overlay: bool = False) -> list[str]:
    targets = plan([Path(path) for path in paths], Path("out"), overlay)
    files = [path.name.casefold() for target in targets for path in target.files]
    assert len(set(files)) == len(files)
    return [target.mask.name for target in targets]


def test_names_never_collide() -> None:
    assert names("x/a.png", "x/b.jpg") == ["a.png", "b.png"]
    assert names("a.png", "a.jpg", "b.png") == ["a_png.png", "a_jpg.png", "b.png"]
    assert names("a.png", "A.png") == ["a_png.png", "A_png_2.png"]
    assert names("x/a.png", "y/a.png", "z/a.png") == ["a_png.png", "a_png_2.png", "a_png_3.png"]
    assert names("a.png", "a.jpg", "a_png.tif") == ["a_png.png", "a_jpg.png", "a_png_2.png"]
    assert names("a_overlay.png", "a.png") == ["a_overlay.png", "a.png"]
    assert names("a_overlay.png", "a.png", overlay=True) == ["a_overlay.png", "a_2.png"]
    assert names("a.png", "a_overlay.png", overlay=True) == ["a.png", "a_overlay_2.png"]


def test_an_overlay_does_not_replace_an_input(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="is an input image"):
        plan([tmp_path / "a.jpg", tmp_path / "a_overlay.png"], tmp_path, with_overlay=True)


def test_the_core_verbs_import_no_torch_and_nothing_else_that_is_heavy(
    bundle: Bundle, scans: Path
) -> None:
    program = (
        "import sys\n"
        "from featherseg.cli import main\n"
        "try:\n    main()\nexcept SystemExit as ended:\n    assert not ended.code, ended.code\n"
        "heavy = {'torch', 'scipy', 'matplotlib', 'onnx', 'nncf', 'jinja2', 'safetensors'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    out = scans.parent / "out"
    calls: list[list[object]] = [
        ["predict", bundle.folder, scans, "--out", out, "--overlay"],
        ["measure", out / "third.png"],
        ["verify", bundle.folder],
        ["doctor"],
    ]
    for call in calls:
        ended = subprocess.run(
            [sys.executable, "-W", "error", "-c", program, *map(str, call)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
