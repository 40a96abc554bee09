"""Write docs/networks/README.md and the tables of the family pages from the networks' cards.

Everything is counted anew. Run it from anywhere:

    python docs/networks/make_cards.py
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from featherseg.compress.card import card
from featherseg.networks import NETWORKS
from featherseg.networks.published import (
    ALNET,
    LAEDNET,
    LIGHTBTSEG,
    LIGHTER,
    OURS,
    PUBLISHED,
    T2KD,
)
from featherseg.storage import write_text

FOLDER = Path(__file__).resolve().parent
# The page of each paper; LightBTSeg and T2KD are one method.
PAGES = {
    LIGHTER: "lighter-u-net",
    LAEDNET: "laednet",
    ALNET: "al-net",
    LIGHTBTSEG: "lightbtseg",
    T2KD: "lightbtseg",
    OURS: "feathernet",
}
END = "<!-- /table -->"
HEAD = """\
# The networks

Every network is built by name, `featherseg networks NAME` shows one in full, and
`featherseg train RECIPE --set network=NAME` trains it. The table is counted anew by
`python docs/networks/make_cards.py`.

* parameters: trainable, for 3 input channels and 1 output; merged: with the branches of RepVGG
  blocks merged; fused: with batch norms folded as well, which is what is deployed.
* GMACs: 10^9 multiply-accumulates of convolutions and linear layers for one image of the input
  size, branches merged. FLOPs are twice as many.
* status: *exact*, every published digit; *match*, the digits printed, or within 0.1 %; *fit*, the
  text leaves the structure open and ours is the reading whose size comes nearest; *no match*, no
  reading does; *ours*, designed here.
"""


OVERVIEW_HEAD = (
    "| network | parameters | merged | fused | GMACs | status |",
    "|---|---:|---:|---:|---:|---|",
)


def overview(cards: Sequence[Mapping[str, Any]]) -> str:
    """The page that lists all networks, by paper."""
    parts = [HEAD]
    for paper in dict.fromkeys(each["paper"] for each in cards):
        size = next(each["input_size"] for each in cards if each["paper"] == paper)
        parts += [
            f"\n## [{paper}]({PAGES[paper]}.md), input {'x'.join(map(str, size))}\n",
            *OVERVIEW_HEAD,
        ]
        parts += [_overview_row(each) for each in cards if each["paper"] == paper]
    return "\n".join(parts) + "\n"


def _overview_row(each: Mapping[str, Any]) -> str:
    counts = [f"{each[key]:,}" for key in ("parameters", "reparameterized", "fused")]
    cells = (f"`{each['name']}`", *counts, f"{each['gmacs']:.3f}", each["status"])
    return f"| {' | '.join(cells)} |"


def comparison(cards: Sequence[Mapping[str, Any]], page: str) -> str:
    """What the papers of a page print of each network, beside ours.

    Our own networks are in no table: their sizes stand alone.
    """
    if page == PAGES[OURS]:
        ours = [_overview_row(each) for each in cards if each["paper"] == OURS]
        return "\n".join((*OVERVIEW_HEAD, *ours))
    lines = [
        "| network | where | published | ours, counted alike | difference | GFLOPs, published | "
        "GMACs | status |",
        "|---|---|---:|---:|---:|---:|---:|---|",
    ]
    notes = []
    for each in cards:
        facts = zip(PUBLISHED[each["name"]].published, each["published"], strict=True)
        rows = [
            _comparison_row(each, row, each[published.counted])
            for published, row in facts
            if PAGES[published.paper] == page
        ]
        lines += rows
        if each["note"] and (rows or PAGES[each["paper"]] == page):
            notes.append(f"* `{each['name']}`: {each['note']}")
    return "\n".join([*lines, "", *notes])


def _comparison_row(each: Mapping[str, Any], row: Mapping[str, Any], ours: int) -> str:
    cells = (
        f"`{each['name']}`",
        f"{row['paper']}, {row['table']}",
        f"{row['parameters']:,}",
        f"{ours:,}",
        f"{round(row['difference_percent'], 2) + 0.0:+.2f} %",
        "" if row["gflops"] is None else f"{row['gflops']:g}",
        f"{each['gmacs']:.3f}",
        each["status"],
    )
    return f"| {' | '.join(cells)} |"


def with_table(text: str, page: str, table: str) -> str:
    """A family page's text with the table between its markers."""
    start = f"<!-- table: {page} -->"
    before, found, rest = text.partition(start)
    if not found or END not in rest:
        raise ValueError(f"{page}.md: expected the markers {start} and {END}")
    return f"{before}{start}\n{table}\n{END}{rest.partition(END)[2]}"


def pages() -> dict[Path, str]:
    """Every page of this folder as it should be."""
    cards = [card(name) for name in NETWORKS]
    written = {FOLDER / "README.md": overview(cards)}
    for page in dict.fromkeys(PAGES.values()):
        path = FOLDER / f"{page}.md"
        written[path] = with_table(path.read_text(), page, comparison(cards, page))
    return written


def main() -> None:
    """Write the pages."""
    for path, text in pages().items():
        write_text(path, text)


if __name__ == "__main__":
    main()
