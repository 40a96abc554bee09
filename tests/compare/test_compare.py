"""Comparisons of tables whose order is known, and what is refused."""

import csv
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from featherseg.case_table import read_cases_csv
from featherseg.compare import BASELINE, Comparison, Versus, compare, load_runs
from featherseg.compare.files import comparison_csv, comparison_json
from featherseg.errors import DataError
from featherseg.stats import mean_interval
from featherseg.stats.paired import mcnemar_p, paired_t_p, permutation_p
from featherseg.summary import Stamp
from featherseg.summary.table import ScoredCase
from tests.compare.tables import (
    GOOD,
    POOR,
    STAMP,
    emptied_rows,
    found_masks,
    table,
    write_evaluation,
)
from tests.conftest import REPOSITORY
from tests.scoring import blank


def dice(shift: int) -> float:
    """Of two 10 x 10 boxes, one shifted."""
    return (10 - shift) / 10


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("evaluations")
    tables = {
        "good": table(found_masks(GOOD)),
        "poor": table(found_masks(POOR, alarm=True)),
        "twin": table(found_masks(GOOD[::-1])),
    }
    return {name: write_evaluation(root / name, rows) for name, rows in tables.items()}


@pytest.fixture(scope="module")
def compared(folders: dict[str, Path]) -> Comparison:
    return compare(load_runs(list(folders.values())))


def versus(compared: Comparison, metric: str, run: str) -> Versus:
    (found,) = [each for each in compared.metrics if each.name == metric]
    (standing,) = [each for each in found.standings if each.run == run]
    assert standing.versus is not None
    return standing.versus


def test_a_worse_run_is_called_worse_with_its_difference(compared: Comparison) -> None:
    found = versus(compared, "dice_lesion", "poor")
    differences = [dice(p) - dice(g) for p, g in zip(POOR, GOOD, strict=True)]
    assert found.difference == pytest.approx(np.mean(differences))
    expected = mean_interval(differences, 0, groups=[f"case{n}" for n in range(8)])
    assert expected is not None
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.p == permutation_p(differences) == 2 / 2**8
    assert found.p_holm == 2 * found.p
    assert found.paired_t_p == pytest.approx(
        paired_t_p([dice(p) for p in POOR], [dice(g) for g in GOOD])
    )
    assert (found.verdict, found.n) == ("worse", 8)
    assert (found.superiority, found.rank_biserial) == (0.0, -1.0)


def test_distances_are_better_when_lower(compared: Comparison) -> None:
    found = versus(compared, "hd95", "poor")
    assert found.difference is not None
    assert found.difference > 0
    assert found.verdict == "worse"
    assert found.superiority == 0.0
    assert not next(each for each in compared.metrics if each.name == "hd95").higher_is_better


def test_runs_that_are_not_shown_to_differ_tie(compared: Comparison) -> None:
    found = versus(compared, "dice_lesion", "twin")
    assert found.difference == pytest.approx(0)
    assert found.verdict == "tie"


def test_an_interval_without_zero_is_not_enough(tmp_path: Path) -> None:
    # Four lesions, each better: the interval leaves out 0, but no test of four can reach 0.05.
    names = [f"case{n}" for n in range(4)]
    tables = {
        name: table({case: found_masks(shifts)[case] for case in names})
        for name, shifts in (("a", POOR), ("b", GOOD))
    }
    runs = load_runs([write_evaluation(tmp_path / name, rows) for name, rows in tables.items()])
    found = versus(compare(runs), "dice_lesion", "b")
    assert found.low is not None
    assert found.low > 0
    assert (found.p, found.verdict) == (2 / 2**4, "tie")


def test_swapping_the_reference_turns_everything_around(folders: dict[str, Path]) -> None:
    runs = load_runs([folders["good"], folders["poor"]])
    here = versus(compare(runs), "dice_lesion", "poor")
    turned = compare(runs, reference="poor")
    there = versus(turned, "dice_lesion", "good")
    assert turned.runs == ("poor", "good")
    assert (here.verdict, there.verdict) == ("worse", "better")
    assert here.difference == pytest.approx(-(there.difference or 0))
    assert (here.low, here.high) == pytest.approx((-(there.high or 0), -(there.low or 0)))
    assert here.p == there.p
    assert here.cohens_dz == pytest.approx(-(there.cohens_dz or 0))


