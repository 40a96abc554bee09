"""New processes: what they report, and what is said of one that fails."""

from pathlib import Path

import pytest

from featherseg.benchmark.starts import Start, median_start, peak_mb, start
from featherseg.errors import FeatherSegError

STATUS = "Name:\tpython\nVmPeak:\t  900000 kB\nVmHWM:\t  100000 kB\nVmRSS:\t 90000 kB\n"


def test_the_peak_is_that_of_the_resident_set() -> None:
    assert peak_mb(STATUS) == pytest.approx(102.4)
    assert peak_mb("") is None


def test_each_value_has_its_own_median() -> None:
    starts = [Start(1.0, 9.0, 50.0), Start(2.0, 7.0, None), Start(3.0, 8.0, 70.0)]
    assert median_start(starts) == Start(2.0, 8.0, 60.0)
    assert median_start([Start(1.0, 1.0, None)]).peak_mb is None


def test_a_process_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(
        FeatherSegError, match=r"could not segment with openvino.*expected a bundle"
    ):
        start(tmp_path / "none", tmp_path / "none.jpg", "openvino", None, threads=1)
