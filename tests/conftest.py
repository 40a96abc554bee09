"""Fixtures for every test: one thread, and the real data where it is."""

import os
from pathlib import Path

import pytest

# Before numpy and torch are imported: the suite shares two cores with others.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("MPLBACKEND", "agg")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real images; tests that need it are skipped, and say so, without it."""
    root = Path(os.environ.get("FEATHERSEG_DATA", REPOSITORY.parent / "shared" / "data"))
    if not root.is_dir():
        pytest.skip("real data not found: set FEATHERSEG_DATA to a folder with BUSI/ and others")
    return root
