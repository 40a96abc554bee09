"""Train FeatherNet-S and four networks of the papers on BUSI with its normal images, and compare.

All learn by the recipe `feathernet_s` on the same duplicate-safe split; only FeatherNet has a
presence head, and so a weight for it. It learns twice: from the masks alone, and from masks and
three of the others, trained on the same seed or fold, whose mean is its teacher. And twice more for
three times as many epochs, which take it about the time that `simplified_unet` takes for its own.
What is finished is skipped, what was interrupted goes on:

    python results/feathernet_comparison.py BUSI --work runs/feathernet                # small
    python results/feathernet_comparison.py BUSI --work runs/feathernet --scale full   # for a GPU

With --part seed_0 or --part alnet/fold_2 only that part is run, so that several processes can
share the work.
Without a folder, the pages are made again from the committed tables of cases.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from featherseg.case_table import Row, read_cases_csv, write_cases_csv
from featherseg.datasets import Dataset, load_dataset
from featherseg.duplicates import find_duplicates
from featherseg.evaluation import evaluate
from featherseg.grid import Job, is_done, run_folder, run_grid
from featherseg.grid.job import packed_once
from featherseg.operating_point import choose_operating_point, choose_screening_point
from featherseg.report.scores import CASES_FILE
from featherseg.splits import Split, grouped, load_split, make_split, save_split, subset
from featherseg.stats import mean_interval, wilson
from featherseg.stats.paired import holm, mcnemar_p, permutation_p
from featherseg.storage import write_json, write_text
from featherseg.summary.table import CORE_METRICS
from featherseg.train.outcome import predict
from featherseg.train.recipe import Recipe, as_values, load_recipe
from featherseg.train.run import load_run, segmenter_of
from featherseg.train.show import Show

OUT = Path(__file__).resolve().parent / "feathernet"
LAYOUT = "busi"
PLAIN = "feathernet_s"
# Learns from networks of the papers, beside the masks.
OURS = f"{PLAIN}_taught"
TEACHERS = ("simplified_unet", "alnet", "laednet_s")
# The same two, each as often as `LONGER` says.
PLAIN_LONG, OURS_LONG = f"{PLAIN}_long", f"{OURS}_long"
LONGER = 3
TAUGHT, LONG = (OURS, OURS_LONG), (PLAIN_LONG, OURS_LONG)
FEATHERNETS = (OURS, PLAIN, OURS_LONG, PLAIN_LONG)
# In the order of training; the last takes longest, and nobody waits for it.
NETWORKS = (*TEACHERS, PLAIN, OURS, *LONG, "lighter_unet_16")
_OTHERS = tuple(name for name in NETWORKS if name not in FEATHERNETS)
_TEACHER = "papers"
SCREENING_FILE, ABOUT_FILE = "screening.csv", "about.json"
# What the interval of the paired difference in Dice may not fall below.
MARGIN = -0.005
SPLIT_SEED = 1
SHOW = Show(print)


@dataclass(frozen=True)
class Scale:
    """How large the comparison is: `folds`, or None for one split in 7 : 1 : 2."""

    name: str
    settings: tuple[str, ...]
    epochs: int
    folds: int | None
    seeds: tuple[int, ...]
    about: str


SCALES = {
    "small": Scale(
        "small",
        ("input_size=128",),
        30,
        None,
        (0, 1, 2),
        "Small: 128x128, 30 epochs, one split in 7 : 1 : 2, three seeds. The full comparison "
        "(256x256, 100 epochs, five folds) has not been run where there is no page full.md.",
    ),
    "medium": Scale(
        "medium",
        (),
        30,
        None,
        (0,),
        "Medium: 256x256, 30 epochs, one split in 7 : 1 : 2, one seed.",
    ),
    "full": Scale("full", (), 100, 5, (0,), "256x256, 100 epochs, five folds, one seed."),
}


def named_recipe(name: str, seed: int, scale: Scale, teachers: Sequence[str] = ()) -> Recipe:
    """The one recipe, for a network of `NETWORKS`; `teachers` are the jobs that teach it."""
    epochs = scale.epochs * (LONGER if name in LONG else 1)
    settings = [f"seed={seed}", *scale.settings, f"epochs={epochs}"]
    if name in TAUGHT:
        # Predictions on plain images are made once and warped with the masks.
        taught = {
            "teachers": [{"name": _TEACHER, "runs": list(teachers)}],
            "weights": [0.7],
            "hard": 0.3,
            "view": "original",
        }
        settings.append(f"distill={json.dumps(taught)}")
    elif name not in FEATHERNETS:
        settings += [f"network={name}", "presence_weight=0"]
    return load_recipe(PLAIN, settings)


def make_jobs(dataset: Dataset, work: Path, scale: Scale) -> dict[str, Job]:
    """Every training by the folder of its results: seeds and folds in turn, teachers first."""
    path = work / f"split-{scale.name}.json"
    if not path.is_file():
        parts: dict[str, Any] = {"folds": scale.folds}
        if scale.folds is None:
            parts = {"fractions": (0.7, 0.1, 0.2)}
        save_split(make_split(dataset, find_duplicates(dataset), seed=SPLIT_SEED, **parts), path)
    jobs = {}
    for seed in scale.seeds:
        for fold in range(scale.folds) if scale.folds else (None,):
            part = f"seed_{seed}" if fold is None else f"fold_{fold}"
            taught_by = tuple(f"{scale.name}/{network}/{part}" for network in TEACHERS)
            for network in NETWORKS:
                name = f"{scale.name}/{network}/{part}"
                recipe = named_recipe(network, seed, scale, taught_by)
                teachers = {_TEACHER: taught_by} if network in TAUGHT else {}
                jobs[name] = Job(name, recipe, dataset.root, LAYOUT, path, fold, teachers)
    return jobs


def run(data: Path, work: Path, scale: Scale, parts: Sequence[str] = ()) -> None:
    """Train and score what is left, of all `parts` or of some, and keep what is finished."""
    work.mkdir(parents=True, exist_ok=True)
    dataset = load_dataset(data, LAYOUT)
    jobs = make_jobs(dataset, work, scale)
    if parts:
        jobs = {name: job for name, job in jobs.items() if name.endswith(tuple(parts))}
    failures = run_grid(list(jobs.values()), work, SHOW)
    for name, job in jobs.items():
        if is_done(job, work) and not (OUT / name / ABOUT_FILE).is_file():
            print(f"scoring {name} as a screener")
            keep(job, dataset, work)
    if failures:
        raise SystemExit("\n".join(f"{each.job}: {each.reason}" for each in failures))


def keep(job: Job, dataset: Dataset, work: Path) -> None:
    """Write the core scores of one job, those at its screening point, and what made them."""
    split, folder = load_split(job.split), OUT / job.name
    folder.mkdir(parents=True, exist_ok=True)
    rows = read_cases_csv(work / job.name / CASES_FILE)
    write_cases_csv([row for row in rows if row.metric in CORE_METRICS], folder / CASES_FILE)
    screened, about = screen(job, dataset, split, work)
    write_cases_csv(screened, folder / SCREENING_FILE)
    write_json(folder / ABOUT_FILE, {"recipe": as_values(job.recipe), "fold": job.fold, **about})


def screen(
    job: Job, dataset: Dataset, split: Split, work: Path
) -> tuple[list[Row], dict[str, Any]]:
    """Areas in the test images at the screening point, which the validation images choose."""
    packed = packed_once(dataset, split, job.recipe, work, SHOW)
    validation = packed.select(subset(split, "validation", job.fold))
    run = load_run(run_folder(work, job.name))
    answer = predict(run.network, validation.images, job.recipe)
    _, scores = choose_operating_point(answer.logits, validation.masks, answer.presence)
    chosen = choose_screening_point(scores)
    segmenter = replace(segmenter_of(run), operating_point=chosen.point)
    found = evaluate(segmenter, grouped(dataset, split), subset(split, "test", job.fold))
    rows = [row for row in found.rows if row.metric in ("area_true", "area_found")]
    return rows, {"split_sha256": split.sha256, "screening": asdict(chosen)}


@dataclass(frozen=True)
class Scored:
    """One network's answers, over all its seeds or folds, of which there are ``trainings``.

    ``dice`` and ``groups`` are of the images with a lesion, Dice the mean over the seeds;
    ``seen`` and ``alarms`` say of each image with and without a lesion in which share of the
    seeds something was found at the screening point.
    """

    dice: Mapping[str, float]
    groups: Mapping[str, str]
    seen: Mapping[str, float]
    alarms: Mapping[str, float]
    trainings: int


def read_scored(folder: Path) -> Scored | None:
    """What `keep` wrote for a network; None where nothing was run."""
    parts = sorted(path.parent for path in folder.glob(f"*/{ABOUT_FILE}"))
    if not parts:
        return None
    dice: dict[str, list[float]] = defaultdict(list)
    found: dict[bool, dict[str, list[float]]] = {True: defaultdict(list), False: defaultdict(list)}
    groups = {}
    for part in parts:
        for case, scores, group in _cases(part / CASES_FILE):
            if scores["area_true"]:
                dice[case].append(scores["dice"])
                groups[case] = group
        for case, scores, _ in _cases(part / SCREENING_FILE):
            found[scores["area_true"] > 0][case].append(float(scores["area_found"] > 0))
    return Scored(_means(dice), groups, _means(found[True]), _means(found[False]), len(parts))


def _cases(path: Path) -> list[tuple[str, dict[str, float], str]]:
    values: dict[str, dict[str, float]] = defaultdict(dict)
    groups = {}
    for row in read_cases_csv(path):
        groups[row.case] = row.group
        if row.value is not None:
            values[row.case][row.metric] = row.value
    return [(case, scores, groups[case]) for case, scores in values.items()]


def _means(values: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {case: fmean(each) for case, each in values.items()}


def compare(scored: Mapping[str, Scored], ours_name: str = OURS) -> dict[str, Any]:
    """Every network beside `ours_name`, which must be among them, on the images that it scored."""
    ours = scored[ours_name]
    others = {name: each for name, each in scored.items() if name != ours_name}
    accuracy = {name: _accuracy(ours, each) for name, each in others.items()}
    alarms = {name: _alarms(ours, each) for name, each in others.items()}
    for versus in (accuracy, alarms):
        adjusted = holm([each["p"] for each in versus.values()])
        for each, p in zip(versus.values(), adjusted, strict=True):
            each["p_holm"] = p
    return {
        name: {
            "trainings": each.trainings,
            "lesions": len(each.dice),
            "dice_lesion": fmean(each.dice.values()),
            "normals": len(each.alarms),
            "sensitivity": fmean(each.seen.values()),
            "false_alarms": fmean(each.alarms.values()),
            "dice_versus": accuracy.get(name),
            "alarms_versus": alarms.get(name),
        }
        for name, each in scored.items()
    }


def _accuracy(ours: Scored, other: Scored) -> dict[str, Any]:
    """FeatherNet's Dice less another's, image by image; groups of images are drawn whole."""
    if ours.dice.keys() != other.dice.keys():
        raise SystemExit("the networks were scored on different images; finish the comparison")
    differences = [ours.dice[case] - other.dice[case] for case in ours.dice]
    groups = [ours.groups[case] for case in ours.dice]
    interval = mean_interval(differences, 0, groups=groups)
    low, high = (interval.low, interval.high) if interval else (None, None)
    return {
        "difference": fmean(differences),
        "low": low,
        "high": high,
        "p": permutation_p(differences, groups=groups),
        "is_not_below_margin": low is not None and low >= MARGIN,
    }


def _alarms(ours: Scored, other: Scored) -> dict[str, Any]:
    """False alarms on the same normal images, each judged by most of its seeds."""
    raised, theirs = (
        {case for case, share in each.alarms.items() if share > 0.5} for each in (ours, other)
    )
    gained, lost = len(theirs - raised), len(raised - theirs)
    return {
        "only_theirs": gained,
        "only_ours": lost,
        "p": mcnemar_p(gained, lost) if ours.alarms else None,
    }


def page(compared: Mapping[str, Mapping[str, Any]], scale: Scale) -> str:
    """The comparison as Markdown: `compare`'s answers by what the others stand beside."""
    lines = [
        f"# FeatherNet-S beside four networks on BUSI, {scale.name}",
        "",
        scale.about,
        "Made by `python results/feathernet_comparison.py`. Normal images are part of training,",
        "validation and test; Dice is that of the images with a lesion, the mean over the seeds.",
        f"`{OURS}` learned from the masks and from the mean of "
        f"{', '.join(f'`{name}`' for name in TEACHERS)}.",
        "",
        "False alarms are those at the point that the validation images choose for the fewest of",
        "them at a sensitivity of at least 0.95 there. An image counts once for McNemar's test, by",
        "what most of its seeds say.",
    ]
    same, longer = "The same number of epochs", f"FeatherNet for {LONGER} times as many epochs"
    for ours, title in ((OURS, same), (OURS_LONG, longer)):
        lines += ["", f"## {title}", "", *_tables(compared.get(ours, {}), ours)]
    return "\n".join(lines) + "\n"


