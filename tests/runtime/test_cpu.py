"""Processor flags to capabilities and precision."""

import pytest

from featherseg.runtime import cpu

SAPPHIRE = """processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R) 8481C
flags\t\t: fpu avx2 avx512f avx512_bf16 avx512_vnni amx_bf16 amx_tile amx_int8

processor\t: 1
model name\t: another
flags\t\t: fpu
"""


def test_the_first_processor_counts() -> None:
    found = cpu.parse_cpuinfo(SAPPHIRE, 2)
    assert found == cpu.Capabilities(
        model="Intel(R) Xeon(R) 8481C",
        cores=2,
        avx2=True,
        avx512=True,
        avx512_bf16=True,
        vnni=True,
        amx_bf16=True,
        amx_int8=True,
        vendor="GenuineIntel",
    )


@pytest.mark.parametrize(("flag", "vnni"), [("avx_vnni", True), ("avx512f", False)])
def test_vnni_comes_in_two_widths(flag: str, vnni: bool) -> None:
    assert cpu.parse_cpuinfo(f"flags : {flag}\n", 1).vnni is vnni


def test_nothing_known() -> None:
    found = cpu.parse_cpuinfo("", 4)
    assert found.cores == 4
    assert not any((found.avx2, found.avx512, found.vnni, found.amx_bf16, found.amx_int8))


@pytest.mark.parametrize(("text", "precision"), [(SAPPHIRE, "bf16"), ("flags: avx512_bf16", "f32")])
def test_bf16_needs_amx(text: str, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "capabilities", lambda: cpu.parse_cpuinfo(text, 2))
    assert cpu.default_precision() == precision


def test_this_machine() -> None:
    assert cpu.capabilities().cores == cpu.available_cores() > 0


def test_cores_without_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: None)
    assert cpu.available_cores() == 1


@pytest.mark.parametrize(("value", "threads"), [("3", 3), ("", 0), ("two", 0), ("-1", 0)])
def test_thread_limit(value: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert cpu.thread_limit() == threads
