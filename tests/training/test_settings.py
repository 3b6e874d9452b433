import pytest

from tlclass.training.settings import FitSettings, name_overruled


@pytest.mark.parametrize(
    ("steps_per_epoch", "expected"),
    [
        (1, {"epochs": 1000, "every": 5, "patience": 40}),
        (4, {"epochs": 250, "every": 1, "patience": 50}),
        (100, {"epochs": 100, "every": 1, "patience": 10}),
    ],
)
def test_small_budgets_are_given_their_length_in_steps(steps_per_epoch: int, expected: dict[str, int]) -> None:
    assert FitSettings().limits(steps_per_epoch) == expected


def test_settings_name_what_they_allow() -> None:
    with pytest.raises(ValueError, match=r"fit.monitor is 'loss': choose one of val/loss, val/auroc_macro"):
        FitSettings(monitor="loss")
    with pytest.raises(ValueError, match=r"fit.l2_sp is -1.0"):
        FitSettings(l2_sp=-1.0)
    with pytest.raises(ValueError, match=r"fit.average is 1.0: choose 0 \(none\) or a decay per step below 1"):
        FitSettings(average=1.0)
    with pytest.raises(
        ValueError, match=r"fit.truncate is 60: choose the share of batches to cut, from 0 \(none\) to 1"
    ):
        FitSettings(truncate=60)
    with pytest.raises(ValueError, match=r"fit.truncation is 'late': choose one of even, early"):
        FitSettings(truncation="late")
    with pytest.raises(
        ValueError, match=r"fit.balance=true trains .* fit.class_weights=false validates in their natural"
    ):
        FitSettings(balance=True, class_weights=False)
    with pytest.raises(ValueError, match=r"fit.batch_size is 0: choose a number above 0"):
        FitSettings(batch_size=0)


def test_a_number_of_epochs_that_steps_overrule_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    name_overruled.cache_clear()
    for _ in range(2):
        assert FitSettings(max_epochs=10, min_steps=60).limits(2)["epochs"] == 30
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    for part in ("fit.max_epochs=10", "fit.min_steps=60", "30 epochs", "fit.min_steps=0"):
        assert part in record.getMessage()
    caplog.clear()
    FitSettings(max_epochs=10, min_steps=10).limits(2)
    FitSettings().limits(1)  # the defaults are meant so
    assert not caplog.records
