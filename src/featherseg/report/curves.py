"""Training curves as SVG."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from featherseg.report.figures import INK, PALETTE, panels, style, to_svg

_SIZE_INCHES = (9.0, 3.2)

Epoch = Mapping[str, float | None]


def curves_svg(history: Sequence[Epoch]) -> str:
    """Loss and validation Dice over the epochs, side by side.

    Each item may hold `epoch`, `train_loss`, `validation_loss`, `validation_dice` and `lr`;
    a value that is missing or None leaves a gap. The best epoch by Dice is marked. Equal
    histories give equal bytes.
    """
    with style("curves"):
        figure, (loss, dice) = panels(1, 2, _SIZE_INCHES)
        loss.set_title("Loss")
        _line(loss, history, "train_loss", "training", PALETTE[0])
        _line(loss, history, "validation_loss", "validation", PALETTE[1])
        dice.set_title("Validation Dice")
        dice.set_ylim(0, 1)
        _line(dice, history, "validation_dice", "validation", PALETTE[1])
        _mark_best(dice, history)
        for axes in (loss, dice):
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _mark_lr_changes(loss, history)
        if loss.get_legend_handles_labels()[0]:
            loss.legend(loc="upper right")
        return to_svg(figure)


def _points(history: Sequence[Epoch], key: str) -> tuple[list[float], list[float]]:
    """Epochs and values of `key`, NaN where there is none."""
    epochs = [float(item.get("epoch") or 0) for item in history]
    values = [item.get(key) for item in history]
    return epochs, [float("nan") if value is None else float(value) for value in values]


def _line(axes: Axes, history: Sequence[Epoch], key: str, name: str, color: str) -> None:
    if not any(item.get(key) is not None for item in history):
        return
    epochs, values = _points(history, key)
    marker = "o" if len(epochs) <= 30 else None
    axes.plot(epochs, values, color=color, label=name, linewidth=1.6, marker=marker, markersize=3)


def _mark_best(axes: Axes, history: Sequence[Epoch]) -> None:
    scored = [item for item in history if item.get("validation_dice") is not None]
    if not scored:
        return
    best = max(scored, key=lambda item: item["validation_dice"] or 0.0)
    epoch, dice = best.get("epoch") or 0, best["validation_dice"] or 0.0
    axes.plot([epoch], [dice], "o", color=INK, markersize=6, fillstyle="none")
    axes.set_title(f"Validation Dice, best {dice:.3f} at epoch {epoch:g}")


def _mark_lr_changes(axes: Axes, history: Sequence[Epoch]) -> None:
    """A thin line where the learning rate was at least halved in one step (a plateau's cut)."""
    cuts = [
        float(after.get("epoch") or 0)
        for before, after in pairwise(history)
        if 0 < (after.get("lr") or 0) <= 0.5 * (before.get("lr") or 0)
    ]
    for place, epoch in enumerate(cuts):
        name = "learning rate cut" if place == 0 else None
        axes.axvline(epoch, color="#94a3b8", linewidth=0.8, linestyle=":", label=name)
