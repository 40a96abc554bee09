"""Formats of other tools, one file each: what it takes to write one and to read it again."""

from collections.abc import Callable
from pathlib import Path

from featherseg.datasets.exchange import coco, nifti, nnunet, npz
from featherseg.datasets.exchange.export import Export, Progress, arrange
from featherseg.datasets.exchange.names import remove_export, safe_names
from featherseg.errors import StorageError

# Format -> what writes an export of it into an empty folder.
EXPORTERS: dict[str, Callable[[Export, Path, Progress], None]] = {
    "nnunet": nnunet.write,
    "npz": npz.write,
    "coco": coco.write,
    "nifti": nifti.write,
}


def export_root(to: str, out: Path, name: str, number: int) -> Path:
    """The folder of an export: `out`, for nnU-Net the ``DatasetNNN_NAME`` in it."""
    return out / nnunet.folder_name(number, name) if to == "nnunet" else out


def write_export(to: str, export: Export, root: Path, progress: Progress = iter) -> None:
    """Write `export` in the format `to` into `root`; what an earlier export left there goes.

    Raises StorageError where an image or a mask of the export lies in `root` itself.
    """
    inside = root.resolve()
    for _, case in export.placed:
        for path in (case.image, *case.masks):
            if inside in path.resolve().parents:
                raise StorageError(
                    f"{path} would be replaced by its own export; choose another --out"
                )
    remove_export(root)
    EXPORTERS[to](export, root, progress)


__all__ = ["EXPORTERS", "Export", "arrange", "export_root", "safe_names", "write_export"]
