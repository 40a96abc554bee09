"""Tests as papers print them, for tables that stand beside theirs."""

from collections.abc import Callable, Mapping, Sequence

from featherseg.stats.paired import paired_t_p

LAEDNET_METRICS = ("dice", "iou", "auc")

TTest = Callable[[Sequence[float], Sequence[float]], float | None]


def laednet_p(
    network: Mapping[str, Sequence[float]],
    reference: Mapping[str, Sequence[float]],
    test: TTest = paired_t_p,
) -> float | None:
    """The "p" of LAEDNet's tables: the mean of the t-tests' p values of Dice, IoU and AUC.

    Both arguments hold, for each of `LAEDNET_METRICS`, a value for each run or case in one
    order; the paper's reference is LAEDNet-M. It does not say whether its t-test is paired:
    `test` may also be `welch_t_p`. None where one of the three tests is undefined; ValueError
    for other metrics. A mean of p values is no p value (twice the mean is a safe one: Vovk and
    Wang 2020, doi:10.1093/biomet/asaa027), so use this only beside the paper's table. Zhou et
    al. 2022, LAEDNet, Computers and Electrical Engineering, pii S0045790622000799.
    """
    for values in (network, reference):
        if set(values) != set(LAEDNET_METRICS):
            raise ValueError(
                f"expected values of {', '.join(LAEDNET_METRICS)}, got {', '.join(sorted(values))}"
            )
    found = [test(network[name], reference[name]) for name in LAEDNET_METRICS]
    known = [p for p in found if p is not None]
    return sum(known) / len(known) if len(known) == len(found) else None
