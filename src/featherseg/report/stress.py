"""The conditions of a stress test as a part of a report: what is worse, a figure, a table."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from featherseg.report.figures import INK, PALETTE, panels, style, to_svg
from featherseg.report.html import Section

_WIDTH_INCHES = 5.4
_HEIGHT_INCHES, _HEIGHT_A_CONDITION_INCHES = 1.0, 0.27
_TIE_COLOR = "#94a3b8"
_VERDICT_COLORS = {"worse": PALETTE[1], "better": PALETTE[2]}

Entry = Mapping[str, Any]


def stress_section(stress: Mapping[str, Any]) -> Section:
    """The section of `stress.summarize_stress`; conditions that concern no image are named."""
    entries: Sequence[Entry] = stress["conditions"]
    shown = [entry for entry in entries if entry["n"]]
    absent = [entry["name"] for entry in entries if not entry["n"]]
    text = [
        "The same images, changed; masks are cropped with them. A change is the mean paired "
        "difference of Dice over images with a lesion, with a 95 % interval that draws whole "
        "groups, not adjusted for the number of conditions. Where it holds 0, the change is a tie.",
        _worst(shown),
    ]
    if absent:
        text.append(f"No image is concerned by: {', '.join(absent)}.")
    drawn = [entry for entry in shown if entry["dice_lesion"]["n"]]
    return Section(
        title="Under stress",
        text=tuple(sentence for sentence in text if sentence),
        table=tuple((entry["name"], _words(entry)) for entry in shown),
        figures=(_figure(drawn),) if drawn else (),
    )


def domain_section(domains: Mapping[str, Any]) -> Section:
    """The section of `stress.compare_domains`."""
    return Section(title="Telling other images apart", text=domain_sentences(domains))


def domain_sentences(domains: Mapping[str, Any]) -> tuple[str, ...]:
    """What `stress.compare_domains` found, for people."""
    n, flagged = domains["n"], domains["flagged"]
    return (
        f"Flagged as unlike the training: {flagged['inside']} of {n['inside']} images of this "
        f"evaluation, {flagged['outside']} of {n['outside']} images of the layout "
        f"{domains['out_of_domain']['layout']}.",
        f"Chance that an image of the other kind is the more doubtful one (AUROC; 0.5 tells "
        f"nothing): by likeness {_auroc_words(domains['likeness'])}, by the model's own "
        f"confidence {_auroc_words(domains['confidence'])}.",
    )


def _auroc_words(auroc: Mapping[str, Any]) -> str:
    if auroc["value"] is None:
        return "not defined"
    if auroc["low"] is None:
        return f"{auroc['value']:.3f}"
    return f"{auroc['value']:.3f} ({auroc['low']:.3f} to {auroc['high']:.3f})"


def change_words(change: Entry) -> str:
    """A paired change in one line: the difference, its interval, and the verdict."""
    if change["difference"] is None:
        return "–"
    words = signed(change["difference"])
    if change["low"] is not None:
        words += f" ({signed(change['low'])} to {signed(change['high'])})"
    return f"{words} {change['verdict']}"


def signed(value: float) -> str:
    """Three decimals with a sign, and never a negative zero."""
    return f"{round(value, 3) + 0.0:+.3f}"


def _words(entry: Entry) -> str:
    lesion = entry["dice_lesion"]
    parts = [f"{entry['n']} images"]
    if lesion["n"]:
        before, after = lesion["before"], lesion["after"]
        parts.append(f"Dice {before:.3f} to {after:.3f}, {change_words(lesion)}")
    parts += [
        f"{name} {change_words(entry[name])}"
        for name in ("sensitivity", "specificity")
        if entry[name]["verdict"] in ("worse", "better")
    ]
    if entry["lesions_lost"]:
        parts.append(f"{entry['lesions_lost']} lesions cut away, left out")
    return "; ".join(parts)


def _worst(entries: Sequence[Entry]) -> str:
    worse = [entry for entry in entries if entry["dice_lesion"]["verdict"] == "worse"]
    if not worse:
        return "No condition makes Dice worse by more than chance can explain."
    last = min(worse, key=lambda entry: entry["dice_lesion"]["difference"])
    return (
        f"{len(worse)} of {len(entries)} conditions make Dice worse, most of all "
        f"{last['name']} ({last['meaning']}): {change_words(last['dice_lesion'])}."
    )


def _figure(entries: Sequence[Entry]) -> str:
    height = _HEIGHT_INCHES + _HEIGHT_A_CONDITION_INCHES * len(entries)
    with style("stress"):
        figure, (axes,) = panels(1, 1, (_WIDTH_INCHES, height))
        axes.set_title("Change of Dice; left is worse")
        for place, entry in enumerate(entries):
            _draw(axes, place, entry["dice_lesion"])
            axes.text(
                *(1.01, place, f"n {entry['dice_lesion']['n']}"),
                transform=axes.get_yaxis_transform(),
                va="center",
            )
        axes.axvline(0, color=INK, linewidth=1, linestyle="--")
        axes.set_yticks(range(len(entries)), [entry["name"] for entry in entries])
        axes.set_ylim(len(entries) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        return to_svg(figure)


def _draw(axes: Axes, place: int, change: Entry) -> None:
    color = _VERDICT_COLORS.get(change["verdict"], _TIE_COLOR)
    if change["low"] is not None:
        axes.plot([change["low"], change["high"]], [place, place], color=color, linewidth=2.5)
    axes.plot([change["difference"]], [place], "D", color="white", markersize=5, mec=color, mew=1.6)
