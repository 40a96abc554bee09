"""`featherseg data split`: a split file, safe by default, or as a paper made it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featherseg.cli.layouts import LayoutName
from featherseg.errors import DataError, StorageError

if TYPE_CHECKING:
    from featherseg.datasets import Dataset
    from featherseg.duplicates import Duplicates
    from featherseg.splits import Split

# A file for each repeat; more are a slip of the keyboard.
_MOST_REPEATS = 100
# More folds are counted, not listed.
_LISTED_PARTS = 10


class ProtocolName(StrEnum):
    """Who says how to split."""

    safe = "safe"
    laednet = "laednet"
    alnet = "alnet"
    lighter = "lighter"
    lightbtseg = "lightbtseg"


class Alike(StrEnum):
    """Which images count as duplicates."""

    pictures = "pictures"
    pixels = "pixels"


@dataclass(frozen=True)
class _Way:
    """How to deal the cases, as the options have it."""

    protocol: ProtocolName
    fractions: tuple[float, float, float] | None
    folds: int | None
    leave_one_out: bool
    blocks: int | None
    gap: int
    seed: int
    repeats: int


def split(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The data set's folder.")],
    layout: LayoutName,
    out: Annotated[Path, typer.Option(help="The split file to write.")],
    fractions: Annotated[
        tuple[float, float, float] | None,
        typer.Option(help="Shares of train, validation and test.", metavar="TRAIN VAL TEST"),
    ] = None,
    folds: Annotated[int | None, typer.Option(help="Deal into this many folds instead.")] = None,
    leave_one_out: Annotated[
        bool, typer.Option("--leave-one-out", help="As many folds as groups, for small sets.")
    ] = False,
    blocks: Annotated[
        int | None, typer.Option(help="Cut the natural order into this many folds, for stacks.")
    ] = None,
    gap: Annotated[
        int, typer.Option(help="Leave out this many neighbors beside held-out blocks.")
    ] = 0,
    protocol: Annotated[
        ProtocolName, typer.Option(help="safe, or as a paper split: leaky, for comparison.")
    ] = ProtocolName.safe,
    seed: Annotated[int, typer.Option(help="Another seed deals another split.")] = 0,
    repeats: Annotated[
        int, typer.Option(help="Write so many splits: OUT-1.json, OUT-2.json ...")
    ] = 1,
    alike: Annotated[
        Alike,
        typer.Option("--duplicates", help="Keep together the same pictures, or only equal pixels."),
    ] = Alike.pictures,
    exclude: Annotated[
        list[str] | None, typer.Option(help="Leave out a class, such as normal; may be repeated.")
    ] = None,
    exclude_file: Annotated[
        Path | None, typer.Option(help="Leave out the cases listed here: `ID # reason` a line.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what stands at --out.")
    ] = False,
) -> None:
    """Deal the cases so that no duplicate and no group crosses, classes evenly.

    Choose one of --fractions, --folds, --leave-one-out and --blocks. `--protocol NAME` splits as
    that paper did instead, image by image: duplicates cross, and every score is stamped with it.
    `--duplicates pixels` is for images that all look alike, such as those of the retina.

    Examples:

      featherseg data split BUSI --layout busi --fractions .7 .1 .2 --seed 0 --out split.json

      featherseg data split BUSI --layout busi --protocol laednet --out leaky.json

      featherseg data split STARE --layout stare --leave-one-out --duplicates pixels --out loo.json

      featherseg data split ISBI2012 --layout isbi2012 --blocks 5 --gap 1 --out blocks.json
    """
    from featherseg.cli.console import tracked
    from featherseg.datasets import load_dataset
    from featherseg.duplicates import Duplicates, find_duplicates
    from featherseg.splits import excluded_cases, save_split, with_note

    way = _Way(protocol, fractions, folds, leave_one_out, blocks, gap, seed, repeats)
    _check(way)
    paths = _paths(out, repeats)
    for path in paths:
        _refuse(path, overwrite)
    dataset = load_dataset(folder, layout)
    excluded = excluded_cases(dataset, exclude or (), exclude_file)
    duplicates = find_duplicates(dataset, lambda cases: tracked(cases, "comparing"))
    if alike is Alike.pixels:
        duplicates = Duplicates(duplicates.exact, (), duplicates.exact)
    made = list(_splits(way, dataset, duplicates, excluded))
    if alike is Alike.pixels:
        made = [with_note(each, "duplicates: only images of equal pixels") for each in made]
    for path, each in zip(paths, made, strict=True):
        save_split(each, path)
        _tell(path, each, dataset, duplicates)


def _check(way: _Way) -> None:
    chosen = {
        "--fractions": way.fractions is not None,
        "--folds": way.folds is not None,
        "--leave-one-out": way.leave_one_out,
        "--blocks": way.blocks is not None,
    }
    given = [name for name, is_given in chosen.items() if is_given]
    if way.protocol is not ProtocolName.safe and given:
        raise DataError(
            f"--protocol {way.protocol.value} has the paper's own shares, got {' and '.join(given)}"
            "; leave that out"
        )
    if way.protocol is ProtocolName.safe and len(given) != 1:
        raise DataError(
            f"expected one of {', '.join(chosen)}, got {' and '.join(given) or 'none of them'}"
        )
    if way.gap and way.blocks is None:
        raise DataError("--gap is for --blocks; leave it out or cut into blocks")
    if not 1 <= way.repeats <= _MOST_REPEATS:
        raise DataError(f"expected 1 to {_MOST_REPEATS} repeats, got {way.repeats}")
    if way.repeats > 1 and (way.leave_one_out or way.blocks is not None):
        raise DataError("--repeats: nothing is drawn in --leave-one-out and --blocks; leave it out")


def _paths(out: Path, repeats: int) -> list[Path]:
    if repeats == 1:
        return [out]
    return [out.with_name(f"{out.stem}-{number + 1}{out.suffix}") for number in range(repeats)]


def _refuse(out: Path, overwrite: bool) -> None:
    if out.is_dir():
        raise DataError(f"{out}: expected a file's name after --out, got a folder")
    if out.exists() and not overwrite:
        raise StorageError(f"{out} exists; choose another name or give --overwrite")


def _splits(
    way: _Way, dataset: "Dataset", duplicates: "Duplicates", excluded: Mapping[str, str]
) -> Iterator["Split"]:
    from featherseg.splits import make_blocks, make_leave_one_out, make_paper_split, make_split

    if way.leave_one_out:
        yield make_leave_one_out(dataset, duplicates, excluded)
        return
    if way.blocks is not None:
        yield make_blocks(dataset, duplicates, way.blocks, way.gap, excluded)
        return
    for repeat in range(way.repeats):
        if way.protocol is ProtocolName.safe:
            yield make_split(
                dataset,
                duplicates,
                fractions=way.fractions,
                folds=way.folds,
                seed=way.seed + repeat,
                excluded=excluded,
            )
        else:
            # LAEDNet exchanges training and validation and keeps the test images.
            exchanges = way.protocol is ProtocolName.laednet
            yield make_paper_split(
                dataset,
                duplicates,
                way.protocol.value,
                seed=way.seed if exchanges else way.seed + repeat,
                exchange=repeat if exchanges else 0,
                excluded=excluded,
            )


def _tell(path: Path, made: "Split", dataset: "Dataset", duplicates: "Duplicates") -> None:
    from featherseg.cli.console import output, remarks
    from featherseg.splits import find_leaks, parts_of

    sizes = {name: len(ids) for name, ids in parts_of(made).items()}
    counts = ", ".join(f"{name} {size}" for name, size in sizes.items())
    if len(sizes) > _LISTED_PARTS:
        counts = f"{len(sizes)} folds of {min(sizes.values())} to {max(sizes.values())}"
    out = f"; {len(made.excluded)} excluded" if made.excluded else ""
    leaks = find_leaks(made, dataset, duplicates)
    together = "" if leaks else f"; {leaks.duplicate_groups} groups of duplicates kept together"
    _say = output().print
    _say(f"{path}: {counts}{out}{together}", markup=False, soft_wrap=True)
    for note in made.notes or ():
        _say(f"  {note}", markup=False, soft_wrap=True)
    if leaks:
        tested = "" if leaks.tested is None else f"; {leaks.tested} test images are concerned"
        remarks().print(
            f"leaky: {leaks.duplicates} of {leaks.duplicate_groups} groups of duplicates and "
            f"{leaks.groups} of {leaks.all_groups} groups of cases cross (protocol "
            f"{made.protocol}){tested}; scores on it are too high. `featherseg data audit "
            "--split` lists them",
            style="yellow",
            markup=False,
            soft_wrap=True,
        )
