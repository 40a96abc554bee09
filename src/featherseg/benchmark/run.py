"""One interleaved run: prepare everything, let all take turns, start processes, describe."""

import contextlib
import tempfile
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import cv2
import torch

from featherseg.benchmark.accuracy import Accuracy, accuracy_of
from featherseg.benchmark.contenders import Contender, Ways, contenders, kinds_of_work
from featherseg.benchmark.content import (
    Measured,
    describe_machine,
    describe_peaks,
    describe_subject,
)
from featherseg.benchmark.frames import Frame, simulated_frame
from featherseg.benchmark.load import foreign_share, load_now
from featherseg.benchmark.peak import WIDTH, best_rates, peaks
from featherseg.benchmark.peers import PEERS, require_peers
from featherseg.benchmark.starts import Start, median_start, start_contender
from featherseg.benchmark.subjects import Subject, check_names, open_peer, open_subject
from featherseg.benchmark.timing import Call, take_turns
from featherseg.errors import FeatherSegError
from featherseg.runtime.cpu import available_cores, capabilities
from featherseg.storage import write_bytes

SCHEMA = "featherseg.benchmark/1"

# Shows a bar named by the second argument while the items of the first are taken.
Show = Callable[[Iterable[Any], str], Iterable[Any]]
Opener = Callable[[str, int, Path], Subject]
Opened = tuple[Subject, list[Contender]]


@dataclass(frozen=True)
class Settings:
    """How a run is made.

    Networks and peers take inputs of `size` x `size`, bundles those of their own size. All
    runtimes use ``threads`` threads. ``starts`` new processes are started for each way of
    running a bundle, 0 leaves that out. ``peak_width`` is that of the convolutions that show
    the machine's peak. The rest is as in `contenders.Ways`.
    """

    size: int = 512
    threads: int = 0
    rounds: int = 30
    starts: int = 3
    int8: bool = False
    bf16: bool = False
    peers: bool = False
    peak_width: int = WIDTH

    @property
    def ways(self) -> Ways:
        """Which ways of running are wanted; 0 threads are as many as there are cores."""
        return Ways(self.threads or available_cores(), self.int8, self.bf16)


class _Key(NamedTuple):
    """What takes turns: the network, the frame or the start of a contender of a subject."""

    what: Literal["network", "frame", "video frame", "start"]
    subject: int
    contender: int


def run_benchmark(
    names: Sequence[str],
    settings: Settings,
    accuracies: Sequence[Accuracy] = (),
    show: Show = lambda items, _: items,
) -> dict[str, Any]:
    """Compare networks, bundles and, if asked for, peers; gives the content of benchmark.json.

    Raises RecipeError for an unknown name, and FeatherSegError where peers are not installed,
    a size does not fit, bf16 is asked for on a processor without it, or nothing is named.
    """
    _check(names, settings)
    ways = settings.ways
    with tempfile.TemporaryDirectory(prefix="featherseg-") as scratch, _limited(ways.threads):
        folder, frame = Path(scratch), simulated_frame()
        opened = list(_opened(names, settings, folder, frame, show))
        limits = list(peaks(_precisions(opened), ways.threads, folder, width=settings.peak_width))
        before = load_now()
        times = take_turns(
            {**_calls(opened), **{limit: limit.run for limit in limits}},
            show(range(settings.rounds), "Taking turns"),
        )
        begun = _starts(opened, settings, _picture(frame, folder), show)
        foreign = foreign_share(before, load_now())
        kinds = _kinds(opened, ways.threads, show)
        rates = best_rates({limit: times[limit] for limit in limits})
        subjects = []
        for place, (subject, found) in enumerate(opened):
            measured = [
                Measured(
                    each,
                    times[_Key("network", place, index)],
                    times.get(_Key("frame", place, index)),
                    times.get(_Key("video frame", place, index)),
                    begun.get(_Key("start", place, index)),
                    kinds[_Key("network", place, index)],
                )
                for index, each in enumerate(found)
            ]
            accuracy = accuracy_of(accuracies, subject)
            subjects.append(describe_subject(subject, measured, rates, accuracy))
    return {
        "schema": SCHEMA,
        **describe_machine(),
        "settings": {**asdict(settings), "threads": ways.threads},
        "foreign_share": foreign,
        "peaks": describe_peaks(rates),
        "subjects": subjects,
    }


def _check(names: Sequence[str], settings: Settings) -> None:
    if settings.peers:
        require_peers(settings.size)
    check_names(names, settings.size)
    if not names and not settings.peers:
        raise FeatherSegError(
            "expected networks of `featherseg networks`, folders of bundles or --peers, got "
            "nothing to compare; --results takes the networks that have a result"
        )
    cpu = capabilities()
    if settings.bf16 and not (cpu.amx_bf16 or cpu.avx512_bf16):
        raise FeatherSegError("--bf16: this processor has no bf16 instructions; leave it out")


@contextlib.contextmanager
def _limited(threads: int) -> Iterator[None]:
    """Let torch and OpenCV use so many threads; the runtimes are told when they are opened."""
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


def _opened(
    names: Sequence[str], settings: Settings, folder: Path, frame: Frame, show: Show
) -> Iterator[Opened]:
    wanted: list[tuple[str, Opener]] = [(name, open_subject) for name in dict.fromkeys(names)]
    if settings.peers:
        wanted += [(name, open_peer) for name in PEERS]
    for place, (name, opener) in enumerate(show(wanted, "Exporting")):
        own = folder / str(place)
        subject = opener(name, settings.size, own)
        yield subject, list(contenders(subject, settings.ways, frame, own / "int8"))


def _precisions(opened: Sequence[Opened]) -> list[str]:
    return sorted({each.precision for _, found in opened for each in found})


def _calls(opened: Sequence[Opened]) -> dict[Hashable, Call]:
    calls: dict[Hashable, Call] = {}
    for place, (_, found) in enumerate(opened):
        for index, each in enumerate(found):
            calls[_Key("network", place, index)] = each.run
            if each.frame is not None:
                calls[_Key("frame", place, index)] = each.frame
            if each.video_frame is not None:
                calls[_Key("video frame", place, index)] = each.video_frame
    return calls


def _kinds(
    opened: Sequence[Opened], threads: int, show: Show
) -> dict[_Key, dict[str, float] | None]:
    """Where the time of each contender goes."""
    every = {
        _Key("network", place, index): each
        for place, (_, found) in enumerate(opened)
        for index, each in enumerate(found)
    }
    return {key: kinds_of_work(every[key], threads) for key in show(list(every), "Profiling")}


def _picture(frame: Frame, folder: Path) -> Path:
    path = folder / "frame.jpg"
    write_bytes(path, frame.jpeg)
    return path


def _starts(
    opened: Sequence[Opened], settings: Settings, picture: Path, show: Show
) -> dict[_Key, Start]:
    """New processes, all contenders taking turns, after one each that fills the file cache."""
    wanted = {
        _Key("start", place, index): each
        for place, (_, found) in enumerate(opened)
        for index, each in enumerate(found)
        if each.bundle is not None
    }
    turns = [(count, key) for count in range(settings.starts + 1) for key in wanted]
    begun: dict[_Key, list[Start]] = {key: [] for key in wanted}
    for count, key in show(turns if settings.starts else (), "Starting processes"):
        one = start_contender(wanted[key], picture, settings.ways.threads)
        if count:
            begun[key].append(one)
    return {key: median_start(starts) for key, starts in begun.items() if starts}
