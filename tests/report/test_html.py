"""The page: self-contained, escaped, complete, and honest about what it shows."""

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from featherseg.case_table import Row
from featherseg.datasets import load_dataset
from featherseg.evaluation import evaluate
from featherseg.metrics import EMPTY_MASK_RULE
from featherseg.report.html import Report, Section, render_report
from featherseg.report.pictures import Picture, case_caption, image_uri, overlay_uri, spread_cases
from featherseg.report.scores import evaluation_report, write_scores
from featherseg.summary import Stamp, summarize, summarize_cases
from tests.scoring import blank, box, segmenter, write_folder, write_groups

STAMP = Stamp("test", False, "safe", "ab" * 32, "cd" * 32, "validation", {"id": "m1"})
TRUTH = {"hit": box(5, 5), "missed": box(2, 20), "clean": blank(), "alarm": blank()}
FOUND = {"hit": box(6, 7), "missed": blank(), "clean": blank(), "alarm": box(0, 0, 3, 4)}


@pytest.fixture
def report(tmp_path: Path) -> Report:
    folder = write_folder(tmp_path / "data", TRUTH)
    write_groups(folder, {name: (name, "benign" if TRUTH[name].any() else "") for name in TRUTH})
    dataset = load_dataset(folder, "folder")
    evaluation = evaluate(segmenter(FOUND), dataset)
    summary = write_scores(evaluation, STAMP, tmp_path / "out")
    return evaluation_report("A model", summary, evaluation, segmenter(FOUND), dataset)


