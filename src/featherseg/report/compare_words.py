"""What the page and the terminal both say about a comparison."""

from featherseg.compare import MetricComparison, PresenceComparison, Standing, Versus
from featherseg.summary import AVERAGES

NONE = "–"
_SMALLEST_P = 0.001
_TITLES = {
    "dice": "Dice",
    "iou": "IoU",
    "iou_mean": "IoU, mean with the background",
    "hd": "Hausdorff distance",
    "hd95": "HD95",
    "hd95_pooled": "HD95, pooled",
    "assd": "ASSD",
    "nsd": "NSD",
    "boundary_iou": "Boundary IoU",
    "auc": "AUC of pixels",
    "kaggle_dice": "Kaggle Dice",
    "isic_jaccard": "ISIC Jaccard",
}


def metric_title(metric: MetricComparison) -> str:
    """The metric's name for people, with its unit: `HD95 (px)`."""
    key = metric.name if metric.name in AVERAGES else metric.name.rpartition("_")[0]
    name = AVERAGES[key].metric
    title = _TITLES.get(name, name.replace("_", " ").capitalize())
    return f"{title} ({metric.unit})" if metric.unit else title


def digits(metric: MetricComparison) -> int:
    """Decimals worth showing."""
    return 1 if metric.unit else 3


def mean_text(standing: Standing, metric: MetricComparison) -> str:
    """A run's own mean, without its interval."""
    return number(standing.own.mean, digits(metric))


def own_interval(standing: Standing, metric: MetricComparison) -> str:
    """The interval of a run's own mean."""
    return span(standing.own.ci_low, standing.own.ci_high, digits(metric))


def difference_text(versus: Versus, metric: MetricComparison) -> str:
    """A mean difference with its sign."""
    if versus.difference is None:
        return NONE
    return f"{versus.difference:+.{digits(metric)}f}"


def difference_interval(versus: Versus, metric: MetricComparison) -> str:
    """The interval of a mean difference, with signs."""
    if versus.low is None or versus.high is None:
        return NONE
    return f"{versus.low:+.{digits(metric)}f} to {versus.high:+.{digits(metric)}f}"


def p_text(p: float | None) -> str:
    """A p value with three decimals, small ones as an upper limit."""
    if p is None:
        return NONE
    return f"< {_SMALLEST_P}" if p < _SMALLEST_P else f"{p:.3f}"


def count_text(each: PresenceComparison) -> str:
    """`81 of 103`, or that there is no such image."""
    return f"{each.right} of {each.n}" if each.n else "no such image"


def changes_text(each: PresenceComparison) -> str:
    """How many images this run has right that the reference has not, and the other way."""
    return NONE if each.gained is None else f"+{each.gained} −{each.lost}"


def number(value: float | None, decimals: int) -> str:
    """A number, or a dash for None."""
    return NONE if value is None else f"{value:.{decimals}f}"


def span(low: float | None, high: float | None, decimals: int = 3) -> str:
    """An interval, or a dash."""
    if low is None or high is None:
        return NONE
    return f"{low:.{decimals}f} to {high:.{decimals}f}"
