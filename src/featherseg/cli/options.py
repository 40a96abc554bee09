"""Options that several verbs have, declared once, and what bundle arguments mean."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Views(StrEnum):
    """Which flips of an image are run beside it, as `runtime.flips.Flips`."""

    horizontal = "horizontal"
    both = "both"


FlipsOfImages = Annotated[
    Views | None,
    typer.Option(help="Average over flips of each image: left-right, or up-down too (slower)."),
]
ScoresOut = Annotated[Path, typer.Option(help="Folder for the three files.")]
OverwriteFolder = Annotated[
    bool, typer.Option("--overwrite", help="Write into a folder that holds files.")
]
SummaryAsJson = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]
BundleFolder = Annotated[
    Path,
    typer.Argument(help="Bundle folder, as `featherseg export` wrote it, or zoo:NAME."),
]
NsdToleranceMm = Annotated[
    float | None,
    typer.Option(help="Tolerance of NSD where the spacing is known; else 2 pixels.", min=0.0),
]


def bundle_folder(argument: str | Path) -> Path:
    """The folder that an argument means: zoo:NAME is that of a bundle of the zoo.

    Raises BundleError for a name that is not in the zoo.
    """
    from featherseg.zoo import PREFIX, zoo_bundle

    text = str(argument)
    return zoo_bundle(text.removeprefix(PREFIX)) if text.startswith(PREFIX) else Path(argument)
