"""Names of what a job leaves, beside its model; here, so that a report does not wait for torch and Lightning."""

from typing import Any

MACRO = "auroc_macro"  # the main score of a row
Row = dict[str, Any]  # of a job: coordinates, then scores
HISTORY = "history.json"  # of the validations during the fit
MISTAKES = "mistakes.parquet"
TIMING = "timing.json"
PREDICTIONS = "predictions.parquet"  # of the test objects
SPLIT = "split.json"  # ids of the objects that a job trained and validated on
SURVEY = "survey.json"  # objects per class of target and source
SETTINGS = "config.yaml"  # what the user composed
WORDS = "overrides.yaml"  # the words of the command line: its folder of cards, then the settings


def words_of(hydra: Any) -> list[str]:
    """The words of a command line, as Hydra's own settings (plain types) hold them; folders of cards stand first."""
    own = [source["path"] for source in hydra["runtime"]["config_sources"] if source["provider"] == "command-line"]
    searched = [word for word in hydra["overrides"]["hydra"] if word.startswith("hydra.searchpath=")]
    return [*(word for path in own for word in ("--config-dir", path)), *searched, *hydra["overrides"]["task"]]
