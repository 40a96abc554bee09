"""`featherseg compare`: runs on the same cases, with intervals and tests."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featherseg.cli.options import OverwriteFolder, ScoresOut

if TYPE_CHECKING:
    from featherseg.compare import Comparison, Run
    from featherseg.report.compare_pictures import FindsMask, GridRow

COMPARISON_FILE = "comparison"


def compare(
    evaluations: Annotated[
        list[Path],
        typer.Argument(help="Folders that evaluate or score wrote.", metavar="EVAL"),
    ],
    out: ScoresOut,
    metric: Annotated[
        str | None,
        typer.Option(
            help="Metrics of the summary, with commas between.",
            metavar="A,B",
            show_default="dice_lesion,dice_all,hd95",
        ),
    ] = None,
    reference: Annotated[
        str | None, typer.Option(help="The run to compare with.", show_default="the first")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="The data set, for pictures.")] = None,
    layout: Annotated[
        str | None, typer.Option(help="How it is arranged; see `featherseg data layouts`.")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="Draw a run's masks with its model.", metavar="NAME=RUN|BUNDLE"),
    ] = None,
    masks: Annotated[
        list[str] | None,
        typer.Option(help="Draw a run's masks from a folder.", metavar="NAME=DIR"),
    ] = None,
    overwrite: OverwriteFolder = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Compare runs case by case: differences, intervals, tests, pictures.

    Writes comparison.csv, comparison.json and comparison.html. Runs are named after their
    folders and must hold the same cases. A run is better or worse than the reference where the
    interval of the mean difference leaves out 0 and the permutation test agrees; else it is a
    tie.

    Pictures need the images (--data, --layout) and, for each run to be shown, its model or a
    folder of its masks.

    Examples:

      featherseg compare unet/scores laednet/scores --out compared

      featherseg compare a b c --metric dice_lesion,nsd --reference b --out d

      featherseg compare a b --data BUSI --layout busi --model a=run --out d
    """
    from featherseg.extras import require

    require("evaluate")
    from featherseg.cli.comparisons import print_comparison
    from featherseg.cli.console import print_json
    from featherseg.cli.files import refuse_occupied
    from featherseg.compare import DEFAULT_METRICS, load_runs
    from featherseg.compare import compare as compare_runs
    from featherseg.compare.files import comparison_csv, comparison_json
    from featherseg.report.compare_page import render_comparison
    from featherseg.storage import write_json, write_text

    refuse_occupied(out, overwrite)
    runs = load_runs(evaluations)
    names = [each.strip() for each in metric.split(",")] if metric else DEFAULT_METRICS
    compared = compare_runs(runs, names, reference)
    grid = _grid(runs, compared, data, layout, model or [], masks or [])
    write_text(out / f"{COMPARISON_FILE}.csv", comparison_csv(compared))
    write_json(out / f"{COMPARISON_FILE}.json", comparison_json(compared))
    page = render_comparison(compared, runs[0].labels, grid)
    write_text(out / f"{COMPARISON_FILE}.html", page)
    if as_json:
        print_json(comparison_json(compared))
    else:
        print_comparison(compared)
        typer.echo(f"comparison.csv, comparison.json and comparison.html are in {out}")


def _grid(
    runs: "tuple[Run, ...]",
    compared: "Comparison",
    data: Path | None,
    layout: str | None,
    models: list[str],
    masks: list[str],
) -> "list[GridRow]":
    """The pictures; none where neither images nor masks are given, DataError for half of it."""
    from featherseg.cli.console import tracked
    from featherseg.datasets import load_dataset
    from featherseg.errors import DataError
    from featherseg.report.compare_pictures import GRID_CASES, picture_grid

    if data is None and layout is None and not models and not masks:
        return []
    if data is None or layout is None or not (models or masks):
        raise DataError(
            "pictures need --data and --layout, and a --model NAME=RUN|BUNDLE or "
            "--masks NAME=DIR for each run to be shown; give all of them or none"
        )
    labels = tuple(runs[0].labels)
    finders = _finders(compared.runs, models, masks, labels)
    in_order = {name: finders[name] for name in compared.runs if name in finders}
    by_name = {run.name: run for run in runs}
    rows = picture_grid(
        [by_name[name] for name in compared.runs], in_order, load_dataset(data, layout)
    )
    return list(tracked(rows, "Drawing", GRID_CASES))


def _finders(
    names: tuple[str, ...], models: list[str], masks: list[str], labels: tuple[str, ...]
) -> "dict[str, FindsMask]":
    """Run -> what gives its mask of a case."""
    from featherseg.errors import DataError

    finders: dict[str, FindsMask] = {}
    for option, given, opened in (
        ("--model", models, _by_model),
        ("--masks", masks, lambda path: _by_files(path, labels)),
    ):
        for text in given:
            name, _, path = text.partition("=")
            if name not in names or not path:
                raise DataError(
                    f"{option} {text}: expected NAME=PATH with NAME out of {', '.join(names)}"
                )
            if name in finders:
                raise DataError(f"{option} {text}: the masks of {name} are given twice")
            finders[name] = opened(Path(path))
    return finders


def _by_model(path: Path) -> "FindsMask":
    from featherseg.cli.models import open_model

    segmenter = open_model(path).segmenter
    return lambda _, image: segmenter(image).mask


def _by_files(folder: Path, labels: tuple[str, ...]) -> "FindsMask":
    from featherseg.datasets.exchange.masks import mask_files, read_mask_files
    from featherseg.errors import DataError
    from featherseg.types import Case, Image, Mask

    files = mask_files(folder)

    def find(case: Case, _: Image) -> Mask:
        paths = files.get(case.id) or files.get(case.image.stem)
        if not paths:
            raise DataError(
                f"{folder}: expected a mask called {case.id} or {case.image.stem}, found none"
            )
        return read_mask_files(paths, labels)

    return find
