"""The result tables of the five papers, as data: what `featherseg reproduce` can make again."""

from featherseg.reproduce.table import Table
from featherseg.reproduce.tables import alnet, laednet, lightbtseg, lighter

TABLES: dict[str, Table] = {
    "laednet-2": laednet.TABLE_2,
    "laednet-3": laednet.TABLE_3,
    "laednet-4": laednet.TABLE_4,
    "laednet-5": laednet.TABLE_5,
    "alnet-2": alnet.TABLE_2,
    "alnet-3": alnet.TABLE_3,
    "alnet-4": alnet.TABLE_4,
    "alnet-5": alnet.TABLE_5,
    "alnet-6": alnet.TABLE_6,
    "alnet-7": alnet.TABLE_7,
    "alnet-8": alnet.TABLE_8,
    "lighter-1": lighter.TABLE_1,
    "lighter-2": lighter.TABLE_2,
    "lighter-tuning": lighter.TUNING,
    "lightbtseg-1": lightbtseg.TABLE_1,
    "lightbtseg-2": lightbtseg.TABLE_2,
    "lightbtseg-3": lightbtseg.TABLE_3,
}

__all__ = ["TABLES"]
