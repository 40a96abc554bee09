"""docs/audit.md names every finding, and its figures are those of the committed audits."""

import json
import re
from typing import Any

import pytest

from featherseg.audit import words
from featherseg.audit.findings import Audit
from tests.conftest import REPOSITORY

DOCUMENT = (REPOSITORY / "docs" / "audit.md").read_text()


def stored(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(
        (REPOSITORY / "results" / "audits" / f"{name}.json").read_text()
    )
    return content


def sentence(name: str) -> str:
    found = re.search(rf"^{name}: (.*?)\n(?:\n|$)", DOCUMENT + "\n", re.DOTALL | re.MULTILINE)
    assert found is not None
    return " ".join(found[1].split())


def test_every_key_is_explained() -> None:
    keys = set(Audit.__dataclass_fields__) - {"layout", "images", "split_intact"}
    assert {key for key in keys if f"`{key}`" not in DOCUMENT} == set()
    assert {kind.key for kind in words.KINDS} <= keys


@pytest.mark.parametrize("name", ["BUSI", "HC18"])
def test_the_figures_are_those_of_the_committed_audit(name: str) -> None:
    audit = stored(name.lower())
    figures = {
        "images": audit["images"],
        "different pictures": audit["distinct"],
        "by correlation alone": audit["distinct_by_correlation"],
        "by hash alone": audit["distinct_by_hash"],
        "groups of duplicates": len(audit["duplicate_groups"]),
        "with contradicting labels": len(audit["contradictions"]),
        "with unlike masks": len(audit["inconsistent_masks"]),
        "images with calipers": len(audit["calipers"]),
        "with color": len(audit["color_overlays"]),
    }
    text = sentence(name)
    for what, count in figures.items():
        assert f"{count} {what}" in text


def test_committed_audits_hold_no_paths() -> None:
    for name in ("busi", "hc18"):
        assert "/" not in json.dumps(stored(name))
