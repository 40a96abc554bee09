"""A recipe as YAML with the reason behind every line."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from featherseg.train.recipe import Recipe, as_values

# Keys with lines of their own; the others stand in one line, whatever they hold.
_SECTIONS = ("schedule", "early_stop", "augment")
_BY_HAND = "given with --set"
# Comments begin in this column, or behind a longer line.
_COMMENT_COLUMN = 28


def commented_yaml(recipe: Recipe, chosen: Recipe, reasons: Mapping[str, str]) -> str:
    """The recipe as YAML with a comment behind every line; `load_recipe` reads it back equal.

    `reasons` has one for every line of the recipe `chosen`, named as `--set` names the keys
    ("augment.scale"). Lines in which `recipe` differs from that one were set by hand.
    """
    lines = []
    before = _flat(as_values(chosen))
    for name, value in _flat(as_values(recipe)).items():
        is_chosen = name in before and before[name] == value
        lines.append(_line(name, value, reasons[name] if is_chosen else _BY_HAND))
    return "".join(lines)


def one_line(value: Any) -> str:
    """A value as YAML in one line."""
    text: str = yaml.safe_dump([value], default_flow_style=True, width=math.inf).strip()
    return text[1:-1]


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """What stands in each line, a section's heading and then its keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if key in _SECTIONS and value is not None:
            flat[key] = _Heading(tuple(value))
            flat |= {f"{key}.{name}": item for name, item in value.items()}
        else:
            flat[key] = value
    return flat


@dataclass(frozen=True)
class _Heading:
    """A section's line, which holds nothing but belongs to these keys."""

    keys: tuple[str, ...]


def _line(name: str, value: Any, reason: str) -> str:
    key = name.rpartition(".")[2]
    indent = "  " if "." in name else ""
    text = f"{key}:" if isinstance(value, _Heading) else f"{indent}{key}: {one_line(value)}"
    return f"{text:<{_COMMENT_COLUMN}}  # {reason}\n"
