import numpy as np
import pytest

from tlclass.lightcurves.condition import LONGEST, Condition

COLUMNS = {
    "peak_mag": np.array([17.0, 18.5, np.nan, 20.0]),
    "n": np.array([5, 6, 7, 8]),
    "class": np.array(["SN Ia", "TDE", "TDE", "SN II"]),
    "p(SN Ib/c)": np.array([0.1, 0.6, 0.2, 0.9]),
}

MEANT = {
    "peak_mag < 19": [1, 1, 0, 0],
    "not peak_mag < 19": [0, 0, 1, 1],
    "peak_mag<=18.5 and n>5": [0, 1, 0, 0],
    "peak_mag < 18 or n == 7 and class = 'TDE'": [1, 0, 1, 0],
    "(peak_mag < 18 or n == 7) and class != 'TDE'": [1, 0, 0, 0],
    "p(SN Ib/c) >= 0.6": [0, 1, 0, 1],
    'class == "SN II"': [0, 0, 0, 1],
    "peak_mag > -1e1": [1, 1, 0, 1],
    "peak_mag != 17": [0, 1, 0, 1],
}

MEANINGLESS = {
    "": (),
    "peak_mag": ("peak_mag",),
    "peak_mag <": (),
    "peak_mag < n": (),
    "peak_mag < 19 n": ("n",),
    "(peak_mag < 19": ("bracket",),
    "19 < peak_mag": (),
    "peak_mag.mean() < 3": (".mean()",),
    "__import__('os').system('true') < 3": (),
    "@x < 3": ("@x",),
    "(" * (LONGEST + 1): (str(LONGEST),),
    "not " * (LONGEST + 1): (str(LONGEST),),
}


@pytest.mark.parametrize("text", MEANT)
def test_a_condition_means_what_it_says(text: str) -> None:
    assert Condition(text)(COLUMNS).astype(int).tolist() == MEANT[text]


@pytest.mark.parametrize("text", MEANINGLESS)
def test_what_is_no_comparison_is_refused_before_any_data_are_seen(text: str) -> None:
    with pytest.raises(ValueError, match="condition") as error:
        Condition(text)
    assert all(word in str(error.value) for word in MEANINGLESS[text])


@pytest.mark.parametrize("text", ["mag < 19", "class < 19", "n == 'five'"])
def test_an_unknown_column_and_a_wrong_kind_are_named(text: str) -> None:
    with pytest.raises(ValueError, match=text.split()[0]):
        Condition(text)(COLUMNS)


@pytest.mark.parametrize("text", ["host != 'E'", "host = 'None'", "host = 'nan'"])
def test_a_missing_text_fulfils_no_comparison(text: str) -> None:
    hosts = {"host": np.array(["E", None, np.nan, "Sb"], dtype=object)}
    assert Condition(text)(hosts).tolist() == [False, False, False, text == "host != 'E'"]
