"""The wheel alone in a new environment: small, without torch, and able to predict."""

import json
import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

import cv2
import pytest

from featherseg.images import read_image
from tests.conftest import REPOSITORY
from tests.tiny import blob_images, write_tiny_bundle

pytestmark = pytest.mark.install

_MOST_MIB = 500
_UV = Path(sys.executable).with_name("uv")


@dataclass(frozen=True)
class Environment:
    """A virtual environment that knows nothing of the repository."""

    folder: Path

    def run(self, *command: object) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment in an empty place, with nothing of ours on its paths."""
        program, *arguments = map(str, command)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        return subprocess.run(
            [str(self.folder / "bin" / program), *arguments],
            cwd=self.folder,
            env=kept,
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def site_packages(self) -> Path:
        (found,) = self.folder.glob("lib/python*/site-packages")
        return found


def call(*command: object) -> None:
    """Run a command of the set-up; the test errs with what it printed."""
    ended = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """A new environment with the wheel of this checkout and its core dependencies only."""
    place = tmp_path_factory.mktemp("install")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    call(*pip, "wheel", "--no-deps", "--wheel-dir", place, REPOSITORY)
    (wheel,) = place.glob("featherseg-*.whl")
    made = Environment(place / "venv")
    constraints = ["-c", REPOSITORY / "constraints.txt"]
    if _UV.exists():
        call(_UV, "venv", "--quiet", "--python", sys.executable, made.folder)
        python = made.folder / "bin" / "python"
        call(_UV, "pip", "install", "--quiet", "--python", python, *constraints, wheel)
    else:
        venv.create(made.folder, with_pip=True)
        call(made.folder / "bin" / "python", "-m", "pip", "install", *constraints, wheel)
    return made


def test_the_core_is_small_and_has_no_torch(environment: Environment) -> None:
    packages = environment.site_packages
    for absent in ("torch", "scipy", "matplotlib", "onnx"):
        assert not (packages / absent).exists()
    files = (path for path in packages.rglob("*") if path.is_file() and not path.is_symlink())
    size_mib = sum(path.stat().st_size for path in files) / 2**20
    assert size_mib < _MOST_MIB


def test_the_core_predicts(environment: Environment, tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "bundle")
    (pixels,), (truth,) = blob_images(1, seed=8, size=(100, 140))
    cv2.imwrite(str(tmp_path / "scan.png"), pixels)
    doctor = environment.run("featherseg", "doctor", "--json")
    assert doctor.returncode == 0, doctor.stderr
    assert json.loads(doctor.stdout)["extras"]["train"]["missing"]
    verified = environment.run("featherseg", "verify", bundle.folder)
    assert verified.returncode == 0, verified.stderr
    predicted = environment.run(
        "featherseg", "predict", bundle.folder, tmp_path / "scan.png", "--out", tmp_path / "out"
    )
    assert predicted.returncode == 0, predicted.stderr
    found = read_image(tmp_path / "out" / "scan.png").pixels
    assert ((found > 0) == (truth > 0)).mean() > 0.95
    measured = environment.run("featherseg", "measure", tmp_path / "out" / "scan.png", "--json")
    assert measured.returncode == 0, measured.stderr
    (mask,) = json.loads(measured.stdout)["masks"]
    assert mask["measurements"][0]["area_px"] == (found > 0).sum()


def test_other_verbs_name_the_extra(environment: Environment, tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "bundle")
    (tmp_path / "data").mkdir()
    data = ["--data", tmp_path / "data", "--layout", "folder"]
    ended = environment.run(
        "featherseg", "evaluate", bundle.folder, *data, "--subset", "all", "--out", tmp_path / "out"
    )
    assert ended.returncode == 2
    assert "featherseg[evaluate]" in ended.stderr
    assert ended.stderr.count("\n") == 1
    ended = environment.run("featherseg", "export", tmp_path, "--out", tmp_path / "out")
    assert ended.returncode == 2
    assert "featherseg[train]" in ended.stderr
