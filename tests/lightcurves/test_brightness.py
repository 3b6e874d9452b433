import numpy as np

from tlclass.lightcurves.brightness import THIRDS, last_magnitudes, peak_magnitudes, thirds
from tlclass.lightcurves.curves import from_columns

# Three objects: the brightest point of the first is no detection, the second has none, the third fades.
OBSERVATIONS = {
    "object_id": np.array(["a", "a", "a", "b", "c", "c"]),
    "mjd": np.array([1.0, 2.0, 3.0, 1.0, 1.0, 5.0]),
    "passband": np.array([0, 1, 0, 0, 0, 1]),
    "flux": np.array([1000.0, 9000.0, 100.0, 500.0, 10000.0, 100.0]),
    "flux_err": np.ones(6),
    "detected": np.array([True, False, True, False, True, True]),
}
CURVES = from_columns({"object_id": np.array(["a", "b", "c"])}, OBSERVATIONS, ("g", "r"), "test")


def test_only_detections_count() -> None:
    assert np.allclose(peak_magnitudes(CURVES), [20.0, np.nan, 17.5], equal_nan=True)
    assert np.allclose(last_magnitudes(CURVES), [22.5, np.nan, 22.5], equal_nan=True)


def test_thirds_are_equal_and_leave_out_what_has_no_magnitude() -> None:
    magnitude = np.array([np.nan, 20.0, 15.0, 16.0, 19.0, 17.0, 18.0])
    parts = thirds(magnitude)
    assert tuple(parts) == THIRDS
    assert [sorted(magnitude[mask]) for mask in parts.values()] == [[15, 16], [17, 18], [19, 20]]
