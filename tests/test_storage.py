"""Files are replaced whole or not at all."""

import errno
import json
import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest

from featherseg import storage
from featherseg.errors import StorageError


def test_a_file_is_replaced_and_no_temporary_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.json"
    storage.write_json(path, {"a": 1})
    storage.write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 2}
    assert [file.name for file in path.parent.iterdir()] == ["a.json"]


def test_an_error_in_the_block_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    storage.write_text(path, "old")

    def fail_halfway() -> None:
        with storage.replacing(path) as temporary:
            temporary.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_halfway()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_one_sentence_and_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.bin"
    storage.write_bytes(path, b"old")

    def full(self: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StorageError, match=r"cannot write .*a\.bin: No space left on device"):
        storage.write_bytes(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_never_holds_what_json_cannot(tmp_path: Path, value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        storage.write_json(tmp_path / "a.json", {"a": value})
    assert not (tmp_path / "a.json").exists()


def test_hashes_are_sha256(tmp_path: Path) -> None:
    # FIPS 180-2, appendix B.1: the hash of "abc".
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    (tmp_path / "a").write_bytes(b"abc")
    assert storage.sha256_file(tmp_path / "a") == expected
    assert storage.sha256_bytes(b"abc") == expected
    assert storage.sha256_json({"b": 1, "a": 2}) == storage.sha256_bytes(b'{"a":2,"b":1}')


def _lock_elsewhere(folder: Path, answers: Any) -> None:
    try:
        with storage.locked(folder, "training"):
            answers.put("locked")
    except StorageError as error:
        answers.put(str(error))


def test_a_folder_is_locked_for_one_process_only(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    with storage.locked(tmp_path, "training"):
        other = context.Process(target=_lock_elsewhere, args=(tmp_path, answers))
        other.start()
        refused = answers.get(timeout=60)
        other.join()
    assert "in use by another process (training)" in refused
    again = context.Process(target=_lock_elsewhere, args=(tmp_path, answers))
    again.start()
    assert answers.get(timeout=60) == "locked"
    again.join()
