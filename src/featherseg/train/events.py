"""The log of a training as event files for TensorBoard."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

EVENTS_FOLDER = "tensorboard"
_EVENT_FILES = "events.out.tfevents.*"
_SCALARS = {
    "train_loss": "loss/train",
    "validation_loss": "loss/validation",
    "validation_dice": "dice/validation",
    "lr": "lr",
    "images_per_s": "speed/images_per_s",
    "peak_memory_mb": "speed/peak_memory_mb",
}

Entry = Mapping[str, Any]


@contextmanager
def event_log(out: Path) -> Iterator[Callable[[Entry], None]]:
    """A function that writes an epoch's entry of the log below OUT/tensorboard.

    As log.jsonl, the events are written anew, so that a resumed run has none of a lost epoch:
    tell the history first.
    """
    from torch.utils.tensorboard import SummaryWriter

    folder = out / EVENTS_FOLDER
    for before in folder.glob(_EVENT_FILES):
        before.unlink()
    with SummaryWriter(str(folder)) as writer:

        def record(entry: Entry) -> None:
            for name, tag in _SCALARS.items():
                if name in entry:
                    writer.add_scalar(tag, entry[name], entry["epoch"])
            writer.flush()

        yield record
