"""A program that trains, kills itself with SIGKILL at a chosen moment, and resumes.

``python -m tests.train.killed FOLDER MOMENT...`` where a moment is ``step:N`` (after the N-th
step) or ``rename:N`` (before the N-th file is renamed into its place). Each training is a forked
child, so that torch is imported once. Prints what every run ended with as JSON, the run that
was never killed first.
"""

import hashlib
import itertools
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import lightning_fabric  # noqa: F401  imported once, before the children are forked
import torch
from safetensors import safe_open

from featherseg.train.loop import fit
from featherseg.train.recipe import load_recipe
from featherseg.train.training import Tick
from tests.train.blobs import blob_pack, halves

# Everything that draws random numbers: dropout, every augmentation, the order of the images.
RECIPE = load_recipe(
    "lighter_unet",
    [
        "network=lighter_unet_4",
        "network_options.width=4",
        "input_size=32",
        "batch_size=3",
        "epochs=3",
        "lr=1e-2",
        "schedule={patience: 1, factor: 0.5}",
        "augment.gamma=0.2",
        "augment.contrast=0.2",
        "augment.brightness=0.1",
    ],
)


def train(out: Path, resume: bool, moment: str | None) -> None:
    kind, _, number = (moment or "never:0").partition(":")
    ticks, renames = itertools.count(1), itertools.count(1)
    rename = os.replace

    def tell(tick: Tick) -> None:
        if kind == "step" and next(ticks) == int(number):
            os.kill(os.getpid(), signal.SIGKILL)

    def renaming(source: Any, target: Any) -> None:
        if kind == "rename" and next(renames) == int(number):
            os.kill(os.getpid(), signal.SIGKILL)
        rename(source, target)

    pack = blob_pack(16)
    with mock.patch("os.replace", renaming):
        fit(RECIPE, pack, halves(pack), out, resume=resume, progress=tell)


def in_child(out: Path, resume: bool = False, moment: str | None = None) -> int:
    """Train in a forked child; the signal it died of, or 0."""
    child = os.fork()
    if child == 0:
        try:
            train(out, resume, moment)
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit(f"training failed in {out}")
    return os.WTERMSIG(status)


def outcome(out: Path) -> dict[str, Any]:
    """Everything that must be equal: weights, optimizer, best weights, log without the clock."""
    digest = hashlib.sha256((out / "best.safetensors").read_bytes())
    with safe_open(out / "last.safetensors", framework="np") as file:
        for name in sorted(file.keys()):
            digest.update(name.encode() + file.get_tensor(name).tobytes())
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    run = json.loads((out / "run.json").read_text())
    assert not list(out.glob(".*.tmp"))
    measured = {"seconds", "images_per_s", "peak_memory_mb"}
    clockless = [{key: line[key] for key in line if key not in measured} for line in lines]
    return {"sha256": digest.hexdigest(), "log": clockless, "point": run["operating_point"]}


def main() -> None:
    torch.set_num_threads(1)
    folder, *moments = sys.argv[1:]
    never = Path(folder) / "never"
    in_child(never)
    ends = [outcome(never)]
    for place, moment in enumerate(moments):
        out = Path(folder) / f"run {place}"
        died = in_child(out, moment=moment)
        assert died == signal.SIGKILL, f"{moment}: ended with {died}"
        assert in_child(out, resume=True) == 0
        ends.append(outcome(out))
    print(json.dumps(ends))


if __name__ == "__main__":
    main()
