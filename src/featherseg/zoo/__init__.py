"""Bundles that come with the package: trained on public images, small, each with its card."""

import difflib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from featherseg.bundle import MANIFEST_FILE
from featherseg.datasets import busi, hc18
from featherseg.errors import BundleError

# How a bundle of the zoo is named where a bundle's folder is expected.
PREFIX = "zoo:"
FOLDER = Path(str(resources.files(__name__)))


@dataclass(frozen=True)
class ZooEntry:
    """A bundle of the zoo: what it finds, and the public images it was trained on.

    ``license`` is that of the images, ``citation`` what to cite for them.
    """

    name: str
    finds: str
    data: str
    license: str
    citation: str

    @property
    def folder(self) -> Path:
        """Where the bundle stands in an installation that has it."""
        return FOLDER / self.name.replace("-", "_")


ZOO: dict[str, ZooEntry] = {
    "fetal-head": ZooEntry(
        name="fetal-head",
        finds="the head in ultrasound of a fetus",
        data="HC18",
        license=hc18.LICENSE,
        citation=hc18.CITATION,
    ),
    "breast-lesion": ZooEntry(
        name="breast-lesion",
        finds="lesions in ultrasound of the breast",
        data="BUSI",
        license="no license text at the source: for research",
        citation=busi.CITATION,
    ),
}


def zoo_bundle(name: str) -> Path:
    """The folder of the bundle `name`; `bundle.load_bundle` loads it.

    Raises BundleError for an unknown name, and where this installation lacks the bundle.
    """
    if name not in ZOO:
        near = difflib.get_close_matches(name.lower(), ZOO, n=1, cutoff=0.4)
        meant = f"; did you mean '{near[0]}'?" if near else ""
        raise BundleError(f"expected a bundle out of {', '.join(ZOO)}, got '{name}'{meant}")
    folder = ZOO[name].folder
    if not is_installed(ZOO[name]):
        raise BundleError(
            f"{folder}: this installation lacks the bundle '{name}'; install featherseg from a "
            "wheel, or name the folder of another bundle"
        )
    return folder


def is_installed(entry: ZooEntry) -> bool:
    """Whether this installation has the bundle."""
    return (entry.folder / MANIFEST_FILE).is_file()


__all__ = ["PREFIX", "ZOO", "ZooEntry", "is_installed", "zoo_bundle"]
