"""Parts of the images: sizes in thirds, marks, and divisions that say nothing."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featherseg.case_table import Row
from featherseg.summary import Stamp, summarize
from featherseg.summary.subgroups import subgroups
from featherseg.summary.table import gather
from tests.scoring import blank, box, rows_of


def of_sizes(heights: list[int]) -> list[Row]:
    return [
        row
        for number, height in enumerate(heights)
        for row in rows_of(f"c{number}", box(0, 0, height), box(0, 0, height))
    ]


def marked(rows: list[Row], metric: str, values: dict[str, float]) -> list[Row]:
    return [*rows, *(Row(case, case, "", metric, value, "") for case, value in values.items())]


def test_thirds_by_the_share_of_the_image() -> None:
    rows = [*of_sizes([1, 2, 3, 4, 5, 6]), *rows_of("clean", blank(), blank())]
    parts = summarize(rows, Stamp())["per_subgroup"]
    assert {name: part["n"] for name, part in parts.items()} == {
        "size: small (to 2.2 % of the image)": 2,
        "size: medium (to 3.6 % of the image)": 2,
        "size: large (over 3.6 % of the image)": 2,
    }
    small = parts["size: small (to 2.2 % of the image)"]
    assert (small["dice_lesion"]["mean"], small["n_normal"]) == (1.0, 0)


def test_pixels_where_the_size_of_the_image_is_not_known() -> None:
    rows = [row for row in of_sizes([1, 2, 3]) if row.metric != "area_image"]
    names = list(summarize(rows, Stamp())["per_subgroup"])
    spans = ("small (to 17 px)", "medium (to 23 px)", "large (over 23 px)")
    assert names == [f"size: {span}" for span in spans]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=12))
def test_every_lesion_is_in_one_third_and_equal_sizes_in_the_same(heights: list[int]) -> None:
    cases = gather(of_sizes(heights))
    parts = subgroups(cases, [""])
    if len(set(heights)) < 3:
        assert parts == {}
        return
    counted = Counter(case.id for part in parts.values() for case in part)
    assert counted == Counter(case.id for case in cases)
    spans = [[case.area([""], "area_true") for case in part] for part in parts.values()]
    for smaller, larger in pairwise(spans):
        assert max(smaller) < min(larger)
    assert np.array(spans[0]).min() == 10 * min(heights)


def test_marks_divide_and_what_is_not_stated_is_said() -> None:
    rows = marked(of_sizes([3, 3, 3]), "calipers", {"c0": 1, "c1": 0})
    parts = summarize(rows, Stamp())["per_subgroup"]
    assert {name: part["n"] for name, part in parts.items()} == {
        "calipers: yes": 1,
        "calipers: no": 1,
        "calipers: not stated": 1,
    }


@pytest.mark.parametrize("values", [{}, {"c0": 0, "c1": 0}, {"c0": 1, "c1": 1}])
def test_a_division_into_one_part_is_left_out(values: dict[str, float]) -> None:
    rows = marked(of_sizes([3, 3]), "flagged", values)
    assert summarize(rows, Stamp())["per_subgroup"] == {}


def test_a_size_on_the_limit_belongs_to_the_smaller_part() -> None:
    parts = summarize(of_sizes([1, 2, 3, 4]), Stamp())["per_subgroup"]
    assert [part["n"] for part in parts.values()] == [2, 1, 1]
