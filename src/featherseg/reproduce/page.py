"""The README.md of a reproduced table, made from the files in its folder."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from featherseg.reproduce.collect import read_collected
from featherseg.reproduce.cost import COSTS_FILE, cost_key, read_costs
from featherseg.reproduce.figures import Figure, row_figures
from featherseg.reproduce.plan import cells, is_trained, row_recipe
from featherseg.reproduce.scale import SCALES, Scale
from featherseg.reproduce.splits import WAYS, WORDS, Way
from featherseg.reproduce.table import (
    LATENCY,
    NO_METRICS,
    PARAMETERS,
    Column,
    Part,
    Published,
    Row,
    Table,
)

PAGE = "README.md"
NOT_RUN = "not run"
_NOTHING = "–"
# Larger values are distances, in pixels or millimeters.
_LARGEST_SHARE = 1.0


def page(table: Table, folder: Path) -> str:
    """The page of `table`, whose results stand in `folder`."""
    lines = [f"# {table.name}: {table.title}", "", table.source, ""]
    if table.notes:
        lines += [*(f"* {note}" for note in table.notes), ""]
    for scale in SCALES.values():
        lines += [f"## Scale: {scale.name}", "", scale.about, "", *_command(table, scale)]
        if _anything(folder / scale.name) or not _anything(folder):
            lines += _scale(table, scale, folder / scale.name)
        else:
            lines += [f"All cells: {NOT_RUN}.", ""]
    return "\n".join(lines).rstrip() + "\n"


def _anything(folder: Path) -> bool:
    """Whether any training was scored or any cost measured below `folder`."""
    return any(folder.rglob("*.csv")) or any(folder.rglob(COSTS_FILE))


def _scale(table: Table, scale: Scale, out: Path) -> Iterator[str]:
    for part in table.parts:
        yield f"### {part.dataset}"
        yield ""
        if part.note:
            yield part.note
            yield ""
        yield from _facts(table, scale, part, out)
        figures = {
            (row.name, way): row_figures(table, scale, part, row, way, out)
            for row in part.rows
            for way in WAYS
        }
        for column in table.columns:
            if column.metric not in NO_METRICS:
                yield from _scores(part, column, figures)
        yield from _costs(table, scale, part, out)


def _command(table: Table, scale: Scale) -> Iterator[str]:
    data = " ".join(f"--data {name}=DIR" for name in dict.fromkeys(p.dataset for p in table.parts))
    yield "```sh"
    yield f"featherseg reproduce {table.name} --scale {scale.name} {data}"
    yield "```"
    yield ""


def _facts(table: Table, scale: Scale, part: Part, out: Path) -> Iterator[str]:
    """What the trainings of a part saw, out of the first result of each split."""
    if not is_trained(table):
        return
    for way in WAYS:
        found = (read_collected(cell, out) for cell in cells(table, scale, part, (way,)))
        about = next((each.about for each in found if each is not None), None)
        if about is None:
            continue
        images = about["images"]
        yield (
            f"* {WORDS[way].capitalize()}: protocol `{about['protocol']}`; in the first row run, "
            f"{images['train']} images train and {images['validation']} validate."
        )
    yield ""


def _scores(
    part: Part, column: Column, figures: Mapping[tuple[str, Way], Mapping[str, Figure]]
) -> Iterator[str]:
    """One column: published, on the paper's split, on the safe split."""
    yield f"**{column.title}** ({_over(column)})"
    yield ""
    yield "| network | published | " + " | ".join(f"ours, {WORDS[way]}" for way in WAYS) + " |"
    yield "|---|---|---|---|"
    for row in part.rows:
        ours = [figures[row.name, way].get(column.key) for way in WAYS]
        cells_of_row = (row.name, _published(row.published.get(column.key)), *map(_ours, ours))
        yield f"| {' | '.join(cells_of_row)} |"
    yield ""


def _over(column: Column) -> str:
    return (
        "mean over all test images" if column.over == "all" else "mean over images with the label"
    )


def _published(value: Published | None) -> str:
    if value is None:
        return _NOTHING
    text = _number(value.mean)
    return text if value.std is None else f"{text} ± {_number(value.std, like=value.mean)}"


def _ours(figure: Figure | None) -> str:
    if figure is None:
        return NOT_RUN
    text = _number(figure.mean)
    if figure.low is not None and figure.high is not None:
        low, high = (_number(each, like=figure.mean) for each in (figure.low, figure.high))
        text = f"{text} ({low} to {high})"
    if figure.std is None:
        return text
    return f"{text}, ± {_number(figure.std, like=figure.mean)} over {figure.repeats} trainings"


def _number(value: float, like: float | None = None) -> str:
    """Three decimals for shares, two for distances."""
    return f"{value:.3f}" if (value if like is None else like) <= _LARGEST_SHARE else f"{value:.2f}"


def _costs(table: Table, scale: Scale, part: Part, out: Path) -> Iterator[str]:
    """Parameters and time for one image, and whatever else was published."""
    costs = read_costs(out)
    others = [column for column in table.columns if column.metric in NO_METRICS]
    head = ["network", *(f"{column.title}, published" for column in others)]
    head += ["parameters, ours", "input", "ms for one image"]
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in part.rows:
        yield f"| {' | '.join(_cost_cells(row, scale, others, costs))} |"
    yield ""
    if costs["networks"]:
        yield f"{costs['processor']}, {costs['cores']} cores: {costs['how']}."
        yield ""


def _cost_cells(
    row: Row, scale: Scale, others: Sequence[Column], costs: Mapping[str, Any]
) -> Iterator[str]:
    recipe = row_recipe(row, scale)
    height, width = recipe.input_size
    cost = costs["networks"].get(cost_key(recipe))
    yield row.name
    for column in others:
        yield _plain(row.published.get(column.key), column)
    if cost is None:
        yield from (NOT_RUN, f"{height}x{width}", NOT_RUN)
        return
    merged = cost["reparameterized"]
    count = f"{cost['parameters']:,}"
    yield count if merged == cost["parameters"] else f"{count} ({merged:,} re-parameterized)"
    yield f"{height}x{width}"
    middle, least, most = (cost[f"latency_ms{each}"] for each in ("", "_least", "_most"))
    yield f"{middle:.1f} ({least:.1f} to {most:.1f})"


def _plain(value: Published | None, column: Column) -> str:
    if value is None:
        return _NOTHING
    if column.metric == PARAMETERS:
        return f"{value.mean:,.0f}"
    if column.metric == LATENCY:
        return f"{value.mean:.1f}"
    return f"{value.mean:g}" if value.std is None else f"{value.mean:g} ± {value.std:g}"
