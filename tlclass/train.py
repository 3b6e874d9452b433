"""Entry point: pretrain on the source, transfer to the target, score. Hydra calls it for every job."""

import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra
import torch
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict

from tlclass import report
from tlclass.atomic import write_text
from tlclass.baselines.trees import Baseline, baseline_from
from tlclass.config import CONF
from tlclass.experiments import job, sweep
from tlclass.experiments import pretraining as pretrain
from tlclass.experiments.composition import (
    Settings,
    build_survey,
    one_sentence,
    plain,
    refuse_twins,
    refuse_unknown,
    target_settings,
    without_lists,
)  # fmt: skip
from tlclass.experiments.devices import on_device
from tlclass.experiments.job import Job
from tlclass.experiments.loggers import ending, log_scores, make_logger
from tlclass.experiments.result import RESULT, config_key, finished, start, write_result
from tlclass.inputs.split import Protocol
from tlclass.network.checkpoint import TrainedModel, model_digest
from tlclass.network.transfer import FreezePolicy
from tlclass.options import build, check
from tlclass.report import dashboard
from tlclass.training.fit import refuse_reserved
from tlclass.training.folds import Choice
from tlclass.training.metrics import Row
from tlclass.training.task import FitSettings

log = logging.getLogger(__name__)


class OpenLedger(Callback):
    """Hydra calls it in the process that starts a sweep, before the first job."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Settle the axes and open the ledger."""
        chosen = list(config.hydra.overrides.task)
        axes = config.hydra.sweeper.params or {}
        groups = {word.split("=")[0] for word in chosen}
        with open_dict(config):  # data_fraction=n100,full on the command line replaces the axis data_fraction.count
            for axis in [axis for axis in axes if "." in axis and axis.split(".")[0] in groups]:
                del axes[axis]
            if "source" in axes:
                axes["source"] = without_lists(f"source={axes['source']}").removeprefix("source=")
        overrides = OverridesParser.create().parse_overrides([*(f"{k}={v}" for k, v in axes.items()), *chosen])
        (jobs,) = BasicSweeper.split_arguments(overrides, None)
        sweep.open_ledger(Path(config.hydra.sweep.dir), len(jobs))


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")
def app(config: DictConfig) -> float:
    """One job; returns its macro AUROC on the test part."""
    settings = plain(config)
    folder = Path(HydraConfig.get().runtime.output_dir)
    if sweep.LEDGER in os.environ:
        sweep.note(HydraConfig.get().job.num, folder)
        if settings["progress"] == "auto":
            settings["progress"] = False  # a bar per job would fight with the line of the sweep
    try:
        return float(run_job(settings, folder)["auroc_macro"])
    except Exception as error:
        log.error("failed: %s", sweep.write_failure(folder, error))
        raise


def run_job(settings: Settings, folder: Path) -> Row:
    """Run, resume or skip the job whose results belong in `folder`; returns its result row.

    Raises:
        ValueError, FileNotFoundError: a mistake in the settings or the data, said in one sentence.
    """
    refuse_mistakes(settings)
    torch.set_num_threads(settings["threads"])
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    with sweep.alone(folder):
        sweep.clear_failure(folder)
        key, data = config_key(settings), data_digests(settings)
        row = finished(folder, key, data, settings["overwrite"])
        if row is not None:
            log.info("%s is finished (macro AUROC %.3f): skipped", folder, row["auroc_macro"])
            return row
        start(folder, key, data)
        write_text(folder / "config.yaml", OmegaConf.to_yaml(settings))
        row = {"config_key": key, "experiment": settings["experiment_name"], **train_and_score(settings, folder)}
        write_result(folder, row)
    log.info("%s: macro AUROC %.3f on %d test objects", folder, row["auroc_macro"], row["n_test"])
    return row


def refuse_mistakes(settings: Settings) -> None:
    """Raise ValueError for what can be seen before minutes of pretraining."""
    refuse_unknown(settings)
    refuse_wrong_numbers(settings)
    refuse_reserved(settings["trainer"])
    for name, group in (("", settings), ("pretrain.", settings["pretrain"])):
        build(FitSettings, group["fit"], f"{name}fit")
        build(Protocol, group["protocol"], f"{name}protocol")
    if build_policy(settings["freeze_policy"]).load:
        refuse_twins(settings["source"], settings["target"])


