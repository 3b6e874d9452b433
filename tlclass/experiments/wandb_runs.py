"""Weights & Biases: runs that need no login, come back after an interruption, keep quiet, and hand on model folders."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from lightning.pytorch.loggers import WandbLogger

from tlclass.experiments.logged_run import Run, number_of, remember
from tlclass.network.checkpoint import DESCRIPTION, WEIGHTS
from tlclass.quoting import sentence

LONGEST_TAG = 64  # characters that W&B takes
CHOSEN = ("offline", "dryrun", "disabled")  # values of WANDB_MODE that keep runs on this machine


class Wandb(WandbLogger):
    """One run of W&B per job.

    Args:
        run: what it shows.
        project, entity: where it belongs; `entity: null` is the user's own.
        artifacts: hand the model's folder on as an artifact, with its source models as inputs.
    """

    def __init__(self, run: Run, project: str, entity: str | None = None, artifacts: bool = False) -> None:
        number = number_of(run.folder, "wandb") or uuid4().hex[:12]
        begun = begin(
            run.folder, project, entity, id=number, resume="allow", name=run.name, group=run.group, job_type=run.job_type,
            tags=run.tags, notes=run.notes, config=dict(run.config or {}),
        )  # fmt: skip
        remember(run.folder, "wandb", number)
        begun.define_metric("trainer/global_step")
        begun.define_metric("*", step_metric="trainer/global_step", step_sync=True)
        super().__init__(experiment=begun, project=project)
        self.artifacts = artifacts
        if artifacts and not begun.offline:  # W&B looks inputs up in its own store
            with reached():
                for folder in run.inputs:
                    begun.use_artifact(model_artifact(folder))

    def end(self, folder: Path, succeeded: bool) -> None:
        """End the run, handing on the model in `folder` if it is wanted and there."""
        run: Any = self.experiment
        if self.artifacts and succeeded and (folder / DESCRIPTION).exists():
            run.log_artifact(model_artifact(folder))
        run.finish(exit_code=0 if succeeded else 1)


def begin(folder: Path, project: str, entity: str | None, tags: Sequence[str], **more: Any) -> Any:
    """A run of W&B that writes nothing to the console; on this machine only, unless the user is logged in.

    Args:
        folder: where W&B leaves its files.
        project, entity: see `Wandb`.
        tags: shortened where W&B would refuse them.
        more: for `wandb.init`.

    Raises:
        ValueError: see `reached`.
    """
    import wandb

    quiet = wandb.Settings(silent=True, console="off")
    wandb.setup(settings=quiet)
    folder.mkdir(parents=True, exist_ok=True)
    short = list(dict.fromkeys(tag[:LONGEST_TAG] for tag in tags))
    with reached():
        return wandb.init(
            project=project, entity=entity, dir=folder, tags=short, mode=mode(), reinit="create_new", settings=quiet,
            **more,
        )  # fmt: skip


@contextmanager
def reached() -> Iterator[None]:
    """Where W&B refuses the user's key or cannot be reached, say so in one sentence.

    Raises:
        ValueError: what W&B said, and how to go on without it.
    """
    import wandb

    try:
        yield
    except wandb.Error as error:
        raise ValueError(
            f"W&B cannot be used ({sentence(error, 200)}): log in with `wandb login`, set WANDB_MODE=offline to keep the runs on this machine "
            "(`wandb sync` uploads them later), or choose logger=csv"
        ) from error


def mode() -> Any:
    """`online` where the user is logged in, else `offline`; what WANDB_MODE says goes first."""
    import wandb

    chosen = os.environ.get("WANDB_MODE")
    if chosen in CHOSEN:
        return "disabled" if chosen == "disabled" else "offline"
    return "online" if wandb.login(prompt=False, verify=False) else "offline"


def model_artifact(folder: Path) -> Any:
    """The two files of a model as an artifact; the same files are the same artifact, whoever names them."""
    import wandb

    name = re.sub(r"[^\w.-]", "_", "-".join(folder.resolve().parts[-4:]))
    artifact = wandb.Artifact(name, type="model")
    for name in (DESCRIPTION, WEIGHTS):
        artifact.add_file(str(folder / name))
    return artifact
