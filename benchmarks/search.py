"""Search the settings of one arm with Optuna: every trial is a job of its own, judged on validation objects.

    python -m benchmarks.search --trials 20 +experiment=ztf2bts arm=transfer labels=300 paths.data=FOLDER

The words behind the options are those of `tlclass train`. The study lies in results/search/study.db: the same command goes on
with it, and several at once share it. The score is validation log loss (`best_score`); the test part has no say.
pip install 'tlclass[search]'
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import optuna

Suggest = Callable[[optuna.Trial], object]
SPACE: dict[str, Suggest] = {  # what is searched; write your own here
    "fit.learning_rate": lambda trial: trial.suggest_float("fit.learning_rate", 1e-4, 1e-2, log=True),
    "fit.truncate": lambda trial: trial.suggest_float("fit.truncate", 0.0, 0.5),
    "fit.batch_size": lambda trial: trial.suggest_categorical("fit.batch_size", [32, 64, 128]),
}
COMPARABLE = ("fit.monitor=val/loss", "fit.class_weights=true")  # the same score in every trial


def job(words: Sequence[str], folder: Path) -> float:
    """The validation score of one job.

    Raises:
        optuna.TrialPruned: the job failed; its words are no good.
    """
    command = [sys.executable, "-m", "tlclass.train", *words, *COMPARABLE, f"hydra.run.dir={folder}"]
    if subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode:
        raise optuna.TrialPruned(f"{folder}: the job failed")
    score: float = json.loads((folder / "result.json").read_text(encoding="utf-8"))["best_score"]
    return score


def search(words: Sequence[str], trials: int, folder: Path) -> optuna.Study:
    """Run so many trials and return the study."""
    folder.mkdir(parents=True, exist_ok=True)
    store = f"sqlite:///{folder / 'study.db'}"
    study = optuna.create_study(study_name="search", storage=store, direction="minimize", load_if_exists=True)

    def objective(trial: optuna.Trial) -> float:
        chosen = [f"{name}={suggest(trial)}" for name, suggest in SPACE.items()]
        return job([*words, *chosen], folder / f"trial{trial.number}")

    study.optimize(objective, trials)
    return study


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--folder", type=Path, default=Path("results/search"))
    given, words = parser.parse_known_args()
    best = search(words, given.trials, given.folder).best_trial
    print(f"trial {best.number}, validation loss {best.value:.4f}:", *(f"{k}={v}" for k, v in best.params.items()))


if __name__ == "__main__":
    main()
