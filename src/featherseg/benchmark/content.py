"""What was measured, as benchmark.json has it."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from featherseg.benchmark.accuracy import Accuracy
from featherseg.benchmark.contenders import Contender
from featherseg.benchmark.peak import Rate, operations_per_s
from featherseg.benchmark.peers import PACKAGES
from featherseg.benchmark.starts import Start
from featherseg.benchmark.subjects import Subject
from featherseg.benchmark.timing import Latency, summarize_times
from featherseg.extras import installed_version
from featherseg.runtime.cpu import capabilities

_PACKAGES = (
    *("featherseg", "torch", "openvino", "onnxruntime", "nncf", "numpy", "opencv-python-headless"),
    *PACKAGES,
)


@dataclass(frozen=True)
class Measured:
    """One contender with the seconds of its calls, of its frames of both kinds, and its start.

    ``kinds`` are the shares of its time by kind of operation, None where they are not known.
    """

    contender: Contender
    seconds: Sequence[float]
    frame_seconds: Sequence[float] | None
    video_frame_seconds: Sequence[float] | None
    start: Start | None
    kinds: Mapping[str, float] | None

    @property
    def latency(self) -> Latency:
        """That of the network alone."""
        return summarize_times(self.seconds)


def describe_machine() -> dict[str, Any]:
    """Today's date, the processor, the system and the versions of what was compared."""
    versions = {name: installed_version(name) for name in _PACKAGES}
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": asdict(capabilities()),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version for name, version in versions.items() if version},
    }


def describe_peaks(rates: Mapping[str, Rate]) -> dict[str, Any]:
    """The machine's highest rate of each precision."""
    return {
        precision: {"gflops": rate.per_s / 1e9, "by": rate.by}
        for precision, rate in sorted(rates.items())
    }


def describe_subject(
    subject: Subject,
    measured: Sequence[Measured],
    rates: Mapping[str, Rate],
    accuracy: Accuracy | None,
) -> dict[str, Any]:
    """One network, bundle or peer, with every way of running it."""
    eager_ms = [each.latency.p50_ms for each in measured if each.contender.is_baseline]
    expected = subject.bundle.preprocessing
    return {
        "name": subject.name,
        "kind": subject.kind,
        "architecture": subject.architecture,
        "input_size": list(expected.input_size),
        "channels": expected.channels,
        "parameters": subject.parameters,
        "gmacs": None if subject.macs is None else subject.macs / 1e9,
        "accuracy": None if accuracy is None else asdict(accuracy),
        "contenders": [
            {
                **_contender(each),
                "times_eager": eager_ms[0] / each.latency.p50_ms if eager_ms else None,
                "peak_share": _peak_share(subject, each, rates),
            }
            for each in measured
        ],
    }


def _contender(measured: Measured) -> dict[str, Any]:
    contender = measured.contender
    return {
        "runtime": contender.runtime,
        "precision": contender.precision,
        "note": contender.note,
        "only_speed": contender.only_speed,
        "file_mb": contender.file_mb,
        "latency": asdict(measured.latency),
        "frame": _frame(measured.frame_seconds),
        "video_frame": _frame(measured.video_frame_seconds),
        "start": None if measured.start is None else asdict(measured.start),
        "kinds": measured.kinds,
    }


def _frame(seconds: Sequence[float] | None) -> dict[str, float] | None:
    if seconds is None:
        return None
    latency = summarize_times(seconds)
    return {**asdict(latency), "per_s": 1e3 / latency.p50_ms}


def _peak_share(subject: Subject, measured: Measured, rates: Mapping[str, Rate]) -> float | None:
    """The network's rate over the machine's; a predictor does more than run its network."""
    if subject.macs is None or measured.contender.is_predictor:
        return None
    reached = operations_per_s(subject.macs, measured.latency.p50_ms / 1e3)
    return reached / rates[measured.contender.precision].per_s