class Parsed(HTMLParser):
    """Every tag with its attributes, and whether tags are closed in order."""

    VOID = frozenset({"meta", "img", "br", "path", "use", "stop"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_asks_nobody_for_anything(report: Report) -> None:
    page = render_report(replace(report, history=[{"epoch": 1, "train_loss": 1.0}]))
    parsed = Parsed(page)
    assert not parsed.open
    names = {tag for tag, _ in parsed.tags}
    assert not names & {"script", "link", "iframe", "object", "form"}
    for tag, attributes in parsed.tags:
        for name in ("src", "href", "xlink:href", "action"):
            value = attributes.get(name) or ""
            assert not value or value.startswith(("data:image/jpeg;base64,", "#")), (tag, value)
    assert not re.search(r"url\((?!#)|@import", page)
    addresses = set(re.findall(r"https?://[^\"' <]+", page))
    assert addresses <= {"http://www.w3.org/1999/xlink", "http://www.w3.org/2000/svg"}


def test_ids_that_figures_refer_to_are_there_once(report: Report) -> None:
    parsed = Parsed(render_report(replace(report, history=[{"epoch": 1, "train_loss": 1.0}])))
    ids = [attributes["id"] for _, attributes in parsed.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))


def test_figures_n_and_intervals_are_shown(report: Report) -> None:
    page = render_report(report)
    summary = report.summary
    assert f"{summary['dice_lesion']['mean']:.3f}" in page
    presence = summary["presence"]["sensitivity"]
    assert f"{presence['low']:.3f} to {presence['high']:.3f}" in page
    assert "1 missed" in page
    assert "1 false alarm<" in page
    assert "HD95 (px)" in page
    assert page.count("<svg ") == 9
    for line in EMPTY_MASK_RULE:
        assert line in page
    assert "Not a medical device" in page
    assert "Fewer than 50 independent cases (4)" in page


def test_a_mean_stands_beside_that_of_finding_nothing(report: Report) -> None:
    page = render_report(report)
    nothing = report.summary["baselines"]["all_empty"]["dice_all"]["mean"]
    row = page[page.index("all images, both empty = 1") :].partition("</tr>")[0]
    assert f'<td class="wide">{nothing:.3f}</td>' in row


def test_subgroups_and_the_checklist_are_shown(report: Report) -> None:
    part = {**report.summary["per_class"]["benign"]}
    page = render_report(
        replace(report, summary={**report.summary, "per_subgroup": {"size: small": part}})
    )
    assert "By subgroup" in page
    assert "<td>size: small</td>" in page
    assert "Reporting checklist" in page
    assert "to be written by the authors" in page


def test_the_stamp_is_shown(report: Report) -> None:
    page = render_report(report)
    for text in ("subset: test", "protocol: safe", "split abababababab", "chosen on: validation"):
        assert text in page
    notice = '<li class="notice">external data</li>'
    assert notice not in page
    external = {**report.summary, "external": True}
    assert notice in render_report(replace(report, summary=external))


def test_a_subset_that_chose_the_model_is_called_out(report: Report) -> None:
    summary = {**report.summary, "subset": "validation"}
    assert "these figures are too good" in render_report(replace(report, summary=summary))
    summary = {**report.summary, "subset": "all"}
    assert "how well it remembers" in render_report(replace(report, summary=summary))


def test_text_from_outside_is_escaped(report: Report) -> None:
    evil = "<script>alert(1)</script>"
    rows = [replace(row, class_name=evil, case=evil + row.case) for row in report.rows]
    picture = Picture(evil, evil, "data:image/jpeg;base64,AA")
    page = render_report(
        Report(
            title=evil,
            summary=summarize(rows, replace(STAMP, model={"id": evil}, protocol=evil)),
            rows=rows,
            labels=(evil, "b"),
            worst=(picture,),
            cost=((evil, evil),),
            sections=(Section(evil, (evil,), ((evil, evil),), (picture,)),),
        )
    )
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_worst_cases_come_first_with_pictures_that_decode(report: Report) -> None:
    assert [picture.title for picture in report.worst] == ["missed", "alarm", "hit"]
    page = render_report(report)
    assert page.index("Worst cases") < page.index("From worst to best")
    data = report.worst[0].image.removeprefix("data:image/jpeg;base64,")
    pixels = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    assert pixels.shape == (30, 40, 3)


def test_what_is_empty_is_left_out(report: Report) -> None:
    bare = Report(report.title, report.summary, report.rows, report.labels)
    page = render_report(bare)
    for title in ("Worst cases", "From worst to best", "<h2>Training", "<h2>Cost", "By label"):
        assert title not in page
    assert "By class of the image" in page


def test_several_labels_have_a_table_and_a_legend_of_their_own(tmp_path: Path) -> None:
    labels = ("head", "body")
    masks = {"a": box(2, 2) + box(2, 20, label=2)}
    dataset = load_dataset(write_folder(tmp_path, masks, labels), "folder")
    evaluation = evaluate(segmenter(masks, labels), dataset)
    summary = summarize(evaluation.rows, STAMP)
    page = render_report(
        evaluation_report("Two", summary, evaluation, segmenter(masks, labels), dataset)
    )
    assert "By label" in page
    assert "true head outline" in page
    assert "found body outline" in page


def test_only_empty_images_still_make_a_page(tmp_path: Path) -> None:
    masks = {"clean": blank()}
    dataset = load_dataset(write_folder(tmp_path, masks), "folder")
    evaluation = evaluate(segmenter(masks), dataset)
    summary = summarize(evaluation.rows, Stamp())
    report = evaluation_report("Nothing", summary, evaluation, segmenter(masks), dataset)
    page = render_report(report)
    assert "Worst cases" not in page
    assert "subset: not stated" in page


def test_the_files_reproduce_the_summary(report: Report, tmp_path: Path) -> None:
    assert summarize_cases(tmp_path / "out" / "cases.csv") == report.summary


def test_large_pictures_are_shrunk_and_small_ones_kept() -> None:
    large = overlay_uri(np.zeros((1000, 2000), np.uint8), np.zeros((1000, 2000), np.uint8))
    data = base64.b64decode(large.split(",")[1])
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    assert pixels.shape == (260, 520, 3)
    assert image_uri(np.zeros((8, 8, 3), np.uint8)).startswith("data:image/jpeg;base64,")


def scores(case: str, dice: float | None, areas: tuple[int, int]) -> list[Row]:
    about = (case, case, "benign")
    return [
        Row(*about, "area_true", areas[0], "px"),
        Row(*about, "area_found", areas[1], "px"),
        Row(*about, "dice", dice, ""),
        Row(*about, "hd95", None if dice is None else 2.5, "mm"),
    ]


def test_captions_say_what_a_case_is() -> None:
    assert case_caption("a", scores("a", 0.8123, (5, 5))) == "benign · Dice 0.812 · HD95 2.5 mm"
    assert case_caption("a", scores("a", 0.0, (5, 0))) == "benign · missed lesion"
    assert case_caption("a", scores("a", None, (0, 0))) == "benign · no lesion, none found"
    assert case_caption("a", scores("a", 0.0, (0, 5))).startswith("benign · false alarm · Dice 0")
    assert case_caption("b", []) == "no lesion, none found"


def test_the_spread_is_even_over_the_ranks() -> None:
    rows = [row for n in range(9) for row in scores(f"c{n}", n / 10, (1, 1))]
    rows += scores("empty", None, (0, 0))
    assert spread_cases(rows, 3) == ("c0", "c4", "c8")
    assert spread_cases(rows, 20) == tuple(f"c{n}" for n in range(9))
    assert spread_cases([], 3) == ()
