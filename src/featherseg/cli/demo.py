"""`featherseg demo`: the whole way once, on simulated images."""

from pathlib import Path
from typing import Annotated

import typer


def demo(
    out: Annotated[Path, typer.Option(help="Everything goes below this folder.")] = Path("demo"),
    cases: Annotated[int, typer.Option(help="How many images to simulate.")] = 240,
    seed: Annotated[int, typer.Option(help="Another seed simulates other images.")] = 0,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one setting of the recipe."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier demo in --out.")
    ] = False,
) -> None:
    """Go the whole way once, on simulated ultrasound.

    Simulates, trains, scores and deploys a small network in a few minutes on two cores. Writes
    report.html (open it in a browser), summary.json, and the data, run, scores and bundle.

    Example: featherseg demo --out demo
    """
    from featherseg.extras import require

    require("train", "evaluate", "export")
    from featherseg.cli.console import output
    from featherseg.cli.show import terminal_show
    from featherseg.demo import prepare_folder, run_demo

    prepare_folder(out, overwrite)
    report = run_demo(out, settings or [], cases, seed, terminal_show(style="bold"))
    output().print(f"bundle: {out / 'bundle'}", markup=False, soft_wrap=True)
    output().print(f"report: {report}", markup=False, soft_wrap=True)
