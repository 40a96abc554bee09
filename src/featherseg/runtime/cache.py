"""Where compiled models are kept from one process to the next, so that it starts sooner.

OpenVINO names its files by a hash of the model, of the settings and of its own version: a changed
bundle never meets an old file.
"""

import contextlib
import os
import sys
from pathlib import Path

VARIABLE = "FEATHERSEG_CACHE"
OFF = "off"
_FOLDER = "featherseg"
# A compiled model is as large as its weights; the oldest are removed.
_MOST_FILES = 16
_OWNER_ONLY = 0o700


def model_cache() -> Path | None:
    """The folder for compiled models, made where it is missing; None where none can be used.

    FEATHERSEG_CACHE names a folder, or is "off" for no cache. Without it the place is that of the
    platform: $XDG_CACHE_HOME or ~/.cache, ~/Library/Caches on macOS, %LOCALAPPDATA% on Windows.
    A folder that cannot be written, or belongs to somebody else, is not used: nothing fails.
    """
    wanted = os.environ.get(VARIABLE, "")
    if wanted == OFF:
        return None
    try:
        folder = (Path(wanted) if wanted else _platform_folder() / _FOLDER) / "models"
        folder.mkdir(mode=_OWNER_ONLY, parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # RuntimeError: no home folder
        return None
    if not os.access(folder, os.W_OK | os.X_OK) or not _is_ours(folder):
        return None
    _trim(folder)
    return folder


def _platform_folder() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    chosen = os.environ.get("XDG_CACHE_HOME", "")
    # The specification says that a relative path is to be ignored.
    return Path(chosen) if os.path.isabs(chosen) else Path.home() / ".cache"


def _is_ours(folder: Path) -> bool:
    """Whether nobody else may put a file there: compiled models are trusted when they are read."""
    if not hasattr(os, "getuid"):
        return True
    found = folder.stat()
    return found.st_uid == os.getuid() and not found.st_mode & 0o022


def _trim(folder: Path) -> None:
    """Leave the newest files; one that another process removes meanwhile is no matter."""
    with contextlib.suppress(OSError):
        blobs = sorted(folder.glob("*.blob"), key=lambda path: path.stat().st_mtime, reverse=True)
        for old in blobs[_MOST_FILES:]:
            old.unlink(missing_ok=True)
