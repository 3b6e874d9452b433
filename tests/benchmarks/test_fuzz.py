"""A few inputs of every kind that `benchmarks/fuzz.py` tries by the thousand."""

from benchmarks.fuzz import READ, REFUSED, run


def test_damaged_inputs_are_read_or_refused_in_one_sentence() -> None:
    counts, failures = run(100, seed=7)
    assert not failures
    assert all(READ in outcomes or REFUSED in outcomes for outcomes in counts.values()) and len(counts) > 20
    assert sum(outcomes[REFUSED] for outcomes in counts.values()) > 50
