"""`featherseg predict --stream`: what it writes, and that nothing is lost when it is cut short."""

import csv
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest

from featherseg.bundle import Bundle
from featherseg.cli import stream
from featherseg.errors import ImageError
from featherseg.images import video
from featherseg.images.overlay import overlay
from featherseg.images.video import Frame, Source
from featherseg.measure import measure
from featherseg.preprocess import fit_mask, fit_pixels
from featherseg.runtime import open_session
from featherseg.types import Mask, Pixels
from tests.conftest import Cli
from tests.tiny import SIZE, blob_images, write_tiny_bundle

FRAME = (60, 90)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_tiny_bundle(tmp_path_factory.mktemp("stream") / "bundle")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.avi", 10)


def write_clip(path: Path, count: int) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 20.0, FRAME[::-1])
    for pixels in blob_images(count, seed=2, size=FRAME)[0]:
        writer.write(cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR))
    writer.release()
    return path


def table(out: Path) -> list[dict[str, str]]:
    with (out / "measurements.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def summary(out: Path) -> Any:
    return json.loads((out / "summary.json").read_text())


def shown(out: Path) -> int:
    capture = cv2.VideoCapture(str(out / summary(out)["overlay"]))
    return sum(1 for _ in iter(lambda: capture.read()[0], False))


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_every_frame_of_a_file_is_drawn_and_measured(
    bundle: Bundle, clip: Path, runtime: str, cli: Cli
) -> None:
    out = clip.parent / "deep" / "out"
    arguments = ("--stream", "--out", out, "--runtime", runtime, "--spacing-mm", 0.1, 0.2)
    ended = cli("predict", bundle.folder, clip, *arguments)
    assert ended.code == 0, ended.err
    assert ended.out.startswith("10 frames, ")
    assert sorted(path.name for path in out.iterdir()) == [
        "measurements.csv",
        "overlay.mp4",
        "summary.json",
    ]
    session = open_session(bundle, runtime)
    rows = table(out)
    for row, frame in zip(rows, video.open_source(str(clip)).frames, strict=True):
        mask = session.masks(fit_pixels(frame.pixels, SIZE, 3)[np.newaxis])[0]
        (expected,) = measure(fit_mask(mask, FRAME), (0.1, 0.2))
        assert (int(row["frame"]), row["label"]) == (frame.number, "lesion")
        assert float(row["time_s"]) == pytest.approx(frame.number / 20)
        assert int(row["area_px"]) == expected.area_px > 0
        for name in ("long_axis_px", "short_axis_px", "area_mm2", "long_axis_mm", "short_axis_mm"):
            assert float(row[name]) == pytest.approx(getattr(expected, name), abs=1e-4)
        assert float(row["latency_ms"]) > 0
    written = summary(out)
    assert (written["bundle"], written["runtime"]) == (bundle.id, runtime)
    assert (written["frames"], written["dropped"], written["ended"]) == (10, 0, "end")
    assert written["size_px"] == list(FRAME)
    assert (written["source_fps"], written["source_frames"]) == (20.0, 10)
    latencies = [float(row["latency_ms"]) for row in rows]
    assert written["latency_ms"]["p50"] == pytest.approx(np.median(latencies), abs=0.01)
    assert written["latency_ms"]["p95"] <= max(latencies) + 0.01
    assert written["frames_per_s"] == pytest.approx(10 / written["seconds"])
    assert written["smoothing"] == {"masks": 1, "lag_frames": 0}
    assert 0 < written["frame_to_frame_dice"]["as_found"] < 1
    assert written["frame_to_frame_dice"]["smoothed"] == written["frame_to_frame_dice"]["as_found"]
    assert shown(out) == 10


def test_smoothing_steadies_and_states_its_lag(bundle: Bundle, clip: Path, cli: Cli) -> None:
    out = clip.parent / "out"
    ended = cli("predict", bundle.folder, clip, "--stream", "--out", out, "--smooth", 5)
    assert ended.code == 0, ended.err
    written = summary(out)
    assert written["smoothing"] == {"masks": 5, "lag_frames": 2}
    dice = written["frame_to_frame_dice"]
    assert dice["smoothed"] > dice["as_found"]


def test_several_labels_have_a_row_each_and_folders_are_streams(tmp_path: Path, cli: Cli) -> None:
    several = write_tiny_bundle(tmp_path / "several", ("faint", "bright"), channels=1)
    (tmp_path / "frames").mkdir()
    for number, pixels in enumerate(blob_images(3, seed=2, size=FRAME)[0]):
        PIL.Image.fromarray(pixels).save(tmp_path / "frames" / f"{number}.png")
    (tmp_path / "frames" / "3.png").write_bytes((tmp_path / "frames" / "0.png").read_bytes()[:40])
    out = tmp_path / "out"
    ended = cli("predict", several.folder, tmp_path / "frames", "--stream", "--out", out)
    assert ended.code == 1
    assert "the stream broke off: " in ended.err
    assert "3.png" in summary(out)["problem"]
    rows = table(out)
    assert [(row["frame"], row["label"]) for row in rows] == [
        (str(number), label) for number in range(3) for label in ("faint", "bright")
    ]
    assert {row["time_s"] for row in rows} == {""}
    assert shown(out) == 3


def test_a_truncated_video_keeps_what_was_read(bundle: Bundle, clip: Path, cli: Cli) -> None:
    whole = write_clip(clip, 40).read_bytes()
    clip.write_bytes(whole[: len(whole) // 2])
    out = clip.parent / "out"
    ended = cli("predict", bundle.folder, clip, "--stream", "--out", out)
    assert ended.code == 1
    assert "its header says 40; it is truncated" in ended.err
    written = summary(out)
    assert written["ended"] == "fault"
    assert "its header says 40" in written["problem"]
    assert 0 < written["frames"] == len(table(out)) == shown(out) < 40


def test_a_limit_ends_it(bundle: Bundle, clip: Path, cli: Cli) -> None:
    out = clip.parent / "out"
    arguments = ("predict", bundle.folder, clip, "--stream", "--out", out)
    assert cli(*arguments, "--frames", 4).code == 0
    assert (summary(out)["ended"], len(table(out)), shown(out)) == ("limit", 4, 4)
    refused = cli(*arguments)
    assert refused.code == 2
    assert "--overwrite" in refused.err
    assert cli(*arguments, "--overwrite", "--frames", 1).code == 0
    written = summary(out)
    assert (written["frames"], written["frame_to_frame_dice"]["as_found"]) == (1, None)


def interrupted_after(count: int, live: bool, error: BaseException) -> Source:
    def frames() -> Iterator[Frame]:
        for number, pixels in enumerate(blob_images(count, seed=2, size=FRAME)[0]):
            yield Frame(number, number / 20, pixels, 0.0)
        raise error

    return Source("made", 20.0, None, live, frames())  # type: ignore[arg-type]


def test_ctrl_c_finishes_the_files(
    bundle: Bundle, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = interrupted_after(9, live=False, error=KeyboardInterrupt())
    monkeypatch.setattr(video, "open_source", lambda argument: source)
    out = tmp_path / "out"
    ended = cli("predict", bundle.folder, "made", "--stream", "--out", out)
    assert ended.code == 130
    written = summary(out)
    assert written["ended"] == "interrupted"
    assert 0 < written["frames"] == len(table(out)) == shown(out) <= 9
    assert {path.name for path in out.iterdir()} == {
        "measurements.csv",
        "overlay.mp4",
        "summary.json",
    }


@pytest.mark.slow
def test_a_real_ctrl_c(bundle: Bundle, tmp_path: Path) -> None:
    clip, out = write_clip(tmp_path / "long.avi", 3000), tmp_path / "out"
    program = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from featherseg.cli import main; main()"
    )
    process = subprocess.Popen(
        [
            *(sys.executable, "-W", "error", "-c", program, "predict", str(bundle.folder)),
            *(str(clip), "--stream", "--realtime", "--out", str(out)),
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and not list(out.glob(".stream.*/measurements.csv")):
        time.sleep(0.05)
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    written = summary(out)
    assert written["ended"] == "interrupted"
    # Ctrl-C may fall between the video and the table.
    assert 0 < written["frames"] <= len(table(out)) <= shown(out) <= written["frames"] + 1
    assert not list(out.glob(".*"))


def test_a_camera_drops_frames_and_counts_them(
    bundle: Bundle, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = interrupted_after(40, live=True, error=ImageError("camera:0: the camera stopped"))
    monkeypatch.setattr(video, "open_source", lambda argument: source)
    out = tmp_path / "out"
    ended = cli("predict", bundle.folder, "camera:0", "--stream", "--out", out)
    assert ended.code == 1
    written = summary(out)
    assert written["realtime"] is True
    assert written["problem"] == "camera:0: the camera stopped"
    rows = table(out)
    assert written["frames"] + written["dropped"] == 40
    assert written["dropped"] > 0
    assert sum(int(row["dropped"]) for row in rows) == written["dropped"]
    assert rows[-1]["frame"] == "39"
    numbers = [int(row["frame"]) for row in rows]
    assert numbers == sorted(set(numbers))


def test_a_live_frame_is_finished_before_the_next_one_comes(
    bundle: Bundle, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_drawn = threading.Event()

    def drawn(pixels: Pixels, mask: Mask) -> Pixels:
        is_drawn.set()
        return overlay(pixels, mask)

    def frames() -> Iterator[Frame]:
        for number, pixels in enumerate(blob_images(4, seed=2, size=FRAME)[0]):
            is_drawn.clear()
            yield Frame(number, number / 20, pixels, time.perf_counter())
            if not is_drawn.wait(10):
                raise ImageError(f"frame {number} waited for the next one")
        raise ImageError("camera:0: the camera stopped")

    source = Source("camera:0", 20.0, None, True, frames())  # type: ignore[arg-type]
    monkeypatch.setattr(video, "open_source", lambda argument: source)
    monkeypatch.setattr(stream, "overlay", drawn)
    out = tmp_path / "out"
    cli("predict", bundle.folder, "camera:0", "--stream", "--out", out)
    written = summary(out)
    assert written["problem"] == "camera:0: the camera stopped"
    assert (written["frames"], written["dropped"]) == (4, 0)


def test_freed_memory_is_kept_where_the_c_library_can(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    glibc = SimpleNamespace(mallopt=lambda which, size: asked.append((which, size)))
    for platform, library in (("darwin", glibc), ("linux", SimpleNamespace())):
        monkeypatch.setattr(sys, "platform", platform)
        monkeypatch.setattr("ctypes.CDLL", lambda _, library=library: library)
        stream.keep_freed_memory()
    assert not asked
    monkeypatch.setattr("ctypes.CDLL", lambda _: glibc)
    stream.keep_freed_memory()
    # M_MMAP_THRESHOLD and M_TRIM_THRESHOLD of malloc.h.
    assert asked == [(-3, 32 << 20), (-1, 32 << 20)]


def test_a_file_in_real_time(bundle: Bundle, clip: Path, cli: Cli) -> None:
    out = clip.parent / "out"
    ended = cli("predict", bundle.folder, clip, "--stream", "--out", out, "--realtime")
    assert ended.code == 0, ended.err
    written = summary(out)
    assert written["frames"] + written["dropped"] == 10
    # Ten frames at 20 a second: the last is due after 0.45 s.
    assert written["seconds"] > 0.44


def test_a_failing_disk_leaves_nothing_half_written(
    bundle: Bundle, clip: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(path: Path, frames: int) -> None:
        video.check_video(path, frames + 1)

    monkeypatch.setattr(stream, "check_video", lost)
    out = clip.parent / "out"
    ended = cli("predict", bundle.folder, clip, "--stream", "--out", out)
    assert ended.code == 2
    assert "10 of 11 frames are in it; is the disk full?" in ended.err
    assert list(out.iterdir()) == []

    def full(path: Path, value: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stream, "check_video", video.check_video)
    monkeypatch.setattr(stream, "write_json", full)
    ended = cli("predict", bundle.folder, clip, "--stream", "--out", out)
    assert ended.code == 2
    assert "No space left on device" in ended.err
    assert list(out.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.mp4", "--stream"], "expected a video file, a folder or camera:0, found nothing"),
        (["camera:97", "--stream"], "camera:97: no camera answers there"),
        (["{clip}", "{clip}", "--stream"], "one video, folder or camera, got 2"),
        (["{clip}", "--stream", "--flips", "both"], "leave out --flips"),
        (["{clip}", "--stream", "--smooth", "4"], "expected an odd number of masks"),
        (["{clip}", "--stream", "--runtime", "torch"], "unknown runtime 'torch'"),
        (["{clip}", "--smooth", "3"], "are for moving pictures: --stream"),
        (["{empty}", "--stream"], "expected PNG, JPEG, TIFF or PPM images in it"),
        (["{one}", "--stream", "--realtime"], "it states no frame rate; leave out --realtime"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    bundle: Bundle, clip: Path, cli: Cli, arguments: list[str], message: str
) -> None:
    (clip.parent / "empty").mkdir()
    (clip.parent / "one").mkdir()
    PIL.Image.fromarray(np.zeros(FRAME, np.uint8)).save(clip.parent / "one" / "a.png")
    places = {"clip": clip, "empty": clip.parent / "empty", "one": clip.parent / "one"}
    out = clip.parent / "out"
    ended = cli("predict", bundle.folder, *(a.format(**places) for a in arguments), "--out", out)
    assert ended.code == 2
    assert message in ended.err
    assert ended.err.count("\n") == 1
    assert not out.exists()
