"""Near names, for errors that say what was probably meant."""

import difflib
from collections.abc import Iterable

_NEAR = 0.5


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """'; did you mean ...?' with up to three near names, or nothing."""
    near = difflib.get_close_matches(str(word).lower(), list(known), n=3, cutoff=_NEAR)
    return f"; did you mean {' or '.join(near)}?" if near else ""
