"""Entry point: pretrain on the source, transfer to the target, score. The only module that knows Hydra."""

import logging
import os
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import hydra
import numpy as np
import torch
from filelock import FileLock
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from lightning.pytorch.loggers import CSVLogger, Logger, WandbLogger
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from tlclass.atomic import write_json, write_text
from tlclass.checkpoint import TrainedModel, load_model, save_model
from tlclass.config import CONF
from tlclass.data import LightCurveDataModule
from tlclass.encode import encoding_from
from tlclass.evaluate import evaluate
from tlclass.model import build_classifier
from tlclass.options import build
from tlclass.result import Row, config_key, finished, start, write_result
from tlclass.seeds import stream
from tlclass.split import absent_classes
from tlclass.surveys.survey import Survey, reader_key
from tlclass.task import FitSettings, FitSummary, fit
from tlclass.transfer import FreezePolicy, TransferReport, assert_unchanged, frozen_copy, set_trainable, transfer

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
        FAILED.append(f"{folder}: {error}")
        log.error("%s failed: %s", folder, error)
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
    policy = build(FreezePolicy, settings["freeze_policy"], "freeze_policy")
    source = source_model(settings) if policy.load else None
    job = job_settings(settings, policy)
    row = train_and_score(job, policy, source, folder, make_logger(settings, folder), settings)
    row = {
        "config_key": key,
        "experiment": settings["experiment_name"],
        "source": settings["source"]["name"] if source else "",
        **row,
    }
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


def job_settings(settings: Settings, policy: FreezePolicy) -> Settings:
    """What `train_and_score` needs, for the target.

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
    job = pretraining_settings(settings)
    survey = build_survey(job["survey"])
    key = config_key({"job": job, "data": reader_key(survey.reader), "paths": settings["paths"]})
    folder = Path(settings["paths"]["models"]) / f"{survey.name}-{key}" / f"seed{job['seed']}"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        if (folder / "result.json").exists():
            log.info("source model: %s", folder)
            return load_model(folder)
        log.info("pretraining on %s, into %s", survey.name, folder)
        row = train_and_score(
            job, FreezePolicy("from_scratch"), None, folder, CSVLogger(folder, name="", version=""), settings
        )
        write_result(folder, {"config_key": key, "experiment": "pretraining", "source": "", **row})
        log.info("pretraining on %s: macro AUROC %.3f on its own test part", survey.name, row["auroc_macro"])
        return load_model(folder)


def train_and_score(
    job: Settings,
    policy: FreezePolicy,
    source: TrainedModel | None,
    folder: Path,
    logger: Logger | None,
    settings: Settings,
) -> Row:
    """Transfer, fit every stage of the policy, test, and save the model; returns the result row."""
    began = time.perf_counter()
    survey, encoding = build_survey(job["survey"]), encoding_from(job["encoding"])
    budget = {name: job["data_fraction"][name] for name in ("fraction", "count")}
    fit_settings = build(FitSettings, job["fit"], "fit")
    data = LightCurveDataModule(
        survey, encoding, job["model"].get("metadata", ()), {**job["protocol"], **budget},
        Path(settings["paths"]["cache"]), job["seed"], fit_settings.batch_size,
    )  # fmt: skip
    data.setup()
    model, report = prepare(job, policy, source, data)
    summary, identical = train(model, policy, data, fit_settings, folder, logger, settings)
    row = describe(job, policy, source, data, report, summary)
    row |= {"frozen_identical": identical, "seed": job["seed"]}
    row |= evaluate(model, data, folder)
    row |= {"simulated": survey.simulated, "source_simulated": bool(source and source.simulated)}
    training = {"source": source.survey if source else None, "policy": policy.name, "seed": job["seed"], "row": row}
    save_model(replace(model, training=training), folder)
    write_json(folder / "timing.json", {"seconds": time.perf_counter() - began})
    close(logger, row)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    return row


def prepare(
    job: Settings, policy: FreezePolicy, source: TrainedModel | None, data: LightCurveDataModule
) -> tuple[TrainedModel, TransferReport]:
    """The target's network with what the policy loads; prints the transfer report."""
    survey, head = data.survey, dict(job["head"])
    if head["name"] == "source":
        if source is None:
            raise ValueError(
                "head=source keeps the source model's head, but pretraining has no source model: choose pretrain.head.name=linear or mlp"
            )
        orphans = absent_classes(np.array(survey.taxonomy.class_map(source.classes)), data.classes)
        if orphans:
            raise ValueError(
                f"head=source: no class of the source ({', '.join(source.classes)}) belongs to {', '.join(orphans)}: "
                "list the source's class names in the target's taxonomy, or choose head=linear or head=mlp"
            )
        head |= {"source": dict(source.head), "class_map": list(survey.taxonomy.class_map(source.classes))}
        head["shares"] = (
            list(survey.taxonomy.shares_of(source.classes))
            if head.pop("use_shares") and survey.taxonomy.shares
            else None
        )
        policy = replace(policy, load=[*policy.load, "head.*"])
    classifier = build_classifier(
        job["model"], head, len(data.encoding.channels), len(data.classes), stream(job["seed"], "initialisation")
    )
    branch = getattr(classifier.encoder, "metadata", None)
    if branch is not None and data.split.budget:
        branch.standardise_by(torch.from_numpy(data.encoded.metadata[data.split.train]))
    state = source.classifier.state_dict() if source else None
    report = transfer(classifier, policy, _under_own_head(state, head), source.classes if source else (), data.classes)
    log.info("%s", report)
    missing = absent_classes(data.label[data.split.train], data.classes)
    if missing and data.split.budget:
        log.warning(
            "no training object of %s among the %d labels of seed %d: no weight, and scores near chance",
            ", ".join(missing),
            data.split.budget,
            job["seed"],
        )
    if not data.split.budget and any(part.new for part in report.parts):
        raise ValueError(
            "a budget of 0 labels trains nothing, so every part must come from the source: choose head=source and a freeze policy that loads the encoder"
        )
    reader = job["survey"].get("reader", {})
    given = {name: reader[name] for name in ("columns", "flux_unit", "time_offset") if name in reader}
    simulated = survey.simulated or bool(source and source.simulated)
    return TrainedModel(
        classifier,
        dict(job["model"]),
        head,
        data.encoding,
        survey.passbands,
        survey.taxonomy,
        survey.selection,
        survey.name,
        simulated,
        given,
    ), report