def refuse_wrong_numbers(settings: Settings) -> None:
    """Raise ValueError for a seed, a size of an ensemble, a number of threads or a label budget that is none."""
    for name in ("seed", "members", "threads"):
        check(settings[name], int, name)
    if settings["members"] < 1:
        raise ValueError(f"members is {settings['members']}: choose how many networks are averaged, 1 or more")
    if settings["threads"] < 1:
        raise ValueError(f"threads is {settings['threads']}: choose 1 or more")
    check(settings["pretrain"]["seed"], int, "pretrain.seed")
    for where, part in (("", settings), ("pretrain.", settings["pretrain"])):
        for name, kind in (("fraction", float), ("count", int)):
            if part["data_fraction"][name] is not None:
                check(part["data_fraction"][name], kind, f"{where}data_fraction.{name}")


def data_digests(settings: Settings) -> dict[str, str]:
    """Digests of what the job reads: the target's files, and those of its source or of the source model given."""
    root, cache = Path(settings["paths"]["data"]), Path(settings["paths"]["cache"])
    digests = {"target": build_survey(settings["target"], settings["trust"]).digest(root, cache)}
    if build_policy(settings["freeze_policy"]).load:
        if settings["source_model"] is None:
            digests["source"] = build_survey(settings["source"], settings["trust"]).digest(root, cache)
        else:
            digests["source model"] = model_digest(Path(settings["source_model"]))
    return digests


def train_and_score(settings: Settings, folder: Path) -> Row:
    """The work of a job: the source model, the transfer, the scores.

    The target is loaded first, and the transfer tried with an untrained source model: what is wrong there is said before
    minutes of pretraining.
    """
    policy = build_policy(settings["freeze_policy"])
    target = target_settings(settings, from_scratch=not policy.load)
    data = job.load(target, build_survey(settings["target"], settings["trust"]), Path(settings["paths"]["cache"]))
    sources: Sequence[TrainedModel | None] = [None] * settings["members"]
    if policy.load:
        if settings["source_model"] is None:
            job.starting_points(Job(target, policy, data, folder, settings), pretrain.untrained(settings))
        sources = pretrain.source_models(settings)
    with ending(make_logger(settings, folder)) as logger:
        with on_device(settings) as process:
            row = job.run(Job(target, policy, data, folder, process, logger), sources)
        log_scores(logger, row)
    return row


def build_policy(chosen: Settings) -> FreezePolicy | Choice | Baseline:
    """The freeze policy, several to choose from, or the baseline that stands beside the freeze policies."""
    if "baseline" in chosen:
        return baseline_from(chosen)
    if "candidates" in chosen:
        return build(Choice, chosen, "freeze_policy")
    return build(FreezePolicy, chosen, "freeze_policy")


def main() -> None:
    """`python -m tlclass.train`: a mistake on the command line exits with 2, failed jobs with 1, SIGTERM with 143.

    A sweep ends with its report, and names what failed, one sentence each.
    """
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # let errors through to here
    multirun = [word for word in sys.argv[1:] if word in ("-m", "--multirun")]  # Hydra wants it first or last
    words = multirun[:1] + [word for word in sys.argv[1:] if word not in multirun]
    previous = signal.signal(signal.SIGTERM, terminate)
    error: BaseException | None = None
    try:
        sys.argv[1:] = map(without_lists, words)
        with sweep.watched():
            app()
    except (Exception, SystemExit) as caught:
        error = caught
    finally:
        signal.signal(signal.SIGTERM, previous)
    folder, failed = sweep.close_ledger()
    if folder is not None:
        write_report(folder)
        dashboard.log_sweep(folder)
    end(error, failed)


def write_report(folder: Path) -> None:
    """Write the table and the figures of all finished jobs of the sweep; one line where there are none yet."""
    if next(folder.rglob(RESULT), None) is None:
        log.warning("no job below %s is finished, so there is no report", folder)
        return
    sys.stdout.write(f"{report.write_report([folder])}\n")


def end(error: BaseException | None, failed: Sequence[str]) -> None:
    """Leave with the right exit code, having said why."""
    if isinstance(error, SystemExit):
        raise error
    said = list(failed)
    if error is not None and not said:
        sentence = one_sentence(error)
        if sentence is None:
            raise error
        said = [sentence]
    if said:
        sys.stderr.write("".join(f"error: {line}\n" for line in said))
        raise SystemExit(1 if failed else 2)


def terminate(signum: int, frame: object) -> None:
    """SIGTERM unwinds the stack, so that worker processes and devices are let go."""
    raise SystemExit(128 + signum)


if __name__ == "__main__":
    main()
