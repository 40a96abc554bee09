"""A part of a report that not every evaluation has."""

from dataclasses import dataclass

from featherseg.report.pictures import Picture


@dataclass(frozen=True)
class Section:
    """A further part of a report: sentences, figures, pictures, a table of name and value.

    ``figures`` are SVG elements that this package drew (`report.figures.to_svg`); they are put
    in as markup.
    """

    title: str
    text: tuple[str, ...] = ()
    table: tuple[tuple[str, str], ...] = ()
    pictures: tuple[Picture, ...] = ()
    figures: tuple[str, ...] = ()
