"""`python -m featherseg`: the command line, also as one of several processes of torchrun.

torchrun's own options come before it: `torchrun --nproc_per_node 2 -m featherseg train ...`.
"""

import contextlib
import io
import os
import sys

from featherseg.cli import main


def run() -> None:
    """Run the command line; of several processes, only the first one prints.

    The others do the same work, and say only what made them fail.
    """
    process = os.environ["RANK"] if "TORCHELASTIC_RUN_ID" in os.environ else "0"
    if process == "0":
        main()
        return
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
            main()
    except SystemExit as end:
        if end.code:
            print(f"[process {process}] {said.getvalue().strip()[-2000:]}", file=sys.stderr)
        raise


if __name__ == "__main__":
    run()
