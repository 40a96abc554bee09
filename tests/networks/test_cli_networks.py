"""The verb `networks`: a table, a card, and the JSON that others read."""

import json

from featherseg.networks import NETWORKS
from tests.conftest import Cli

KEYS = {
    "name",
    "paper",
    "parameters",
    "total",
    "reparameterized",
    "fused",
    "gmacs",
    "input_size",
    "published",
    "status",
    "note",
}


def test_json_lists_every_network(cli: Cli) -> None:
    done = cli("networks", "--json")
    assert done.code == 0
    listed = json.loads(done.out)
    assert [each["name"] for each in listed] == list(NETWORKS)
    for each in listed:
        assert set(each) == KEYS
        for row in each["published"]:
            keys = {"paper", "table", "parameters", "gflops", "mb", "difference_percent"}
            assert set(row) == keys
    (student,) = (each for each in listed if each["name"] == "simplified_unet")
    assert (student["parameters"], student["total"], student["gmacs"]) == (
        2_162_129,
        2_165_553,
        16.425,
    )


def test_the_table_and_one_card(cli: Cli) -> None:
    table = cli("networks").out
    assert all(name in table for name in NETWORKS)
    one = cli("networks", "lighter_unet_16").out
    assert "2,700,757" in one
    assert "Departures from the paper:" in one
    assert "light_unet" not in one.splitlines()[3]


def test_unknown_names(cli: Cli) -> None:
    done = cli("networks", "lighter_unet16")
    assert done.code == 2
    assert "unknown network 'lighter_unet16'; " in done.err
    assert "; did you mean lighter_unet_16" in done.err