def test_groups_of_images_are_one_case_each(tmp_path: Path) -> None:
    groups = {f"case{n}": f"patient{n // 4}" for n in range(8)}
    for name, shifts in (("a", GOOD), ("b", POOR)):
        write_evaluation(tmp_path / name, table(found_masks(shifts), groups))
    compared = compare(load_runs([tmp_path / "a", tmp_path / "b"]))
    found = versus(compared, "dice_lesion", "b")
    assert (found.n, found.n_groups, compared.n_groups) == (8, 2, 4)
    assert found.p == 0.5
    assert found.verdict == "tie"


def test_one_group_has_no_verdict(tmp_path: Path) -> None:
    groups = dict.fromkeys(found_masks(GOOD), "patient")
    for name, shifts in (("a", GOOD), ("b", POOR)):
        write_evaluation(tmp_path / name, table(found_masks(shifts), groups))
    found = versus(compare(load_runs([tmp_path / "a", tmp_path / "b"])), "dice_lesion", "b")
    assert (found.low, found.verdict) == (None, "unknown")


def test_presence_counts_what_only_one_run_has_right(tmp_path: Path) -> None:
    seen = found_masks(GOOD)
    missed = {**found_masks(GOOD, alarm=True), **{f"case{n}": blank() for n in range(5)}}
    for name, found in (("a", seen), ("b", missed)):
        write_evaluation(tmp_path / name, table(found))
    compared = compare(load_runs([tmp_path / "a", tmp_path / "b"]))
    first, second, baseline = compared.sensitivity
    assert (first.right, first.n, first.p) == (8, 8, None)
    assert (second.right, second.gained, second.lost) == (3, 0, 5)
    assert second.p == second.p_holm == mcnemar_p(0, 5)
    assert (baseline.run, baseline.right) == (BASELINE, 0)
    assert [each.right for each in compared.specificity] == [2, 1, 2]


def test_the_baseline_is_what_finding_nothing_scores(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    metrics = ("dice_lesion", "dice_all", "accuracy", "hd95", "recall")
    compared = compare(load_runs([folders["good"], folders["poor"]]), metrics)
    empty = table({name: blank() for name in found_masks(GOOD)})
    scored = write_evaluation(tmp_path / "empty", empty)
    reference = compare(load_runs([scored, folders["poor"]]), metrics)
    for name, metric in zip(metrics, compared.metrics, strict=True):
        baseline = metric.standings[-1]
        own = reference.metrics[metrics.index(name)].standings[0].own
        assert baseline.run == BASELINE
        assert baseline.versus is None
        assert baseline.own.n == own.n
        found = (baseline.own.mean, baseline.own.ci_low, baseline.own.ci_high)
        # Tables hold six decimals.
        assert found == pytest.approx((own.mean, own.ci_low, own.ci_high), abs=1e-6)


def test_precision_is_paired_where_both_define_it(tmp_path: Path) -> None:
    for name, found in (("a", found_masks(GOOD)), ("b", found_masks(GOOD, alarm=True))):
        write_evaluation(tmp_path / name, table(found))
    compared = compare(load_runs([tmp_path / "a", tmp_path / "b"]), ["precision"])
    reference, other, _ = compared.metrics[0].standings
    assert (reference.own.n, other.own.n) == (8, 9)
    assert other.versus is not None
    assert (other.versus.n, other.versus.difference) == (8, 0)


def test_two_units_are_two_comparisons(tmp_path: Path) -> None:
    for name, shifts in (("a", GOOD), ("b", POOR)):
        found = found_masks(shifts)
        near = {case: found[case] for case in list(found)[:4]}
        rest = {case: found[case] for case in list(found)[4:]}
        write_evaluation(tmp_path / name, [*table(near, spacing_mm=(0.5, 0.5)), *table(rest)])
    compared = compare(load_runs([tmp_path / "a", tmp_path / "b"]), ["hd95"])
    assert [(each.name, each.unit) for each in compared.metrics] == [
        ("hd95_mm", "mm"),
        ("hd95_px", "px"),
    ]
    assert [each.standings[0].own.n for each in compared.metrics] == [4, 4]


def test_names_are_as_short_as_they_may_be(tmp_path: Path, folders: dict[str, Path]) -> None:
    paths = [folders["good"]]
    for name in ("one/scores", "two/scores"):
        paths.append(shutil.copytree(folders["poor"], tmp_path / name))
    assert [run.name for run in load_runs(paths)] == ["good", "one/scores", "two/scores"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("cases", r"different cases: 1 only in 'good' \(n2\).*same subset of the same split"),
        ("truth", r"'case0' has different true areas .*100 px and 90 px"),
        ("unit", r"'case0' has different units .*px and mm"),
    ],
)
def test_other_cases_masks_or_units_are_refused(
    folders: dict[str, Path], tmp_path: Path, change: str, message: str
) -> None:
    found = found_masks(GOOD)
    if change == "cases":
        rows = table({case: mask for case, mask in found.items() if case != "n2"})
    elif change == "unit":
        rows = table(found, spacing_mm=(0.5, 0.5))
    else:
        rows = [
            replace(row, value=90) if (row.case, row.metric) == ("case0", "area_true") else row
            for row in table(found)
        ]
    other = write_evaluation(tmp_path / "other", rows)
    with pytest.raises(DataError, match=message):
        load_runs([folders["good"], other])


