"""Write results/int8_gates/gates.md from the gates' reports beside it.

A report is what `featherseg export RUN --precision int8 --data BUSI --report FILE` writes, here of
the networks that `feathernet_comparison.py` trained with seed 0:

    python results/int8_gates.py
"""

import json
from pathlib import Path
from typing import Any

from featherseg.storage import write_text

FOLDER = Path(__file__).resolve().parent / "int8_gates"
_HEAD = (
    "| network | ways tried | kept by | layers in floating point | lesions | Dice, f32 "
    "| int8 less f32 | newly missed | false alarms, f32 and int8 |",
    "|---|---:|---|---:|---:|---:|---|---:|---:|",
)


def page() -> str:
    """The last try of every report as a table: the one that passed, if any did."""
    reports = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
    return "\n".join(
        [
            "# Gates of int8",
            "",
            "Made by `python results/int8_gates.py` from the reports in this folder. Each is of",
            "the network that `results/feathernet_comparison.py` trained with seed 0 (BUSI,",
            "128x128, 30 epochs), on its validation images:",
            "",
            "```sh",
            "featherseg export runs/feathernet/small/NETWORK/seed_0/run --out bundle \\",
            "  --precision int8 --data BUSI --report results/int8_gates/NETWORK.json",
            "```",
            "",
            *_HEAD,
            *(_row(name, report) for name, report in reports.items()),
            "",
        ]
    )


def _row(name: str, report: dict[str, Any]) -> str:
    last, count = report["tried"][-1], len(report["tried"])
    change = last["difference"]
    cells = (
        f"`{name}`",
        str(count),
        last["method"] if report["passed"] else "none",
        f"{len(last['kept_layers'])} of {last['layers']}",
        str(last["lesions"]),
        f"{last['dice_float']:.4f}",
        f"{change['mean']:+.4f} ({change['low']:+.4f} to {change['high']:+.4f})",
        str(last["newly_missed"]),
        f"{last['false_alarms_float']} and {last['false_alarms_int8']} "
        f"of {last['images'] - last['lesions']}",
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    write_text(FOLDER / "gates.md", page())
