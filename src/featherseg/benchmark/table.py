"""benchmark.json as Markdown tables, and as the plot of accuracy against latency."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from featherseg.benchmark.load import BUSY_SHARE
from featherseg.report.latency import Point, latency_svg

JSON_FILE, TABLE_FILE, PLOT_FILE = "benchmark.json", "README.md", "accuracy_latency.svg"
_NETWORKS = (
    *("", "input", "parameters", "GMACs", "fastest", "file (MB)", "p50 (ms)", "times eager"),
    *("frames/s", "video/s", "first mask (s)", "memory (MB)", "score"),
)
_WAYS = (
    *("", "runtime", "precision", "p50 (ms)", "p95 (ms)", "fastest (ms)", "spread"),
    *("times eager", "of peak", "file (MB)", "frames/s", "video/s", "first mask (s)"),
    *("memory (MB)", ""),
)
_REASONS = (
    *("", "fastest in OpenVINO", "parameters", "times eager", "at least 8", "of peak"),
    "where the time goes",
)
# The goal, and for which networks it stands.
_GOAL_TIMES_EAGER, _GOAL_PARAMETERS = 8.0, 12_000_000
_LEAST_SHARE = 0.1
_WORDS = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO", "nnunetv2": "nnU-Net"}
_TEXT_COLUMNS = frozenset(
    {
        *("", "input", "fastest", "runtime", "precision", "score"),
        *("fastest in OpenVINO", "at least 8", "where the time goes"),
    }
)
_ONLY_SPEED = "only speed: calibrated on noise"

Json = Mapping[str, Any]


def markdown(content: Json) -> str:
    """The run in words, and three tables: what was compared, all ways to run it, and reasons."""
    return "\n".join(
        [
            *_about(content),
            "",
            *_table(_NETWORKS, (_network_row(each) for each in content["subjects"])),
            "",
            *_table(
                _WAYS,
                (
                    _way_row(subject, way)
                    for subject in content["subjects"]
                    for way in subject["contenders"]
                ),
            ),
            "",
            f"Where the time goes, in the fastest way of OpenVINO, be it only for speed: kinds of "
            f"operations with at least {_LEAST_SHARE:.0%} of it. Networks of at most "
            f"{_GOAL_PARAMETERS // 10**6} million parameters should be at least "
            f"{_GOAL_TIMES_EAGER:.0f} times as fast as eager torch; where one is not, these are "
            "the reasons.",
            "",
            *_table(_REASONS, (_reason_row(each) for each in content["subjects"])),
            "",
        ]
    )


def fastest(subject: Json) -> Json:
    """The fastest way of running a network that gives its answers, and is no more than that."""
    ways = [
        way
        for way in subject["contenders"]
        if not way["only_speed"] and way["runtime"] != "nnunetv2"
    ]
    return min(ways, key=lambda way: way["latency"]["p50_ms"])


def warnings(content: Json) -> list[str]:
    """What makes a run doubtful."""
    share = content["foreign_share"]
    if share is None or share <= BUSY_SHARE:
        return []
    return [
        f"others used {share:.0%} of the machine during the run: compare ratios only, and repeat "
        "it when the machine is quiet"
    ]


def plot(content: Json) -> str | None:
    """Accuracy against latency, as SVG, of all that have a result; None where nothing has."""
    scored = [each for each in content["subjects"] if each["accuracy"]]
    if not scored:
        return None
    points = []
    for subject in scored:
        way, accuracy = fastest(subject), subject["accuracy"]
        points.append(
            Point(
                subject["name"],
                way["latency"]["p50_ms"],
                accuracy["mean"],
                accuracy["low"],
                accuracy["high"],
                subject["parameters"],
                way["precision"],
            )
        )
    first = scored[0]["accuracy"]
    sizes = " and ".join(sorted({_size(each) for each in scored}))
    return latency_svg(
        points,
        f"{first['metric']}, {first['over']}",
        f"median latency of the network at {sizes}, batch 1 (ms)",
    )


def _about(content: Json) -> list[str]:
    cpu, settings, share = content["cpu"], content["settings"], content["foreign_share"]
    units = ", ".join(name for name, present in cpu.items() if present is True) or "units unknown"
    versions = ", ".join(f"{name} {version}" for name, version in content["versions"].items())
    peaks = ", ".join(
        f"{precision} {peak['gflops']:,.0f} ({peak['by']})"
        for precision, peak in content["peaks"].items()
    )
    return [
        f"{content['date']}: {cpu['model']}, {cpu['cores']} cores ({units}), "
        f"{settings['threads']} threads, {settings['rounds']} rounds in turn. "
        + ("" if share is None else f"Others used {share:.0%} of the machine."),
        *(f"\n**{warning}.**" for warning in warnings(content)),
        "",
        f"Peak of this machine in the same run, 10^9 operations a second: {peaks}.",
        "",
        f"{versions}; Python {content['python']}; {content['system']}.",
    ]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [
        f"| {' | '.join(head)} |",
        "|" + "|".join("---" if name in _TEXT_COLUMNS else "--:" for name in head) + "|",
    ]
    return lines + [f"| {' | '.join(row)} |" for row in rows]


def _network_row(subject: Json) -> tuple[str, ...]:
    way = fastest(subject)
    return (
        f"`{subject['name']}`",
        _size(subject),
        f"{subject['parameters']:,}",
        _number(subject["gmacs"], 2),
        f"{_words(way['runtime'])} {way['precision']}",
        _number(way["file_mb"], 1),
        _number(way["latency"]["p50_ms"], 1),
        _number(way["times_eager"], 1),
        *_whole_way(way),
        _score(subject["accuracy"]),
    )


def _way_row(subject: Json, way: Json) -> tuple[str, ...]:
    latency, share = way["latency"], way["peak_share"]
    return (
        f"`{subject['name']}`",
        _words(way["runtime"]),
        way["precision"],
        *(_number(latency[key], 1) for key in ("p50_ms", "p95_ms", "fastest_ms")),
        f"{latency['spread']:.0%}",
        _number(way["times_eager"], 1),
        "" if share is None else f"{share:.0%}",
        _number(way["file_mb"], 1),
        *_whole_way(way),
        _ONLY_SPEED if way["only_speed"] else way["note"],
    )


def _reason_row(subject: Json) -> tuple[str, ...]:
    """What holds a network back, beside how far it got."""
    ways = [way for way in subject["contenders"] if way["runtime"] == "openvino"]
    way = min(ways, key=lambda way: way["latency"]["p50_ms"])
    eager, share = way["times_eager"], way["peak_share"]
    is_meant = eager is not None and subject["parameters"] <= _GOAL_PARAMETERS
    largest = sorted((way["kinds"] or {}).items(), key=lambda entry: -entry[1])
    return (
        f"`{subject['name']}`",
        way["precision"] + (", only speed" if way["only_speed"] else ""),
        f"{subject['parameters']:,}",
        _number(eager, 1),
        ("yes" if eager >= _GOAL_TIMES_EAGER else "no") if is_meant else "",
        "" if share is None else f"{share:.0%}",
        ", ".join(f"{kind} {part:.0%}" for kind, part in largest if part >= _LEAST_SHARE),
    )


def _whole_way(way: Json) -> tuple[str, str, str, str]:
    """Frames a second of both kinds, seconds to a new process's first mask, and its memory."""
    frame, video_frame, start = way["frame"], way["video_frame"], way["start"]
    return (
        "" if frame is None else _number(frame["per_s"], 1),
        "" if video_frame is None else _number(video_frame["per_s"], 1),
        "" if start is None else _number(start["wall_s"], 2),
        "" if start is None else _number(start["peak_mb"], 0),
    )


def _score(accuracy: Json | None) -> str:
    if accuracy is None:
        return ""
    text = f"{accuracy['mean']:.3f}"
    if accuracy["low"] is not None:
        text += f" ({accuracy['low']:.3f} to {accuracy['high']:.3f})"
    return f"{text} {accuracy['metric']}, {accuracy['result']}"


def _size(subject: Json) -> str:
    return "x".join(str(side) for side in subject["input_size"])


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _words(runtime: str) -> str:
    return _WORDS.get(runtime, runtime)
