"""Write the score tables of results/README.md and README.md from the tables of cases.

Every folder here holds `cases.csv` and the stamp in `summary.json`; all figures are made again
from `cases.csv` and summary.json is written anew. Run it from anywhere:

    python results/make_tables.py
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from featherseg.compress.card import card
from featherseg.storage import write_json, write_text
from featherseg.summary import summarize_cases

RESULTS = Path(__file__).resolve().parent
README = RESULTS.parent / "README.md"
START, END = "<!-- scores -->", "<!-- /scores -->"
HEAD = (
    "| result | network | split | weights | parameters | images | Dice, with a lesion "
    "| Dice, all images | HD95 (px) | sensitivity | specificity |",
    "|---|---|---|---|---|---|---|---|---|---|---|",
)


def summaries() -> dict[str, dict[str, Any]]:
    """The summary of every result, made from its cases.csv, by folder name."""
    return {path.parent.name: summarize_cases(path) for path in sorted(RESULTS.glob("*/cases.csv"))}


def row(name: str, summary: Mapping[str, Any]) -> str:
    """One line of the table."""
    network = summary["model"]["network"]
    presence = summary["presence"]
    cells = (
        f"[{name}](results/{name})",
        network,
        summary["protocol"],
        summary["model"]["weights"],
        f"{card(network)['parameters']:,}",
        f"{summary['n']} ({summary['n_lesion']} with a lesion)",
        interval(summary["dice_lesion"], ("mean", "ci_low", "ci_high")),
        interval(summary["dice_all"], ("mean", "ci_low", "ci_high")),
        interval(summary["hd95"], ("mean", "ci_low", "ci_high"), digits=1),
        interval(presence["sensitivity"], ("value", "low", "high")),
        interval(presence["specificity"], ("value", "low", "high")),
    )
    return f"| {' | '.join(cells)} |"


def interval(entry: Mapping[str, Any], keys: tuple[str, str, str], digits: int = 3) -> str:
    """A value with its 95 % interval."""
    value, low, high = (f"{entry[key]:.{digits}f}" for key in keys)
    return f"{value} ({low} to {high})"


def table() -> str:
    """The Markdown table of all results."""
    return "\n".join((*HEAD, *(row(name, each) for name, each in summaries().items())))


def with_table(text: str) -> str:
    """The README's text with the table between its markers."""
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n{table()}\n{END}{after}"


def main() -> None:
    """Write the summaries and the README's table."""
    for name, summary in summaries().items():
        write_json(RESULTS / name / "summary.json", summary)
    write_text(README, with_table(README.read_text()))


if __name__ == "__main__":
    main()
