"""Train FeatherNet-S and four networks of the papers on BUSI with its normal images, and compare.

All learn by the recipe `feathernet_s` on the same duplicate-safe split; only FeatherNet has a
presence head, and so a weight for it. It is trained in several ways, see `FEATHERNETS`: from the
masks alone; with three of the others, trained on the same seed or fold, whose mean is its
teacher; from weights that simulated images gave it. And each way once more for three times as
many epochs, which take it about the time that `simplified_unet` takes for its own. What is
finished is skipped, what was interrupted goes on:

    python results/feathernet_comparison.py BUSI                # small
    python results/feathernet_comparison.py BUSI --scale full   # for a GPU

With --part seed_0 or --part alnet/fold_2 only that part is run, so that several processes can
share the work; --part simulated makes the simulated images and the weights they give.
Without a folder, the pages are made again from the committed tables of cases.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from feathernet_versus import ABOUT_FILE, SCREENING_FILE, compare, read_scored

from featherseg.case_table import Row, read_cases_csv, write_cases_csv
from featherseg.datasets import Dataset, load_dataset
from featherseg.datasets.phantom import CATALOG, write_phantom
from featherseg.duplicates import find_duplicates
from featherseg.evaluation import evaluate
from featherseg.grid import Job, is_done, run_folder, run_grid
from featherseg.grid.job import packed_once
from featherseg.operating_point import choose_operating_point, choose_screening_point
from featherseg.report.scores import CASES_FILE
from featherseg.splits import Split, grouped, load_split, make_split, save_split, subset
from featherseg.stats import wilson
from featherseg.storage import write_json, write_text
from featherseg.summary.table import CORE_METRICS
from featherseg.train.outcome import predict
from featherseg.train.recipe import Recipe, as_values, load_recipe
from featherseg.train.run import load_run, segmenter_of
from featherseg.train.show import Show

OUT = Path(__file__).resolve().parent / "feathernet"
LAYOUT = "busi"
RECIPE = "feathernet_s"
LONGER = 3
TEACHERS = ("simplified_unet", "alnet", "laednet_s")
_TEACHER, _SIMULATED = "papers", "simulated"
SPLIT_SEED = 1
SHOW = Show(print)


@dataclass(frozen=True)
class Way:
    """How FeatherNet is trained: how many times the epochs of the others, and from what."""

    epochs: int = 1
    is_taught: bool = False
    is_pretrained: bool = False


FEATHERNETS = {
    RECIPE: Way(),
    f"{RECIPE}_taught": Way(is_taught=True),
    f"{RECIPE}_pretrained": Way(is_pretrained=True),
    f"{RECIPE}_long": Way(LONGER),
    f"{RECIPE}_taught_long": Way(LONGER, is_taught=True),
    f"{RECIPE}_pretrained_long": Way(LONGER, is_pretrained=True),
}
OTHERS = (*TEACHERS, "lighter_unet_16")
# In the order of training; the last takes longest, and nobody waits for it.
NETWORKS = (*TEACHERS, *FEATHERNETS, "lighter_unet_16")
_ROWS = (*FEATHERNETS, *OTHERS)


@dataclass(frozen=True)
class Scale:
    """How large the comparison is: `folds`, or None for one split in 7 : 1 : 2.

    `simulated` images are shown `simulated_epochs` times for the weights to begin with.
    """

    name: str
    settings: tuple[str, ...]
    epochs: int
    folds: int | None
    seeds: tuple[int, ...]
    about: str
    simulated: int = 4000
    simulated_epochs: int = 6


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


def named_recipe(
    name: str, seed: int, scale: Scale, teachers: Sequence[str] = (), simulated: str = ""
) -> Recipe:
    """The one recipe, for a network or a way of `FEATHERNETS`.

    `teachers` are the jobs that teach it, `simulated` the run that simulated images made.
    """
    way = FEATHERNETS.get(name, Way())
    settings = [f"seed={seed}", *scale.settings, f"epochs={way.epochs * scale.epochs}"]
    if name not in FEATHERNETS:
        settings += [f"network={name}", "presence_weight=0"]
    if way.is_taught:
        # Predictions on plain images are made once and warped with the masks.
        taught = {
            "teachers": [{"name": _TEACHER, "runs": list(teachers)}],
            "weights": [0.7],
            "hard": 0.3,
            "view": "original",
        }
        settings.append(f"distill={json.dumps(taught)}")
    if way.is_pretrained:
        settings.append(f"initial_weights={simulated}")
    return load_recipe(RECIPE, settings)


def make_jobs(dataset: Dataset, work: Path, scale: Scale) -> dict[str, Job]:
    """Every training by the folder of its results: simulated images, then seeds or folds in turn.

    Within one of these teachers come first.
    """
    path = work / f"split-{scale.name}.json"
    if not path.is_file():
        parts: dict[str, Any] = {"folds": scale.folds}
        if scale.folds is None:
            parts = {"fractions": (0.7, 0.1, 0.2)}
        save_split(make_split(dataset, find_duplicates(dataset), seed=SPLIT_SEED, **parts), path)
    first = simulated_job(work, scale)
    jobs = {first.name: first}
    begin = str(run_folder(work, first.name))
    for seed in scale.seeds:
        for fold in range(scale.folds) if scale.folds else (None,):
            part = f"seed_{seed}" if fold is None else f"fold_{fold}"
            taught_by = tuple(f"{scale.name}/{network}/{part}" for network in TEACHERS)
            for network in NETWORKS:
                name = f"{scale.name}/{network}/{part}"
                recipe = named_recipe(network, seed, scale, taught_by, begin)
                teachers = {_TEACHER: taught_by} if recipe.distill else {}
                jobs[name] = Job(name, recipe, dataset.root, LAYOUT, path, fold, teachers)
    return jobs


def simulated_job(work: Path, scale: Scale) -> Job:
    """FeatherNet on the images that `simulate` makes."""
    settings = (*scale.settings, f"epochs={scale.simulated_epochs}", "seed=9")
    data, split = work / f"phantoms-{scale.name}", work / f"split-phantoms-{scale.name}.json"
    recipe = load_recipe(RECIPE, settings)
    return Job(f"{scale.name}/{_SIMULATED}", recipe, data, "phantom", split)


def simulate(job: Job, count: int) -> None:
    """Make the images and the split of `simulated_job`, unless they stand there."""
    if not (job.data / CATALOG).is_file():
        write_phantom(
            job.data,
            count,
            seed=7,
            size=job.recipe.input_size,
            marks=0.3,
            progress=lambda cases: SHOW.track(cases, "simulating"),
        )
    if not job.split.is_file():
        dataset, fractions = load_dataset(job.data, job.layout), (0.94, 0.05, 0.01)
        found = find_duplicates(dataset)
        save_split(make_split(dataset, found, seed=SPLIT_SEED, fractions=fractions), job.split)


def run(data: Path, work: Path, scale: Scale, parts: Sequence[str] = ()) -> None:
    """Train and score what is left, of all `parts` or of some, and keep what is finished."""
    work.mkdir(parents=True, exist_ok=True)
    dataset = load_dataset(data, LAYOUT)
    jobs = make_jobs(dataset, work, scale)
    if parts:
        jobs = {name: job for name, job in jobs.items() if name.endswith(tuple(parts))}
    first = jobs.get(f"{scale.name}/{_SIMULATED}")
    if first is not None and not is_done(first, work):
        simulate(first, scale.simulated)
    failures = run_grid(list(jobs.values()), work, SHOW)
    for name, job in jobs.items():
        if job.layout == LAYOUT and is_done(job, work) and not (OUT / name / ABOUT_FILE).is_file():
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


def page(compared: Mapping[str, Any], scale: Scale) -> str:
    """The comparison as Markdown; networks that were not run are named."""
    networks, versus = compared["networks"], compared["versus"]
    teachers = ", ".join(f"`{name}`" for name in TEACHERS)
    columns = "".join(f" less `{name}` (p) |" for name in OTHERS)
    alarm_columns = "".join(f" beside `{name}` (p) |" for name in OTHERS)
    lines = [
        f"# FeatherNet-S beside four networks on BUSI, {scale.name}",
        "",
        scale.about,
        "Made by `python results/feathernet_comparison.py`. Normal images are part of training,",
        "validation and test; Dice is that of the images with a lesion, the mean over the seeds.",
        "Differences have their 95 % interval, p values Holm's correction for the others of a row;",
        "**bold** where the interval does not fall below -0.005.",
        "",
        f"`_taught`: by the masks and by the mean of {teachers}.",
        f"`_pretrained`: begun with {scale.simulated_epochs} epochs of {scale.simulated} simulated "
        "images.",
        f"`_long`: {LONGER} times as many epochs as all others.",
        "",
        f"| network | epochs | trainings | lesions | Dice |{columns}",
        f"|---|---:|---:|---:|---:|{'---|' * len(OTHERS)}",
        *(_accuracy_row(name, networks, versus.get(name, {}), scale) for name in _ROWS),
        "",
        "At the point that the validation images choose for the fewest false alarms at a",
        "sensitivity of at least 0.95 there. The last columns count the normal images on which",
        "only the other raises a false alarm, and only FeatherNet does, by what most of the seeds",
        "say; McNemar's test.",
        "",
        f"| network | sensitivity | normal images | false alarms |{alarm_columns}",
        f"|---|---:|---:|---|{'---|' * len(OTHERS)}",
        *(_alarms_row(name, networks, versus.get(name, {})) for name in _ROWS),
    ]
    return "\n".join(lines) + "\n"


def _accuracy_row(
    name: str, networks: Mapping[str, Any], versus: Mapping[str, Any], scale: Scale
) -> str:
    epochs = scale.epochs * FEATHERNETS.get(name, Way()).epochs
    cells = [f"`{name}`", str(epochs), "not run", "", ""]
    if name in networks:
        each = networks[name]
        figures = (str(each["trainings"]), str(each["lesions"]), f"{each['dice_lesion']:.3f}")
        cells = [*cells[:2], *figures]
    return f"| {' | '.join([*cells, *(_difference(versus.get(other)) for other in OTHERS)])} |"


def _difference(versus: Mapping[str, Any] | None) -> str:
    if versus is None:
        return ""
    dice = versus["dice"]
    low, high = dice["low"], dice["high"]
    around = "" if low is None else f" ({low:+.3f} to {high:+.3f})"
    value = f"{dice['difference']:+.3f}{around}"
    return f"{f'**{value}**' if dice['is_not_below_margin'] else value}, {_p(dice['p_holm'])}"


def _alarms_row(name: str, networks: Mapping[str, Any], versus: Mapping[str, Any]) -> str:
    cells = [f"`{name}`", "not run", "", ""]
    if name in networks:
        each = networks[name]
        count = each["normals"]
        low, high = wilson(round(each["false_alarms"] * count), count)
        found = f"{each['false_alarms']:.3f} ({low:.3f} to {high:.3f})"
        cells = [cells[0], f"{each['sensitivity']:.3f}", str(count), found]
    return f"| {' | '.join([*cells, *(_alone(versus.get(other)) for other in OTHERS)])} |"


def _alone(versus: Mapping[str, Any] | None) -> str:
    if versus is None:
        return ""
    alarms = versus["alarms"]
    return f"{alarms['only_theirs']} : {alarms['only_ours']}, {_p(alarms['p_holm'])}"


def _p(value: float | None) -> str:
    if value is None:
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def write_pages() -> None:
    """SCALE.md and SCALE.json of every scale in which a FeatherNet was run."""
    for scale in SCALES.values():
        read = {name: read_scored(OUT / scale.name / name) for name in NETWORKS}
        compared = compare(
            {name: each for name, each in read.items() if each is not None}, FEATHERNETS
        )
        if compared["versus"]:
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
