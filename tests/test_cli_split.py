"""`featherseg data split`: every way to deal, what is said, and what is refused."""

import json
import shutil
from pathlib import Path

import pytest

from featherseg.datasets.phantom import write_phantom
from featherseg.splits import load_split, parts_of, subset
from tests.conftest import Cli

LAYOUT = ("--layout", "folder")
FRACTIONS = ("--fractions", ".5", ".25", ".25")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 images of three classes; the second dozen shows the same pictures as the first."""
    out = tmp_path_factory.mktemp("made") / "phantoms"
    write_phantom(out, 12, 3, (64, 64))
    for part in ("images", "masks"):
        for path in sorted((out / part).glob("*.png")):
            shutil.copy(path, path.with_name(f"twin_{path.name}"))
    (out / "phantom.json").unlink()
    names = sorted(path.stem for path in (out / "images").glob("*.png"))
    rows = [f"{name},{name},{'ab'[place % 2]}" for place, name in enumerate(names)]
    (out / "groups.csv").write_text("\n".join(["id,group,class", *rows]) + "\n")
    return out


def test_a_paper_s_split_says_that_it_leaks(cli: Cli, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "leaky.json"
    called = cli("data", "split", data, *LAYOUT, "--protocol", "alnet", "--out", out)
    assert called.code == 0
    assert "5 : 2 : 3" in called.out
    assert "groups of duplicates" in called.err
    assert "leaky" in called.err
    split = load_split(out)
    assert split.protocol == "alnet"
    assert [len(ids) for ids in parts_of(split).values()] == [12, 5, 7]
    audited = cli("data", "audit", data, *LAYOUT, "--split", out)
    assert audited.code == 1


def test_the_safe_split_does_not_leak(cli: Cli, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "safe.json"
    called = cli("data", "split", data, *LAYOUT, *FRACTIONS, "--out", out)
    assert "12 groups of duplicates kept together" in called.out
    assert "leaky" not in called.err
    assert load_split(out).protocol == "safe"


def test_repeats(cli: Cli, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.json"
    arguments = ("data", "split", data, *LAYOUT, "--repeats", 3, "--seed", 5, "--out", out)
    assert cli(*arguments, *FRACTIONS).code == 0
    splits = [load_split(tmp_path / f"r-{number}.json") for number in (1, 2, 3)]
    assert [split.seed for split in splits] == [5, 6, 7]
    assert len({split.sha256 for split in splits}) == 3
    assert not out.exists()
    assert cli(*arguments, *FRACTIONS).code == 2
    assert cli(*arguments, "--protocol", "laednet", "--overwrite").code == 0
    exchanged = [load_split(tmp_path / f"r-{number}.json") for number in (1, 2, 3)]
    assert len({subset(split, "test") for split in exchanged}) == 1
    assert len({frozenset(subset(split, "train")) for split in exchanged}) == 3


def test_blocks_and_one_group_out(cli: Cli, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "s.json"
    # Each twin stands twelve images behind its picture: nothing can be cut between them.
    called = cli("data", "split", data, *LAYOUT, "--blocks", 4, "--out", out)
    assert called.code == 2
    assert "groups that may be parted" in called.err
    called = cli("data", "split", data, *LAYOUT, "--leave-one-out", "--out", out)
    assert called.code == 0
    assert "12 folds of 2 to 2" in called.out
    listed = tmp_path / "twins.txt"
    listed.write_text("\n".join(f"twin_phantom_{number:04d}" for number in range(1, 13)))
    called = cli(
        *("data", "split", data, *LAYOUT, "--blocks", 4, "--gap", 1, "--overwrite"),
        *("--exclude-file", listed, "--out", out),
    )
    assert called.code == 0
    assert "fold 0 3, fold 1 3, fold 2 3, fold 3 3; 12 excluded" in called.out
    assert "images a fold are left out" in called.out


def test_exclusions_are_written_down(cli: Cli, data: Path, tmp_path: Path) -> None:
    listed = tmp_path / "ids.txt"
    listed.write_text("phantom_0001 # no lesion in view\n")
    out = tmp_path / "x.json"
    called = cli(
        *("data", "split", data, *LAYOUT, "--folds", 3, "--out", out),
        *("--exclude", "b", "--exclude-file", listed),
    )
    assert called.code == 0
    content = json.loads(out.read_text())
    assert content["excluded"]["phantom_0001"] == "no lesion in view"
    assert len(content["excluded"]) == 13
    assert "excluded" in called.out
    assert cli("data", "audit", data, *LAYOUT, "--split", out).code in (0, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "expected one of --fractions, --folds, --leave-one-out, --blocks, got none"),
        (("--folds", 3, "--blocks", 3), "got --folds and --blocks"),
        (("--protocol", "alnet", "--folds", 3), "the paper's own shares, got --folds"),
        (("--folds", 3, "--gap", 1), "--gap is for --blocks"),
        (("--folds", 3, "--repeats", 0), "1 to 100 repeats, got 0"),
        (("--leave-one-out", "--repeats", 2), "nothing is drawn"),
        (("--folds", 3, "--exclude", "normal"), "got normal"),
    ],
)
def test_what_is_refused(
    cli: Cli, data: Path, tmp_path: Path, arguments: tuple[object, ...], message: str
) -> None:
    called = cli("data", "split", data, *LAYOUT, *arguments, "--out", tmp_path / "s.json")
    assert called.code == 2
    assert message in called.err
    assert called.err.count("\n") == 1
    assert not list(tmp_path.iterdir())
