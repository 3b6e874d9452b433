"""Entry point: pretrain on the source, transfer to the target, score. The only module that knows Hydra."""

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import hydra
import torch
from filelock import FileLock
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from lightning.pytorch.loggers import CSVLogger, Logger, WandbLogger
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from tlclass import job
from tlclass.atomic import write_text
from tlclass.baseline import Baseline, baseline_from
from tlclass.checkpoint import TrainedModel, load_model
from tlclass.config import CONF
from tlclass.encode import encoding_from
from tlclass.options import build
from tlclass.result import Row, config_key, finished, start, write_result
from tlclass.surveys.survey import Survey, reader_key
from tlclass.transfer import FreezePolicy

log = logging.getLogger(__name__)

Settings = dict[str, Any]
FAILED: list[str] = []  # jobs of this process's multirun that did not finish


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")
def app(config: DictConfig) -> float:
    """One job; returns its macro AUROC on the test part."""
    settings: Settings = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    folder = Path(HydraConfig.get().runtime.output_dir)
    try:
        return float(run_job(settings, folder)["auroc_macro"])
    except Exception as error:
        said = str(error) if str(error).startswith(str(folder)) else f"{folder}: {error}"
        FAILED.append(said)
        log.error("failed: %s", said)
        raise


def run_job(settings: Settings, folder: Path) -> Row:
    """Run, resume or skip the job whose results belong in `folder`; returns its result row.

    Raises:
        ValueError, FileNotFoundError: a mistake in the settings or the data, said in one sentence.
    """
    torch.set_num_threads(settings["threads"])
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    key = config_key(settings)
    row = finished(folder, key, settings["overwrite"])
    if row is not None:
        log.info("%s is finished (macro AUROC %.3f): skipped", folder, row["auroc_macro"])
        return row
    start(folder, key)
    write_text(folder / "config.yaml", OmegaConf.to_yaml(settings))
    refuse_unknown(settings)
    policy = build_policy(settings["freeze_policy"])
    source = source_model(settings) if policy.load else None
    target = build_survey(settings["target"])
    logger = make_logger(settings, folder)
    scored = job.run(target_settings(settings, policy), target, policy, source, folder, logger, settings)
    close(logger, scored)
    row = {"config_key": key, "experiment": settings["experiment_name"], **scored}
    write_result(folder, row)
    log.info("%s: macro AUROC %.3f on %d test objects", folder, row["auroc_macro"], row["n_test"])
    return row


def refuse_unknown(settings: Settings) -> None:
    """Raise ValueError for a top-level key that nothing reads, such as `+freez_policy=full`."""
    defaults: Any = OmegaConf.load(CONF / "train.yaml")
    known = [*(next(iter(entry)) for entry in defaults.pop("defaults") if not isinstance(entry, str)), *defaults]
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise ValueError(
            f"unknown setting {', '.join(unknown)}; known are {', '.join(name for name in known if name != 'hydra')}"
        )


def build_policy(chosen: Settings) -> FreezePolicy | Baseline:
    """The freeze policy, or the baseline that stands beside the freeze policies."""
    return baseline_from(chosen) if "baseline" in chosen else build(FreezePolicy, chosen, "freeze_policy")


def target_settings(settings: Settings, policy: FreezePolicy | Baseline) -> Settings:
    """What `job.run` needs, for the target.

    Training from scratch beside `head=source` has no head to keep; it gets a new linear one.
    """
    if settings["head"]["name"] == "source" and not policy.load:
        settings = {**settings, "head": {"name": "linear"}}
    names = ("seed", "head", "data_fraction", "protocol", "fit", "encoding", "model")
    return {"survey": settings["target"], **{name: settings[name] for name in names}}


def pretraining_settings(settings: Settings) -> Settings:
    """The same for the source model."""
    shared = {name: settings[name] for name in ("encoding", "model")}
    return {"survey": settings["source"], **shared, **settings["pretrain"]}


