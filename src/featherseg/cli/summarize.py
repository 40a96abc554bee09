"""`featherseg summarize`: the summary of a table of cases, made again."""

from pathlib import Path
from typing import Annotated

import typer


def summarize(
    cases: Annotated[Path, typer.Argument(help="A cases.csv.", metavar="CASES.csv")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Make a summary again from its table of cases.

    Only the stamp (subset, split, model) is taken from the summary.json beside the table.

    Example: featherseg summarize scores/cases.csv --json
    """
    from featherseg.extras import require

    require("evaluate")
    from featherseg.cli.console import print_json
    from featherseg.cli.scores import print_summary
    from featherseg.summary import summarize_cases

    summary = summarize_cases(cases)
    if as_json:
        print_json(summary)
    else:
        print_summary(summary)
