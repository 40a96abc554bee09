"""From a folder or a pack file to what a training takes: images at the recipe's size, checked."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from featherseg.datasets import load_dataset
from featherseg.datasets.layout import load_json
from featherseg.datasets.pack import Packed, Progress, open_pack, pack
from featherseg.errors import DataError
from featherseg.splits import Split, check_split

if TYPE_CHECKING:
    from featherseg.train.recipe import Recipe


def packed_for(
    recipe: "Recipe", data: Path, layout: str | None, split: Split, progress: Progress = iter
) -> Packed:
    """The images and masks of `data` at the recipe's size, checked against the split.

    `data` is a data set's folder, arranged as `layout` says (None: as the split's), or a pack
    file, which is taken at the size that it has. Raises DataError where the split was made for
    other images, and for images that cannot be used.
    """
    if data.is_file():
        return open_pack_of(data, split)
    dataset = load_dataset(data, layout or split.layout)
    check_split(split, dataset)
    return pack(dataset, recipe.input_size, recipe.in_channels, progress)


def open_pack_of(path: Path, split: Split) -> Packed:
    """The pack in `path`; DataError unless it holds the images that the split was made for."""
    packed = open_pack(path)
    if packed.images_sha256 != split.images_sha256:
        raise DataError(
            f"{path}: the split was made for other images than those of this pack; "
            "pack the data again or make a new split"
        )
    return packed


def provenance_of(split: Split, path: Path, fold: int | None = None) -> dict[str, Any]:
    """What a run keeps of the split file `path` that it was trained with."""
    return {
        "protocol": split.protocol,
        "split_sha256": split.sha256,
        "split": load_json(path),
        "fold": fold,
    }
