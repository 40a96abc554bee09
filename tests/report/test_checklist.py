"""The reporting checklist answers what the summary knows, and says what is left to the authors."""

import json

import pytest

from featherseg.report.checklist import ITEMS, OPEN, checklist_section
from tests.conftest import REPOSITORY

SUMMARY = json.loads((REPOSITORY / "results/busi_simplified_unet/summary.json").read_text())


def answers(**changes: object) -> dict[str, str]:
    section = checklist_section({**SUMMARY, **changes})
    return {name.partition(" (")[0]: answer for name, answer in section.table}


def test_every_item_stands_there_once_with_its_numbers() -> None:
    section = checklist_section(SUMMARY)
    assert len(section.table) == len(ITEMS) == len({name for name, _ in section.table})
    assert all("(CLAIM " in name and "TRIPOD+AI " in name for name, _ in section.table)
    known = sum(answer != OPEN for _, answer in section.table)
    assert section.text[0].startswith(f"{known} of {len(ITEMS)} items")
    # What is open comes last.
    assert [answer == OPEN for _, answer in section.table] == sorted(
        answer == OPEN for _, answer in section.table
    )


def test_answers_are_those_of_the_summary() -> None:
    found = answers()
    assert found["Number of cases"].startswith("124 images (103 with a lesion, 21 without)")
    assert "benign" in found["Number of cases"]
    assert found["Which model"] == "simplified_unet, weights 0fccf5d9e9d9"
    assert found["Initial weights"] == "training began from scratch"
    assert "validation" in found["What chose the final model"]
    mean = SUMMARY["dice_lesion"]["mean"]
    assert f"{mean:.3f}" in found["Performance with its precision"]
    assert found["De-identification and ethical approval"] == OPEN


@pytest.mark.parametrize(
    ("changes", "item", "answer"),
    [
        ({"protocol": "laednet"}, "At which level the parts are disjoint", "may be in several"),
        ({"protocol": None, "split_sha256": None}, "How data were assigned", OPEN),
        ({"external": True}, "Test on external data", "yes"),
        ({"external": None}, "Test on external data", OPEN),
        ({"images_sha256": None}, "Source of the data", OPEN),
        ({"model": {}}, "Which model", OPEN),
        ({"chosen_on": None}, "What chose the final model", OPEN),
        ({"excluded": {}}, "Who was left out", "no image of the subset was left out"),
        ({"excluded": {"unreadable": 2}}, "Who was left out", "2 left out: unreadable"),
    ],
)
def test_what_is_not_known_is_open(changes: dict[str, object], item: str, answer: str) -> None:
    (found,) = (text for name, text in answers(**changes).items() if name.startswith(item))
    assert answer in found
