"""Entry point: pretrain on the source, transfer to the target, score. Hydra calls it for every job."""

import logging
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import hydra
import torch
from filelock import FileLock
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from lightning.pytorch.loggers import CSVLogger, Logger, WandbLogger
from omegaconf import DictConfig, OmegaConf, open_dict

from tlclass import dashboard, job, sweep
from tlclass.atomic import write_text
from tlclass.baseline import Baseline, baseline_from
from tlclass.checkpoint import TrainedModel, load_model, model_digest
from tlclass.choice import Choice
from tlclass.composition import Settings, build_survey, one_sentence, plain, refuse_twins, refuse_unknown, without_lists
from tlclass.config import CONF
from tlclass.devices import cuda_devices, lease
from tlclass.encode import encoding_from
from tlclass.fit import refuse_reserved
from tlclass.options import build, check
from tlclass.result import Row, config_key, finished, start, write_result
from tlclass.split import Protocol
from tlclass.task import FitSettings
from tlclass.transfer import FreezePolicy

log = logging.getLogger(__name__)


class Sweep(Callback):
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
    digests = {"target": build_survey(settings["target"]).digest(root, cache)}
    if build_policy(settings["freeze_policy"]).load:
        if settings["source_model"] is None:
            digests["source"] = build_survey(settings["source"]).digest(root, cache)
        else:
            digests["source model"] = model_digest(Path(settings["source_model"]))
    return digests


def train_and_score(settings: Settings, folder: Path) -> Row:
    """The work of a job: the source model, the transfer, the scores.

    The target is loaded first: a mistake in it is said before minutes of pretraining.
    """
    policy = build_policy(settings["freeze_policy"])
    target = target_settings(settings, policy)
    data = job.load(target, build_survey(settings["target"]), settings)
    if policy.load:
        job.refuse_untrained(data, new=target["head"]["name"] != "source")
    sources = source_models(settings) if policy.load else [None] * settings["members"]
    with ending(make_logger(settings, folder)) as logger:
        with on_device(settings) as process:
            row = job.run(target, data, policy, sources, folder, logger, process)
        log_scores(logger, row)
    return row


@contextmanager
def on_device(settings: Settings) -> Iterator[Settings]:
    """The settings with a CUDA device of the job's own where the launcher leases them, else as they are."""
    if settings["launcher"]["name"] != "cuda":
        yield settings
        return
    with lease(cuda_devices()) as position:
        yield {**settings, "trainer": {**settings["trainer"], "devices": [position]}}


def build_policy(chosen: Settings) -> FreezePolicy | Choice | Baseline:
    """The freeze policy, several to choose from, or the baseline that stands beside the freeze policies."""
    if "baseline" in chosen:
        return baseline_from(chosen)
    if "candidates" in chosen:
        return build(Choice, chosen, "freeze_policy")
    return build(FreezePolicy, chosen, "freeze_policy")


def target_settings(settings: Settings, policy: FreezePolicy | Choice | Baseline) -> Settings:
    """What `job.run` needs, for the target.

    Training from scratch beside `head=source` has no head to keep; it gets a new linear one.
    """
    if settings["head"]["name"] == "source" and not policy.load:
        settings = {**settings, "head": {"name": "linear"}}
    names = ("seed", "head", "data_fraction", "protocol", "fit", "augmentation", "model")
    encoding = encoding_for(settings["target"], settings["encoding"])
    return {"survey": settings["target"], "encoding": encoding, **{name: settings[name] for name in names}}


def pretraining_settings(settings: Settings) -> Settings:
    """The same for the source model."""
    pretrain = {name: value for name, value in settings["pretrain"].items() if name != "flux_scale"}
    encoding = {**settings["encoding"], "flux_scale": settings["pretrain"]["flux_scale"]}
    encoding = encoding_for(settings["source"], encoding)
    return {"survey": settings["source"], "encoding": encoding, "model": settings["model"], **pretrain}


def encoding_for(card: Settings, encoding: Settings) -> Settings:
    """The encoding's settings; a flux scale of null becomes the survey's own.

    Raises:
        ValueError: its card states none.
    """
    if encoding["flux_scale"] is not None:
        return encoding
    if card.get("typical_flux") is None:
        raise ValueError(
            f"the flux scale is to be matched to {card['name']}, but its card states no typical_flux: add one "
            "(the median |flux| of its light curves), or give encoding.flux_scale and pretrain.flux_scale a number"
        )
    return {**encoding, "flux_scale": float(card["typical_flux"])}


