"""Split files: which cases train, which choose, which are scored; made once, then only read.

What must stay together (a patient's images, and images that show the same picture) stays in one
part, unless a paper's own way of splitting is asked for by name. A file names cases, never paths,
and carries hashes of itself and of the images it was made for.
"""

from featherseg.splits.exclude import excluded_cases
from featherseg.splits.file import (
    SUBSETS,
    Split,
    check_split,
    dropped,
    grouped,
    is_intact,
    load_split,
    parts_of,
    read_split,
    save_split,
    subset,
    with_note,
)
from featherseg.splits.leaks import Leaks, find_leaks
from featherseg.splits.protocols import PROTOCOLS, Protocol, make_paper_split
from featherseg.splits.safe import make_blocks, make_leave_one_out, make_split

__all__ = [
    "PROTOCOLS",
    "SUBSETS",
    "Leaks",
    "Protocol",
    "Split",
    "check_split",
    "dropped",
    "excluded_cases",
    "find_leaks",
    "grouped",
    "is_intact",
    "load_split",
    "make_blocks",
    "make_leave_one_out",
    "make_paper_split",
    "make_split",
    "parts_of",
    "read_split",
    "save_split",
    "subset",
    "with_note",
]
