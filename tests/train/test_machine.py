"""The memory that a training may take."""

from featherseg.train.machine import free_memory_bytes, this_machine


def test_memory_is_that_of_the_container_where_it_has_less() -> None:
    system = "MemTotal:       2000 kB\nMemAvailable:   1000 kB\n"
    assert free_memory_bytes(system, "", "") == 1_024_000
    assert free_memory_bytes(system, "max\n", "5\n") == 1_024_000
    assert free_memory_bytes(system, "600000\n", "200000\n") == 400_000
    assert free_memory_bytes(system, "600000\n", "700000\n") == 0
    assert free_memory_bytes("", "", "") > 10**8


def test_this_machine_has_a_device_and_memory() -> None:
    machine = this_machine()
    assert machine.device in ("cpu", "cuda")
    assert machine.memory_bytes > 10**7