def _beside(ours: str) -> tuple[str, ...]:
    """The rows of the tables of `ours`, with itself; they all are tested beside it."""
    return (ours, PLAIN_LONG if ours in LONG else PLAIN, *_OTHERS)


def _tables(compared: Mapping[str, Any], ours: str) -> list[str]:
    """Accuracy and false alarms beside `ours`; networks that were not run are named."""
    rows = _beside(ours)
    return [
        f"| network | trainings | lesions | Dice | `{ours}` less this | p (Holm) "
        "| not below -0.005 |",
        "|---|---:|---:|---:|---|---:|---|",
        *(_accuracy_row(name, compared.get(name)) for name in rows),
        "",
        "| network | sensitivity | normal images | false alarms | only this one's "
        f"| only `{ours}`'s | p (Holm) |",
        "|---|---:|---:|---|---:|---:|---:|",
        *(_alarms_row(name, compared.get(name)) for name in rows),
    ]


def _accuracy_row(name: str, each: Mapping[str, Any] | None) -> str:
    if each is None:
        return f"| `{name}` | not run | | | | | |"
    versus = each["dice_versus"]
    counts = [str(each["trainings"]), str(each["lesions"])]
    cells = [f"`{name}`", *counts, f"{each['dice_lesion']:.3f}"]
    if versus is None:
        return f"| {' | '.join([*cells, '', '', ''])} |"
    low, high = versus["low"], versus["high"]
    around = "" if low is None else f" ({low:+.3f} to {high:+.3f})"
    holds = "yes" if versus["is_not_below_margin"] else "no"
    cells += [f"{versus['difference']:+.3f}{around}", _p(versus["p_holm"]), holds]
    return f"| {' | '.join(cells)} |"


