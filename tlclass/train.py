"""`tlclass train`: pretrain on the source, transfer to the target, score. Hydra calls `app` for every job.

torch and Lightning are imported when a job begins, so that help and errors about settings appear at once.
"""

import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from tlclass import stopping
from tlclass.config import CONF
from tlclass.experiments import sweep
from tlclass.experiments.composition import CONFIG_DIR, MULTIRUN, as_hydra_wants, one_sentence, plain
from tlclass.experiments.result import RESULT, OtherJob
from tlclass.experiments.usage import help_text
from tlclass.options import lost_process, reported_mistakes
from tlclass.training.leavings import words_of

log = logging.getLogger(__name__)

# a value follows
VALUED = (*CONFIG_DIR, "--config-path", "-cp", "--config-name", "-cn", "--cfg", "-c", "--package", "-p")
FULL_ERROR = "HYDRA_FULL_ERROR"  # Hydra's environment variable


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")
def app(config: DictConfig) -> float:
    """One job; returns its macro AUROC on the test part, NaN if it failed in a sweep, which names it at the end.

    Raises:
        Failed: the only job failed.
        Stopped: the process was asked to stop.
    """
    hydra_settings = HydraConfig.get()
    folder, alone = Path(hydra_settings.runtime.output_dir), hydra_settings.mode == RunMode.RUN
    if config.progress == "auto" and not alone:
        config.progress = False  # a bar per job would fight with the lines of the sweep
    plan = None
    try:
        stopping.check()
        from tlclass.experiments.plan import plan_from
        from tlclass.experiments.run import run_job

        plan = plan_from(plain(config))
        row = run_job(plan, folder, words_of(OmegaConf.to_container(hydra_settings, resolve=False)))
        if alone and "wandb" in plan.logger:
            from tlclass.report.dashboard import say_offline

            say_offline(folder, plan.paths.models)
        return float(row["auroc_macro"])
    except Exception as error:
        stopping.check()  # what a signal broke is no failure of the job
        if alone and (plan is None or isinstance(error, OtherJob)):  # nothing is left in the folder of another job
            sweep.remove_unused(folder, Path(config.paths.results), hydra_settings.job.name)
            raise Failed from error
        message = sweep.write_failure(folder, error, began=plan is not None)
        if alone:
            raise Failed from error
        log.error("failed: %s", message)
        return float("nan")


class Failed(SystemExit):
    """The only job failed, with the cause of this exception; Hydra lets it through without a text of its own."""


def main() -> None:
    """`tlclass train`: a mistake on the command line exits with 2, failed jobs with 1, SIGINT with 130, SIGTERM with 143.

    A sweep ends with its report, and names what failed, one sentence each.
    """
    if {"-h", "--help"} & set(sys.argv[1:]):
        sys.stdout.write(help_text())
        return
    with stopping.noted():
        error = run_app()
        signum = stopping.asked()
        lost = lost_process(error)
        folder, failed = sweep.close_ledger(lost)
    if signum is not None:
        sys.stderr.write(f"{signal.Signals(signum).name}: stopped; run the same command again to resume\n")
        raise SystemExit(128 + signum)
    try:
        if folder is not None:
            with reported_mistakes():
                write_report(folder)
    finally:
        end(None if lost and folder else error, failed)  # what failed in a sweep says that a process was lost


def run_app() -> BaseException | None:
    """Run the job or the sweep of the command line; what went wrong, or None."""
    words = flags_first(sys.argv[1:])
    before = os.environ.get(FULL_ERROR)
    os.environ[FULL_ERROR] = "1"  # Hydra's own way to hand errors on instead of printing them
    try:
        sys.argv[1:] = as_hydra_wants(words)
        app()
    except Failed as failure:
        return failure.__cause__
    except (Exception, SystemExit) as error:
        return error
    finally:
        os.environ.pop(FULL_ERROR) if before is None else os.environ.update({FULL_ERROR: before})
    return None


def flags_first(words: Sequence[str]) -> list[str]:
    """The words with `-m` once, and flags (`--config-dir FOLDER`, `--cfg job`) before the settings, where Hydra wants them.

    >>> flags_first(["seed=0,1", "-m", "--config-dir", "cards", "labels=40"])
    ['-m', '--config-dir', 'cards', 'seed=0,1', 'labels=40']
    >>> flags_first(["--config-dir=cards", "labels=40", "--cfg", "job", "seed=1"])
    ['--config-dir=cards', '--cfg', 'job', 'labels=40', 'seed=1']
    """
    flags, others, after = list[str](), list[str](), ""
    for word in words:
        if word.startswith("-") or after in VALUED:
            flags.append(word)
        else:
            others.append(word)
        after = word
    multirun = [word for word in flags if word in MULTIRUN][:1]
    flags = [*multirun, *(word for word in flags if word not in MULTIRUN)]
    return [*flags, *others]


def write_report(folder: Path) -> None:
    """Write the table and the figures of all finished jobs of the sweep; one line where there are none yet."""
    from tlclass import report
    from tlclass.report import dashboard

    if next(folder.rglob(RESULT), None) is None:
        log.warning("no job below %s is finished, so there is no report", folder)
        return
    sys.stdout.write(f"{report.write_report([folder])}\n")
    dashboard.log_sweep(folder)


def end(error: BaseException | None, failed: Sequence[str]) -> None:
    """Exit with the right code after printing one sentence per failure."""
    if isinstance(error, SystemExit):
        raise error
    sentence = error and one_sentence(error)
    if error is not None and sentence is None:
        raise error
    for line in [*failed, *([sentence] if sentence else [])]:
        sys.stderr.write(f"error: {line}\n")
    if failed or sentence:
        raise SystemExit(1 if failed else 2)


if __name__ == "__main__":
    main()
