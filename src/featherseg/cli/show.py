"""How the verbs that train show it: lines, spinners and bars on standard error."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from featherseg.train.show import Show


def terminal_show(style: str | None = None) -> "Show":
    """A display of work on stderr, its lines in a Rich `style`."""
    from featherseg.cli.console import remarks, tracked
    from featherseg.cli.training_progress import training_progress
    from featherseg.train.show import Show

    return Show(
        say=lambda text: remarks().print(text, markup=False, soft_wrap=True, style=style),
        busy=lambda text: remarks().status(text),
        track=lambda items, what: tracked(items, what, len(items)),
        training=training_progress,
    )
