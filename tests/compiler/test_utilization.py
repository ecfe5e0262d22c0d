"""The notation of --max-util."""

import pytest

from hwc.compiler.utilization import UtilizationError, parse


@pytest.mark.parametrize("text", ["50%", " 0.5", "lut=50%,ff=50%,dsp=0.5, bram = 50%"])
def test_shares(text: str) -> None:
    assert parse(text) == dict.fromkeys(("lut", "ff", "dsp", "bram18"), 0.5)


def test_what_is_not_named_stays_at_seventy_percent() -> None:
    assert parse("dsp=100%") == {"lut": 0.7, "ff": 0.7, "dsp": 1.0, "bram18": 0.7}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("lut=50%,lut=60%", "lut is given twice"),
        ("uram=50%", "'uram' is no resource; there are lut, ff, dsp, bram"),
        ("lut=", "a share lies above 0"),
        ("101%", "a share lies above 0"),
        ("0", "a share lies above 0"),
        ("nan", "a share lies above 0"),
        ("", "a share lies above 0"),
    ],
)
def test_what_is_refused(text: str, why: str) -> None:
    with pytest.raises(UtilizationError, match=why) as caught:
        parse(text)
    assert caught.value.exit_code == 2, "wrong usage, as of the other options"
