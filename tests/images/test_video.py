"""Frames of files, cameras and folders, and what is said of those that are broken."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest

from featherseg.errors import ImageError, StorageError
from featherseg.images import video
from featherseg.images.video import Frame, check_video, open_source, open_writer, write_frame
from featherseg.types import Pixels

SIZE = (48, 64)
FPS = 12.5
CODECS = {".mp4": "mp4v", ".avi": "MJPG", ".mkv": "MJPG"}


def picture(number: int, size: tuple[int, int] = SIZE) -> Pixels:
    """Reddish and brighter with every frame, so that order and channels can be told."""
    return np.dstack([np.full(size, 40 + 5 * number), np.full(size, 20), np.full(size, 10)]).astype(
        np.uint8
    )


def clip(path: Path, count: int = 12, size: tuple[int, int] = SIZE) -> Path:
    writer = cv2.VideoWriter(
        str(path), cv2.VideoWriter.fourcc(*CODECS[path.suffix]), FPS, size[::-1]
    )
    for number in range(count):
        write_frame(writer, picture(number, size))
    writer.release()
    return path


@pytest.mark.parametrize("suffix", CODECS)
def test_every_frame_comes_in_order_with_its_time(suffix: str, tmp_path: Path) -> None:
    source = open_source(str(clip(tmp_path / f"clip{suffix}")))
    assert (source.fps, source.expected, source.is_live) == (FPS, 12, False)
    frames = list(source.frames)
    assert [frame.number for frame in frames] == list(range(12))
    assert [frame.time_s for frame in frames] == pytest.approx([n / FPS for n in range(12)])
    assert [frame.read_s for frame in frames] == sorted(frame.read_s for frame in frames)
    for frame in frames:
        assert frame.pixels.shape == (*SIZE, 3)
        assert frame.pixels.dtype == np.uint8
        color = frame.pixels.mean(axis=(0, 1))
        np.testing.assert_allclose(color, picture(frame.number)[0, 0], atol=6)


@pytest.mark.parametrize("suffix", [".avi", ".mkv"])
def test_a_truncated_file_gives_what_it_has_and_says_so(suffix: str, tmp_path: Path) -> None:
    whole = clip(tmp_path / f"clip{suffix}", count=40).read_bytes()
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(whole[: int(len(whole) * 0.6)])
    frames: list[Frame] = []

    def read_one_by_one() -> None:
        for frame in open_source(str(cut)).frames:
            frames.append(frame)

    with pytest.raises(ImageError, match=r"ended after \d+ frames, its header says 40"):
        read_one_by_one()
    assert 0 < len(frames) < 40
    assert [frame.number for frame in frames] == list(range(len(frames)))


def test_a_file_without_its_index_is_refused(tmp_path: Path) -> None:
    whole = clip(tmp_path / "clip.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImageError, match="no video can be read from it; it is truncated"):
        open_source(str(tmp_path / "cut.mp4"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("text.mp4", b"not a video at all"),
        ("empty.avi", b""),
        ("list.m3u8", b"#EXTM3U\nhttp://example.org/a.ts\n"),
        ("list.mp4", b"ffconcat version 1.0\nfile /etc/passwd\n"),
        ("image.png", b"\x89PNG\r\n\x1a\n" + bytes(20)),
    ],
)
def test_what_is_no_video_is_never_given_to_the_decoder(
    name: str, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError(f"decoded {arguments}")

    (tmp_path / name).write_bytes(content)
    monkeypatch.setattr(cv2, "VideoCapture", refuse)
    with pytest.raises(ImageError, match=r"expected a video \(MP4, .* found something else"):
        open_source(str(tmp_path / name))


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="expected a video file, a folder or camera:0, found noth"):
        open_source(str(tmp_path / "absent.mp4"))
    with pytest.raises(ImageError, match="expected PNG, JPEG, TIFF or PPM images in it"):
        open_source(str(tmp_path))
    with pytest.raises(ImageError, match="expected a camera as camera:NUMBER"):
        open_source("camera:left")
    with pytest.raises(ImageError, match="camera:97: no camera answers there"):
        open_source("camera:97")


def test_a_folder_is_taken_by_name(tmp_path: Path) -> None:
    for number in (2, 0, 1):
        PIL.Image.fromarray(np.full(SIZE, number, np.uint8)).save(tmp_path / f"f{number}.png")
    (tmp_path / "notes.txt").write_text("no image")
    source = open_source(str(tmp_path))
    assert (source.fps, source.expected, source.is_live) == (None, 3, False)
    frames = list(source.frames)
    assert [int(frame.pixels[0, 0]) for frame in frames] == [0, 1, 2]
    assert [frame.time_s for frame in frames] == [None] * 3
    assert frames[0].pixels.shape == SIZE


def test_a_frame_of_another_size_ends_the_source(tmp_path: Path) -> None:
    for number, size in enumerate([SIZE, SIZE, (40, 64), SIZE]):
        PIL.Image.fromarray(np.zeros(size, np.uint8)).save(tmp_path / f"{number}.png")
    frames = open_source(str(tmp_path)).frames
    assert [next(frames).number for _ in range(2)] == [0, 1]
    with pytest.raises(ImageError, match="frame 2 is 40x64, those before are 48x64"):
        next(frames)


class Capture:
    """What cv2.VideoCapture gives, from a list of pictures; None fails to be read."""

    def __init__(self, pictures: list[Any], count: float = 0.0) -> None:
        self.pictures = list(pictures)
        self.count = count
        self.is_released = False

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def read(self) -> tuple[bool, Pixels | None]:
        if not self.pictures:
            return False, None
        found = self.pictures.pop(0)
        if isinstance(found, str):
            raise cv2.error("decoder")
        return True, found

    def get(self, what: int) -> float:
        known = {
            cv2.CAP_PROP_FRAME_HEIGHT: float(SIZE[0]),
            cv2.CAP_PROP_FRAME_WIDTH: float(SIZE[1]),
            cv2.CAP_PROP_FRAME_COUNT: self.count,
            cv2.CAP_PROP_FPS: 10.0,
        }
        return known.get(what, 0.0)

    def set(self, what: int, value: float) -> bool:
        return False

    def release(self) -> None:
        self.is_released = True


@pytest.fixture
def captured(monkeypatch: pytest.MonkeyPatch) -> Callable[[Capture], Capture]:
    def use(capture: Capture) -> Capture:
        monkeypatch.setattr(cv2, "VideoCapture", lambda *arguments: capture)
        return capture

    return use


def test_a_video_that_changes_size_midway(tmp_path: Path, captured: Any) -> None:
    capture = captured(Capture([picture(0), picture(1), picture(2, (24, 32))], count=3))
    (tmp_path / "clip.avi").write_bytes(b"RIFF....AVI LIST")
    frames = open_source(str(tmp_path / "clip.avi")).frames
    # Without times a frame stands where its number and the rate put it.
    assert [next(frames).time_s for _ in range(2)] == [0.0, 0.1]
    with pytest.raises(ImageError, match="frame 2 is 24x32, those before are 48x64"):
        next(frames)
    assert capture.is_released


def test_a_decoder_that_gives_up_is_a_truncated_file(tmp_path: Path, captured: Any) -> None:
    captured(Capture([picture(0), "error"], count=9))
    (tmp_path / "clip.avi").write_bytes(b"RIFF....AVI LIST")
    frames = open_source(str(tmp_path / "clip.avi")).frames
    next(frames)
    with pytest.raises(ImageError, match="ended after 1 frames, its header says 9"):
        next(frames)


def test_a_camera_that_stops(captured: Any) -> None:
    capture = captured(Capture([picture(number) for number in range(4)]))
    source = open_source("camera:0")
    assert (source.is_live, source.expected, source.fps) == (True, None, 10.0)
    # The first picture has shown that the camera answers.
    assert [next(source.frames).number for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ImageError, match="camera:0: the camera stopped after 3 frames"):
        next(source.frames)
    assert capture.is_released


def test_a_camera_that_opens_and_sends_nothing(captured: Any) -> None:
    capture = captured(Capture([]))
    with pytest.raises(ImageError, match="no camera answers"):
        open_source("camera:0")
    assert capture.is_released


def test_leaving_early_closes_the_file(captured: Any, tmp_path: Path) -> None:
    capture = captured(Capture([picture(0)] * 5, count=5))
    (tmp_path / "clip.avi").write_bytes(b"RIFF....AVI LIST")
    frames = open_source(str(tmp_path / "clip.avi")).frames
    next(frames)
    frames.close()
    assert capture.is_released


@pytest.mark.parametrize("size", [SIZE, (47, 63)])
def test_what_is_written_can_be_read(size: tuple[int, int], tmp_path: Path) -> None:
    path, writer = open_writer(tmp_path, "made", size, 20.0)
    assert path.name == "made.mp4"
    for number in range(5):
        write_frame(writer, picture(number, size))
    writer.release()
    check_video(path, 5)
    source = open_source(str(path))
    assert source.fps == 20.0
    frames = list(source.frames)
    assert len(frames) == 5
    assert frames[0].pixels.shape[:2] == tuple(side // 2 * 2 for side in size)
    np.testing.assert_allclose(frames[4].pixels.mean(axis=(0, 1)), picture(4)[0, 0], atol=6)


def test_motion_jpeg_where_mpeg4_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = tuple(("XXXX" if codec == "mp4v" else codec, end) for codec, end in video._CODECS)
    monkeypatch.setattr(video, "_CODECS", missing)
    path, writer = open_writer(tmp_path, "made", SIZE, 10.0)
    write_frame(writer, picture(3))
    writer.release()
    assert [child.name for child in tmp_path.iterdir()] == ["made.avi"] == [path.name]
    check_video(path, 1)
    monkeypatch.setattr(video, "_CODECS", (("XXXX", ".mp4"),))
    with pytest.raises(StorageError, match="neither MPEG-4 nor Motion JPEG"):
        open_writer(tmp_path, "none", SIZE, 10.0)


def test_a_video_that_lost_frames_on_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"12 of 30 frames are in it; is the disk full"):
        check_video(clip(tmp_path / "clip.avi"), 30)
    (tmp_path / "nothing.mp4").write_bytes(b"")
    with pytest.raises(StorageError, match="0 of 1 frames"):
        check_video(tmp_path / "nothing.mp4", 1)
