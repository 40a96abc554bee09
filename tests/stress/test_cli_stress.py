"""`featherseg evaluate --stress --out-of-domain`: files, terminal, JSON and report."""

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from featherseg.case_table import read_cases_csv
from featherseg.report.stress import change_words, domain_sentences, stress_section
from featherseg.stress import conditions, summarize_stress
from tests.conftest import Cli
from tests.tiny import blob_images, write_tiny_bundle


@pytest.fixture
def data(tmp_path: Path) -> Path:
    images, masks = blob_images(3, seed=3)
    for name, arrays in (("images", images), ("masks", masks * np.uint8(255))):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number, pixels in enumerate(arrays):
            PIL.Image.fromarray(pixels).save(tmp_path / "data" / name / f"case{number}.png")
    return tmp_path / "data"


def test_stress_and_domain_are_written_printed_and_reported(
    cli: Cli, data: Path, tmp_path: Path
) -> None:
    bundle, out = write_tiny_bundle(tmp_path / "bundle").folder, tmp_path / "scores"
    common = ("--data", data, "--layout", "folder", "--subset", "all", "--out", out, "--stress")
    called = cli("evaluate", bundle, *common, "--out-of-domain", data)
    assert called.code == 0, called.err
    assert {path.name for path in out.iterdir()} == {
        *("cases.csv", "summary.json", "report.html"),
        *("stress.csv", "stress.json", "domain.json"),
    }
    stored = json.loads((out / "stress.json").read_text())
    again = summarize_stress(read_cases_csv(out / "stress.csv"))
    assert stored == {"model": stored["model"], **again}
    assert [entry["name"] for entry in stored["conditions"]] == [c.name for c in conditions()]
    domain = json.loads((out / "domain.json").read_text())
    assert domain["likeness"]["value"] == 0.5
    page = (out / "report.html").read_text()
    for text in (
        "Under stress",
        "Telling other images apart",
        "gain -10 dB",
        "No image is concerned",
    ):
        assert text in page, text
    assert "gain -10 dB" in called.out
    assert "AUROC" in called.out
    assert str(tmp_path) not in (out / "stress.json").read_text() + page


def test_json_holds_the_further_parts_and_without_options_there_are_none(
    cli: Cli, data: Path, tmp_path: Path
) -> None:
    bundle = write_tiny_bundle(tmp_path / "bundle").folder
    common = ("--data", data, "--layout", "folder", "--subset", "all", "--json")
    called = cli("evaluate", bundle, *common, "--out", tmp_path / "a", "--stress")
    assert json.loads(called.out)["stress"]["n"] == 3
    plain = cli("evaluate", bundle, *common, "--out", tmp_path / "b")
    assert "stress" not in json.loads(plain.out)
    assert "Under stress" not in (tmp_path / "b" / "report.html").read_text()


def test_an_out_of_domain_folder_that_is_none_is_refused_first(
    cli: Cli, data: Path, tmp_path: Path
) -> None:
    bundle = write_tiny_bundle(tmp_path / "bundle").folder
    common = ("--data", data, "--layout", "folder", "--subset", "all", "--out", tmp_path / "a")
    called = cli("evaluate", bundle, *common, "--out-of-domain", tmp_path / "missing")
    assert called.code == 2
    assert not (tmp_path / "a").exists()


def test_words_of_a_change_and_of_a_section_without_any() -> None:
    change = {"difference": -0.0312, "low": -0.05, "high": -0.01, "verdict": "worse"}
    assert change_words(change) == "-0.031 (-0.050 to -0.010) worse"
    assert change_words({**change, "low": None, "verdict": "unknown"}) == "-0.031 unknown"
    assert change_words({**change, "difference": None}) == "–"
    section = stress_section(summarize_stress([]))
    assert (section.table, section.figures) == ((), ())
    nothing = {"value": None, "low": None, "high": None}
    domains = {
        "n": {"inside": 1, "outside": 0},
        "flagged": {"inside": 0, "outside": 0},
        "out_of_domain": {"layout": "folder"},
        "likeness": nothing,
        "confidence": nothing,
    }
    assert "not defined" in domain_sentences(domains)[1]
