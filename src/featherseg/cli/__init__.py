"""The `featherseg` command: one file a verb, heavy imports inside the verb.

Exit status everywhere: 0 done, 1 done with findings, 2 bad input.
"""

import os
import sys

import typer

from featherseg.cli import (
    benchmark,
    compare,
    crossval,
    data,
    demo,
    distill,
    doctor,
    evaluate,
    export,
    measure,
    networks,
    predict,
    recipes,
    reproduce,
    score,
    summarize,
    train,
    verify,
    zoo,
)
from featherseg.cli.console import stop_bars
from featherseg.errors import FeatherSegError

# Set before any numerical library is loaded: spinning threads make two shared cores several
# times slower than sleeping ones.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

app = typer.Typer(
    name="featherseg",
    help="Small, fast, honestly measured segmentation of medical images.",
    epilog="Start with: featherseg demo --out demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Plain help: it is shown in half the time.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

app.add_typer(data.app, name="data")
app.command()(benchmark.benchmark)
app.command()(compare.compare)
app.command()(crossval.crossval)
app.command()(demo.demo)
app.command()(distill.distill)
app.command()(doctor.doctor)
app.command()(evaluate.evaluate)
app.command()(export.export)
app.command()(measure.measure)
app.command()(networks.networks)
app.command()(predict.predict)
app.command()(recipes.recipes)
app.command()(reproduce.reproduce)
app.command()(score.score)
app.command()(summarize.summarize)
app.command()(train.train)
app.command()(verify.verify)
app.command()(zoo.zoo)


def main() -> None:
    """Run the command line; bad input becomes one line on stderr and status 2."""
    try:
        app()
    except FeatherSegError as error:
        stop_bars()
        print(f"featherseg: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        stop_bars()
        print("featherseg: interrupted", file=sys.stderr)
        sys.exit(130)


__all__ = ["app", "main"]