def _alarms_row(name: str, each: Mapping[str, Any] | None) -> str:
    if each is None:
        return f"| `{name}` | not run | | | | | |"
    versus, count = each["alarms_versus"], each["normals"]
    low, high = wilson(round(each["false_alarms"] * count), count)
    cells = [
        f"`{name}`",
        f"{each['sensitivity']:.3f}",
        str(count),
        f"{each['false_alarms']:.3f} ({low:.3f} to {high:.3f})",
    ]
    more = ["", "", ""]
    if versus is not None:
        more = [str(versus["only_theirs"]), str(versus["only_ours"]), _p(versus["p_holm"])]
    return f"| {' | '.join([*cells, *more])} |"


def _p(value: float | None) -> str:
    if value is None:
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def write_pages() -> None:
    """SCALE.md and SCALE.json of every scale in which a taught FeatherNet was run."""
    for scale in SCALES.values():
        read = {name: read_scored(OUT / scale.name / name) for name in NETWORKS}
        scored = {name: each for name, each in read.items() if each is not None}
        compared = {
            ours: compare({name: scored[name] for name in _beside(ours) if name in scored}, ours)
            for ours in TAUGHT
            if ours in scored
        }
        if compared:
            write_json(OUT / f"{scale.name}.json", compared)
            write_text(OUT / f"{scale.name}.md", page(compared, scale))


def main() -> None:
    """Run the comparison where data are given, and write its pages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?", help="the BUSI folder")
    parser.add_argument("--work", type=Path, default=Path("runs/feathernet"))
    parser.add_argument("--scale", choices=SCALES, default="small")
    parser.add_argument(
        "--part", action="append", default=[], help="only this, as seed_0 or alnet/fold_2"
    )
    given = parser.parse_args()
    if given.data:
        run(given.data, given.work, SCALES[given.scale], given.part)
    write_pages()


if __name__ == "__main__":
    main()
