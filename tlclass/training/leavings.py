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
WORDS = "overrides.yaml"  # the settings as they were written on the command line
