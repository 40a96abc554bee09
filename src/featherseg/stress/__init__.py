"""How much scores change when images do: the same cases under many conditions."""

from featherseg.stress.changes import summarize_stress
from featherseg.stress.conditions import Condition, conditions
from featherseg.stress.domain import Doubt, compare_domains, doubts
from featherseg.stress.rescore import steps, stress

__all__ = [
    "Condition",
    "Doubt",
    "compare_domains",
    "conditions",
    "doubts",
    "steps",
    "stress",
    "summarize_stress",
]