def source_model(settings: Settings) -> TrainedModel:
    """The model to start from: given, or found under `paths.models` by content, or trained now.

    A lock lets parallel jobs share one pretraining.
    """
    encoding = encoding_from(settings["encoding"])
    if settings["source_model"] is not None:
        model = load_model(Path(settings["source_model"]))
        if model.encoding != encoding:
            raise ValueError(
                f"source_model={settings['source_model']} was trained with {model.encoding}, this job uses {encoding}: set encoding to match"
            )
        return model
    pretraining = pretraining_settings(settings)
    survey = build_survey(pretraining["survey"])
    key = config_key({"job": pretraining, "data": reader_key(survey.reader), "paths": settings["paths"]})
    folder = Path(settings["paths"]["models"]) / f"{survey.name}-{key}" / f"seed{pretraining['seed']}"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        if (folder / "result.json").exists():
            log.info("source model: %s", folder)
            return load_model(folder)
        log.info("pretraining on %s, into %s", survey.name, folder)
        logger = CSVLogger(folder, name="", version="")
        row = job.run(pretraining, survey, FreezePolicy("from_scratch"), None, folder, logger, settings)
        close(logger, row)
        write_result(folder, {"config_key": key, "experiment": "pretraining", **row})
        log.info("pretraining on %s: macro AUROC %.3f on its own test part", survey.name, row["auroc_macro"])
        return load_model(folder)


def compose(overrides: Sequence[str], config_dir: str | None = None) -> Settings:
    """The settings these words of a command line give, without running anything.

    Raises:
        HydraException, OmegaConfBaseException: a word means nothing; see `one_sentence`.
    """
    own = [f"hydra.searchpath=[file://{Path(config_dir).resolve()}]"] if config_dir else []
    with hydra.initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
        config = hydra.compose("train", overrides=[*own, *overrides])
    settings: Settings = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    return settings


def build_survey(card: Mapping[str, Any]) -> Survey:
    """A survey from its card.

    Raises:
        ValueError: the card has a wrong or missing key.
    """
    try:
        survey: Survey = hydra.utils.instantiate(dict(card), _convert_="all")
    except hydra.errors.InstantiationException as error:
        raise (
            error.__cause__
            if isinstance(error.__cause__, ValueError)
            else ValueError(f"survey card {card.get('name')}: {error.__cause__ or error}")
        ) from error
    return survey


def make_logger(settings: Settings, folder: Path) -> Logger | None:
    """The job's logger; W&B is offline unless the user is logged in."""
    chosen = settings["logger"]
    if chosen["name"] == "none":
        return None
    if chosen["name"] == "csv":
        return CSVLogger(folder, name="", version="")
    import wandb

    offline = wandb.api.api_key is None or os.environ.get("WANDB_MODE") == "offline"
    simulated = [f"{role}:simulated" for role in ("source", "target") if settings[role]["simulated"]]
    logger = WandbLogger(
        project=chosen["project"], entity=chosen["entity"], save_dir=folder, offline=offline,
        group=settings["experiment_name"], job_type=settings["freeze_policy"]["name"],
        name=f"{settings['data_fraction']['name']}-seed{settings['seed']}", tags=[settings["target"]["name"], *simulated],
    )  # fmt: skip
    logger.log_hyperparams(settings)
    return logger


def close(logger: Logger | None, row: Row) -> None:
    """Log the test scores and end the run, so that the next job of a multirun gets its own."""
    if logger is None:
        return
    logger.log_metrics({f"test/{name}": value for name, value in row.items() if isinstance(value, float)})
    logger.finalize("success")
    if isinstance(logger, WandbLogger):
        import wandb

        wandb.finish()


def _said(error: Exception) -> str:
    """Hydra's message without its internals; its hint often hides in the cause."""
    text = f"{error}: {error.__cause__}" if isinstance(error, HydraException) and error.__cause__ else str(error)
    lines = text.split("Config search path")[0].splitlines()
    return "\n".join(
        line for line in lines if line.strip() and not line.strip().startswith(("full_key", "object_type"))
    )


def one_sentence(error: Exception) -> str | None:
    """What a user did wrong, or None if the error is ours."""
    mistakes = (HydraException, OmegaConfBaseException, ValueError, FileNotFoundError)
    return _said(error) if isinstance(error, mistakes) else None


def main() -> None:
    """`python -m tlclass.train`: a mistake on the command line exits with 2, failed jobs with 1; one sentence each."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # let errors through to here
    sweep = [word for word in sys.argv[1:] if word in ("-m", "--multirun")]  # Hydra wants it first or last
    sys.argv[1:] = sweep[:1] + [word for word in sys.argv[1:] if word not in sweep]
    try:
        app()
    except (HydraException, OmegaConfBaseException, ValueError, FileNotFoundError) as error:
        sys.stderr.write("\n".join(f"error: {said}" for said in FAILED or [_said(error)]) + "\n")
        raise SystemExit(1 if FAILED else 2) from None


if __name__ == "__main__":
    main()