def test_other_labels_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    rows = [
        replace(row, metric=f"{row.metric}:{label}")
        for label in ("x", "y")
        for row in table(found_masks(GOOD))
    ]
    other = write_evaluation(tmp_path / "other", rows)
    with pytest.raises(DataError, match="different labels"):
        load_runs([folders["good"], other])


def test_bad_folders_are_named(folders: dict[str, Path], tmp_path: Path) -> None:
    good = folders["good"]
    with pytest.raises(DataError, match="at least two evaluations"):
        load_runs([good])
    with pytest.raises(DataError, match="given twice"):
        load_runs([good, good / ".." / "good"])
    with pytest.raises(DataError, match=r"none: expected a folder with cases\.csv.*found nothing"):
        load_runs([good, tmp_path / "none"])
    with pytest.raises(DataError, match="found a file"):
        load_runs([good, good / "cases.csv"])
    (tmp_path / "hollow").mkdir()
    with pytest.raises(DataError, match="expected a table of cases"):
        load_runs([good, tmp_path / "hollow"])
    (tmp_path / "hollow" / "cases.csv").write_text("case,group,class,metric,value,unit\n")
    with pytest.raises(DataError, match=r"hollow.cases\.csv: expected a table of at least one"):
        load_runs([good, tmp_path / "hollow"])


def test_unknown_metrics_and_references_name_the_nearest(folders: dict[str, Path]) -> None:
    runs = load_runs([folders["good"], folders["poor"]])
    with pytest.raises(DataError, match="did you mean 'dice_lesion'"):
        compare(runs, ["dice_leson"])
    with pytest.raises(DataError, match=r"the reference out of good, poor, got 'god'.*'good'"):
        compare(runs, reference="god")
    # Signed errors are neither better nor worse for being higher.
    with pytest.raises(DataError, match="expected a metric out of"):
        compare(runs, ["area_error"])
    with pytest.raises(DataError, match="no table holds a value of ece_band"):
        compare([replace(run, cases=_without(run.cases, "ece_band")) for run in runs], ["ece_band"])


def _without(cases: tuple[ScoredCase, ...], metric: str) -> tuple[ScoredCase, ...]:
    return tuple(
        replace(
            case,
            labels={
                label: {name: value for name, value in scores.items() if name != metric}
                for label, scores in case.labels.items()
            },
        )
        for case in cases
    )


