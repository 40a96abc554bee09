"""Fixtures for every test: one thread, and the real data where it is."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from featherseg.cli import main

# Before numpy and torch are imported: the suite shares two cores with others.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("MPLBACKEND", "agg")
# Compiled models of tests do not belong into the cache of whoever runs them.
os.environ["FEATHERSEG_CACHE"] = "off"

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real images; tests that need it are skipped, and say so, without it."""
    root = Path(os.environ.get("FEATHERSEG_DATA", REPOSITORY.parent / "shared" / "data"))
    if not root.is_dir():
        pytest.skip("real data not found: set FEATHERSEG_DATA to a folder with BUSI/ and others")
    return root


@dataclass(frozen=True)
class Called:
    """What one call of the command line returned and printed."""

    code: int
    out: str
    err: str


Cli = Callable[..., Called]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Call `featherseg ARGUMENTS...` in this process, through main() and its error handling."""

    def call(*arguments: object) -> Called:
        monkeypatch.setattr(sys, "argv", ["featherseg", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        printed = capsys.readouterr()
        return Called(code if isinstance(code, int) else 0, printed.out, printed.err)

    return call