def _under_own_head(state: Mapping[str, torch.Tensor] | None, head: Settings) -> Mapping[str, torch.Tensor] | None:
    """A source state as `SourceHead` names it: its head lies one level deeper."""
    if state is None or head["name"] != "source":
        return state
    return {
        f"head.source.{name.removeprefix('head.')}" if name.startswith("head.") else name: t
        for name, t in state.items()
    }


def train(
    model: TrainedModel, policy: FreezePolicy, data: LightCurveDataModule, fit_settings: FitSettings,
    folder: Path, logger: Logger | None, settings: Settings,
) -> tuple[FitSummary | None, bool]:  # fmt: skip
    """Fit every stage; returns the last one's summary and that frozen tensors did not move."""
    if not data.split.budget:
        return None, True
    progress = sys.stderr.isatty() if settings["progress"] == "auto" else bool(settings["progress"])
    summary = None
    for number, (patterns, factor) in enumerate(policy.stages):
        set_trainable(model.classifier, patterns, policy.name)
        frozen = frozen_copy(model.classifier)
        stage = replace(fit_settings, learning_rate=fit_settings.learning_rate * factor)
        torch.manual_seed(stream(settings["seed"], f"fit/{number}"))
        summary = fit(
            model.classifier,
            data,
            stage,
            folder / "checkpoints" / f"stage{number}",
            settings["trainer"],
            logger,
            progress,
        )
        assert_unchanged(model.classifier, frozen)
    return summary, True


def describe(
    job: Settings,
    policy: FreezePolicy,
    source: TrainedModel | None,
    data: LightCurveDataModule,
    report: TransferReport,
    summary: FitSummary | None,
) -> Row:
    """The row's coordinates: what was trained on what."""
    split = data.split
    row: Row = {
        "target": data.survey.name,
        "policy": policy.name,
        "head": job["head"]["name"],
        "model": job["model"]["name"],
        "encoding": job["encoding"]["name"],
    }
    row |= {
        "budget": split.budget,
        "pool": split.pool,
        "n_train": len(split.train),
        "n_val": len(split.val),
        "n_test": len(split.test),
    }
    row |= {"trained_parameters": report.trained, "parameters": report.total}
    row |= {"absent_in_training": absent_classes(data.label[split.train], data.classes)}
    return row | (vars(summary) if summary else {})


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
