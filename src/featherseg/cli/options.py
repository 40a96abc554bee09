"""Options that several verbs have, declared once."""

from pathlib import Path
from typing import Annotated

import typer

ScoresOut = Annotated[Path, typer.Option(help="Folder for the three files.")]
OverwriteFolder = Annotated[
    bool, typer.Option("--overwrite", help="Write into a folder that holds files.")
]
SummaryAsJson = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]
NsdToleranceMm = Annotated[
    float | None,
    typer.Option(help="Tolerance of NSD where the spacing is known; else 2 pixels.", min=0.0),
]