def source_models(settings: Settings) -> list[TrainedModel]:
    """The models to start from, one per member: given, or pretrained, no two `pretrain.seed` with a model in common.

    Raises:
        ValueError: the model given has another encoding, or another number of networks.
    """
    members, given = settings["members"], settings["source_model"]
    if given is None:
        pretraining = pretraining_settings(settings)
        first = pretraining["seed"] * members
        return [pretrained({**pretraining, "seed": seed}, settings) for seed in range(first, first + members)]
    model = load_model(Path(given))
    encoding = encoding_from(pretraining_settings(settings)["encoding"])
    if model.encoding != encoding:
        raise ValueError(
            f"source_model={given} was trained with {model.encoding}, this job uses {encoding}: set encoding to match"
        )
    if len(model.members) != members:
        raise ValueError(
            f"source_model={given} holds {len(model.members)} network(s): set members={len(model.members)}"
        )
    return [replace(model, classifier=member) for member in model.members]


def pretrained(pretraining: Settings, settings: Settings) -> TrainedModel:
    """A source model, found under `paths.models` by content, or trained now.

    A lock lets parallel jobs share one pretraining.
    """
    survey = build_survey(pretraining["survey"])
    digest = survey.digest(Path(settings["paths"]["data"]), Path(settings["paths"]["cache"]))
    key = config_key({"job": pretraining, "data": digest, "paths": settings["paths"], "trainer": settings["trainer"]})
    folder = Path(settings["paths"]["models"]) / f"{survey.name}-{key}" / f"seed{pretraining['seed']}"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        if (folder / "result.json").exists():
            log.info("source model: %s", folder)
            return load_model(folder)
        log.info("pretraining on %s, into %s", survey.name, folder)
        data = job.load(pretraining, survey, settings)
        with ending(CSVLogger(folder, name="", version="")) as logger:
            with on_device(settings) as process:
                row = job.run(pretraining, data, FreezePolicy("from_scratch"), [None], folder, logger, process)
            log_scores(logger, row)
        write_result(folder, {"config_key": key, "experiment": "pretraining", **row})
        log.info("pretraining on %s: macro AUROC %.3f on its own test part", survey.name, row["auroc_macro"])
        return load_model(folder)


def make_logger(settings: Settings, folder: Path) -> Logger | None:
    """The job's logger; W&B is offline unless the user is logged in."""
    chosen = settings["logger"]
    if chosen["name"] == "none":
        return None
    if chosen["name"] == "csv":
        warnings.filterwarnings("ignore", message=".*exists and is not empty.*")  # the job's folder, its own files
        return CSVLogger(folder, name="", version="")
    cards = {role: settings[role].get("parts", {"": settings[role]}).values() for role in ("source", "target")}
    simulated = [f"{role}:simulated" for role, parts in cards.items() if any(card["simulated"] for card in parts)]
    logger = WandbLogger(
        project=chosen["project"], entity=chosen["entity"], save_dir=folder, offline=dashboard.offline(),
        group=settings["experiment_name"], job_type=settings["freeze_policy"]["name"],
        name=f"{settings['data_fraction']['name']}-seed{settings['seed']}", tags=[settings["target"]["name"], *simulated],
    )  # fmt: skip
    logger.log_hyperparams(settings)
    return logger


@contextmanager
def ending(logger: Logger | None) -> Iterator[Logger | None]:
    """The logger, whose run ends with the block, so that the next job of a multirun gets its own; failed on an error."""
    status, exit_code = "failed", 1
    try:
        yield logger
        status, exit_code = "success", 0
    finally:
        if logger is not None:
            logger.finalize(status)
        if isinstance(logger, WandbLogger):
            import wandb

            wandb.finish(exit_code=exit_code)


def log_scores(logger: Logger | None, row: Row) -> None:
    """Log the numbers of the row: scores of the test part under `test/`, validation scores of the fit under `val/`."""
    if logger is not None:
        logger.log_metrics({logged_as(name): value for name, value in row.items() if isinstance(value, float)})


def logged_as(name: str) -> str:
    """The metric for a number of the row: `test/auroc_macro`, `val/best_score`, `choice/full/val_loss`."""
    if name in ("best_score", "initial_score"):
        return f"val/{name}"
    return name if name.startswith("choice/") else f"test/{name}"


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
        sweep.write_report(folder)
        dashboard.log_sweep(folder)
    end(error, failed)


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
