"""The zoo's catalog and its verbs, with a tiny bundle in the place of a trained one."""

import json
import shutil
from pathlib import Path

import PIL.Image
import pytest

import featherseg.zoo as zoo
from featherseg.bundle import Bundle
from featherseg.datasets import DATASETS
from featherseg.errors import BundleError
from tests.conftest import Cli
from tests.tiny import blob_images, seal, write_tiny_bundle

SCORE = {"mean": 0.9712, "low": 0.9701, "high": 0.9723, "n": 999, "over": "images with a lesion"}
CROSS_VALIDATION = {
    "folds": 5,
    "images": 999,
    "protocol": "safe",
    "split_sha256": "4" * 64,
    "scores": {"dice_lesion": SCORE},
}


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    """An installation that has one of the bundles, cross-validated."""
    monkeypatch.setattr(zoo, "FOLDER", tmp_path / "zoo")
    made = write_tiny_bundle(tmp_path / "zoo" / "fetal_head")
    (made.folder / "README.md").write_text("# heads\n")
    facts = made.manifest.model_dump(exclude={"schema_version", "files"})
    return seal(made.folder, {**facts, "cross_validation": CROSS_VALIDATION})


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    (pixels,), _ = blob_images(1, seed=3, size=(60, 80))
    PIL.Image.fromarray(pixels).save(tmp_path / "scan.png")
    return tmp_path / "scan.png"


def test_every_entry_stands_under_its_name_and_cites_its_data() -> None:
    assert set(zoo.ZOO) == {"fetal-head", "breast-lesion"}
    for name, entry in zoo.ZOO.items():
        assert entry.name == name
        assert entry.citation in {layout.citation for layout in DATASETS.values()}
        assert entry.folder.parent == Path(zoo.__file__).parent
        assert entry.folder.name.isidentifier()


def test_names(installed: Bundle) -> None:
    assert zoo.zoo_bundle("fetal-head") == installed.folder
    with pytest.raises(BundleError, match="got 'Fetal_head'; did you mean 'fetal-head'"):
        zoo.zoo_bundle("Fetal_head")
    with pytest.raises(BundleError, match=r"out of fetal-head, breast-lesion, got 'x'$"):
        zoo.zoo_bundle("x")
    with pytest.raises(BundleError, match="this installation lacks the bundle 'breast-lesion'"):
        zoo.zoo_bundle("breast-lesion")


def test_the_list_shows_what_is_there_and_what_is_not(installed: Bundle, cli: Cli) -> None:
    ended = cli("zoo", "--json")
    assert ended.code == 0
    first, second = json.loads(ended.out)
    assert first["bundle"] == installed.id
    assert first["license"] == "CC BY 4.0"
    assert first["input_size"] == [32, 48]
    assert first["parameters"] == 20
    assert first["cross_validation"]["scores"]["dice_lesion"]["mean"] == 0.9712
    assert (second["name"], second["installed"]) == ("breast-lesion", False)
    assert "network" not in second


def test_the_table_and_the_card(
    installed: Bundle, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    table = " ".join(cli("zoo").out.split())
    assert "fetal-head" in table
    assert "0.971 (0.970 to 0.972)" in table
    assert "not installed" in table
    assert cli("zoo", "fetal-head").out == "# heads\n"
    refused = cli("zoo", "breast-lesion")
    assert refused.code == 2
    assert refused.err.count("\n") == 1


def test_without_a_cross_validated_score_a_dash_stands_there(
    installed: Bundle, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    facts = installed.manifest.model_dump(exclude={"schema_version", "files"})
    seal(installed.folder, {**facts, "cross_validation": None})
    assert "0.971" not in cli("zoo").out
    assert json.loads(cli("zoo", "fetal-head", "--json").out)[0]["cross_validation"] is None


def test_predict_takes_a_bundle_of_the_zoo(
    installed: Bundle, scan: Path, tmp_path: Path, cli: Cli
) -> None:
    outs = [tmp_path / name for name in ("option", "argument", "folder")]
    assert cli("predict", "--zoo", "fetal-head", scan, "--out", outs[0]).code == 0
    assert cli("predict", "zoo:fetal-head", scan, "--out", outs[1]).code == 0
    assert cli("predict", installed.folder, scan, "--out", outs[2]).code == 0
    masks = {(out / "scan.png").read_bytes() for out in outs}
    assert len(masks) == 1
    written = json.loads((outs[0] / "predictions.json").read_text())
    assert written["bundle"] == installed.id


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--zoo", "fetal", "{scan}"], "did you mean 'fetal-head'?"),
        (["--zoo", "fetal-head", "{bundle}", "{scan}"], "expected {bundle} or --zoo fetal-head"),
        (["{scan}"], "expected a bundle and images, got only {scan}"),
        (["zoo:breast-lesion", "{scan}"], "lacks the bundle 'breast-lesion'"),
        (["--zoo", "breast-lesion", "{scan}"], "lacks the bundle 'breast-lesion'"),
    ],
)
def test_what_predict_refuses(
    installed: Bundle, scan: Path, cli: Cli, arguments: list[str], message: str
) -> None:
    out = scan.parent / "out"
    filled = [each.format(scan=scan, bundle=installed.folder) for each in arguments]
    ended = cli("predict", *filled, "--out", out)
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert message.format(scan=scan, bundle=installed.folder) in ended.err
    assert not out.exists()


def test_other_verbs_take_a_bundle_of_the_zoo_by_its_name(
    installed: Bundle, scan: Path, tmp_path: Path, cli: Cli
) -> None:
    assert f"bundle {installed.id}" in cli("verify", "zoo:fetal-head").out
    images, masks = tmp_path / "data" / "images", tmp_path / "data" / "masks"
    pixels, truths = blob_images(2, seed=4, size=(60, 80))
    for folder, pictures in ((images, pixels), (masks, truths * 255)):
        folder.mkdir(parents=True)
        for number, picture in enumerate(pictures):
            PIL.Image.fromarray(picture).save(folder / f"{number}.png")
    where = ["--data", tmp_path / "data", "--layout", "folder", "--subset", "all"]
    ended = cli("evaluate", "zoo:fetal-head", *where, "--out", tmp_path / "scores", "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["model"]["id"] == installed.id
    shutil.rmtree(installed.folder)
    assert cli("verify", "zoo:fetal-head").code == 2