@pytest.mark.parametrize(
    ("stamp", "doubt"),
    [
        (None, "not known, for want of a summary.json: b"),
        (replace(STAMP, subset="validation"), "The validation subset chose the model of b"),
        (replace(STAMP, subset="all"), "The images of b include those that its model was"),
        (replace(STAMP, split_sha256="ee" * 32), "differ in the split"),
        (replace(STAMP, protocol="published"), "differ in the protocol"),
        (replace(STAMP, subset="all", external=True), "differ in the subset"),
        (replace(STAMP, external=True), "external to the training"),
    ],
)
def test_unfair_comparisons_are_marked(
    folders: dict[str, Path], tmp_path: Path, stamp: Stamp | None, doubt: str
) -> None:
    other = write_evaluation(tmp_path / "b", table(found_masks(GOOD)), stamp)
    warnings = compare(load_runs([folders["good"], other])).warnings
    assert any(doubt in warning for warning in warnings)


def test_a_fair_comparison_is_only_warned_of_its_size(compared: Comparison) -> None:
    assert len(compared.warnings) == 1
    assert "Fewer than 50 independent cases (10)" in compared.warnings[0]


def test_the_larger_groups_are_used_when_tables_differ(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    groups = {"case0": "p", "case1": "p"}
    other = write_evaluation(tmp_path / "b", table(found_masks(POOR), groups))
    compared = compare(load_runs([folders["good"], other]))
    assert compared.n_groups == 9
    assert any("group the cases differently" in warning for warning in compared.warnings)


def test_laednets_p_is_given_where_there_is_an_auc(compared: Comparison) -> None:
    assert set(compared.laednet_p) == {"poor", "twin"}
    p = compared.laednet_p["poor"]
    assert p is not None
    assert 0 < p < 0.05


def test_json_and_csv_say_the_same(compared: Comparison) -> None:
    as_json = json.loads(json.dumps(comparison_json(compared), allow_nan=False))
    lines = list(csv.DictReader(io.StringIO(comparison_csv(compared))))
    assert as_json["schema"] == "featherseg.comparison/1"
    assert as_json["runs"]["poor"]["subset"] == "test"
    for line in lines:
        if line["metric"] in ("sensitivity", "specificity"):
            entry = as_json[line["metric"]][line["run"]]
            assert float(line["mean"]) == pytest.approx(entry["right"] / entry["n"])
            continue
        entry = as_json["metrics"][line["metric"]]["runs"][line["run"]]
        assert float(line["mean"]) == entry["mean"]
        if entry["versus"] is None:
            assert line["verdict"] == ""
        else:
            assert line["verdict"] == entry["versus"]["verdict"]
            assert float(line["difference_low"]) == entry["versus"]["low"]
            assert float(line["p_holm"]) == entry["versus"]["p_holm"]
    assert len(lines) == (3 + 2) * 4


def test_small_p_values_stay_apart_in_json(compared: Comparison) -> None:
    tiny = replace(versus(compared, "hd95", "poor"), p=1.23456e-9)
    first = compared.metrics[0]
    standings = (first.standings[0], replace(first.standings[1], versus=tiny))
    changed = replace(compared, metrics=(replace(first, standings=standings),))
    entry = comparison_json(changed)["metrics"][first.name]["runs"]["poor"]
    assert entry["versus"]["p"] == 1.235e-9


def test_the_committed_result_is_far_above_its_baseline(tmp_path: Path) -> None:
    source = REPOSITORY / "results" / "busi_simplified_unet"
    run = shutil.copytree(source, tmp_path / "network")
    rows = emptied_rows(list(read_cases_csv(source / "cases.csv")))
    empty = write_evaluation(tmp_path / "empty", rows, None)
    compared = compare(load_runs([empty, run]), ["dice_lesion", "dice_all"])
    found = versus(compared, "dice_all", "network")
    assert (found.verdict, found.n) == ("better", 124)
    assert found.difference == pytest.approx(0.6121 - 0.1694, abs=1e-3)
    # The table's own baseline is that folder's score.
    for metric in compared.metrics:
        assert metric.standings[0].own == metric.standings[-1].own
    # An old table knows no diagonal: what finding nothing would score in pixels is not known.
    (distances,) = compare(load_runs([run, empty]), ["hd95"]).metrics
    assert distances.standings[-1].own.mean is None
    assert distances.standings[1].versus is not None
    assert distances.standings[1].versus.verdict == "unknown"
