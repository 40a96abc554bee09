"""Show the last full run in benchmarks/README.md: the tables and the plot of benchmarks/full.

    python benchmarks/last_run.py

`make benchmark` does the run and calls this. What stands between the markers is made again from
`full/benchmark.json`.
"""

import json
from pathlib import Path

from featherseg.benchmark.table import JSON_FILE, PLOT_FILE, markdown
from featherseg.storage import write_text

HERE = Path(__file__).resolve().parent
README = HERE / "README.md"
FULL = HERE / "full"
START, END = "<!-- last run -->", "<!-- /last run -->"
NONE = "No full run is committed yet."


def last_run() -> str:
    """The tables of the committed run, after its plot if there is one."""
    run = FULL / JSON_FILE
    if not run.is_file():
        return NONE
    tables = markdown(json.loads(run.read_text())).strip()
    picture = f"![Accuracy against latency](full/{PLOT_FILE})\n\n"
    return (picture if (FULL / PLOT_FILE).is_file() else "") + tables


def with_last_run(text: str) -> str:
    """The README's text with the run between its markers."""
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n{last_run()}\n{END}{after}"


def main() -> None:
    """Write the README anew."""
    write_text(README, with_last_run(README.read_text()))


if __name__ == "__main__":
    main()
