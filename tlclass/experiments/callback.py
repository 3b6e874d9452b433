"""Hydra's callbacks before, between and after the jobs of a sweep, with any launcher."""

import itertools
import os
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, ValueType
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict

from tlclass import stopping
from tlclass.experiments.axes import replaced, subdir, varied
from tlclass.experiments.composition import one_sentence, plain, without_lists
from tlclass.experiments.devices import NO_DEVICE, cuda_devices
from tlclass.experiments.sweep import Ledger, by_reason, open_ledger
from tlclass.options import Size, checked
from tlclass.quoting import shortened

HERE = ("basic", "joblib")  # launchers whose jobs run on this machine


class SweepLedger(Callback):
    """Opens the ledger of a sweep, notes every job in it, and writes a line whenever a job ends.

    Hydra sends a copy to every process that runs jobs; it carries the ledger there.
    """

    def __init__(self) -> None:
        self.ledger: Ledger | None = None
        self.starter = os.getpid()
        self.obeys = False

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Decide the axes and open the ledger, in the process that starts the sweep."""
        refuse_no_place(config)
        settle_axes(config)
        jobs = jobs_of(config)
        refuse_twice(jobs or ())
        if config.hydra.runtime.choices["hydra/launcher"] in HERE:
            refuse_wrong(config)
        self.ledger = open_ledger(Path(config.hydra.sweep.dir), jobs)

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Note the job, in the process that runs it."""
        if self.ledger is None:
            return
        stopping.share(self.ledger.stop)
        if not self.obeys and os.getpid() != self.starter and os.getppid() == self.starter:
            stopping.obey(self.starter)
            self.obeys = True
        if stopping.asked() is None:
            self.ledger.note(config.hydra.job.num, Path(config.hydra.runtime.output_dir))

    def on_job_end(self, config: DictConfig, job_return: Any, **kwargs: Any) -> None:
        """Write how far the sweep is."""
        seen = self.ledger and self.ledger.progress()
        if seen and stopping.asked() is None:
            sys.stderr.write(f"sweep: {seen}\n")


def settle_axes(config: DictConfig) -> None:
    """Decide which settings the sweep varies, and put each of them into the names of the job folders.

    An arm replaces an experiment's axes of freeze policies and methods, and a list of sources is one choice.
    """
    for name in ("n_jobs", "at_once", "jobs_per_device"):
        if name in config.launcher:
            refuse_wrong_size(config.launcher[name], f"launcher.{name}")
    params = config.hydra.sweeper.params or {}
    words = as_written(config.hydra.overrides.task)
    axes = varied(params, words)
    with open_dict(config):
        for axis in replaced(params, words):
            del params[axis]
        if "source" in params:
            params["source"] = without_lists(f"source={params['source']}").removeprefix("source=")
        if not any(word.startswith("hydra.sweep.subdir=") for word in as_written(config.hydra.overrides.hydra)):
            arm_chosen = "arm" in axes or config.hydra.runtime.choices.arm is not None
            config.hydra.overrides.hydra.append(f'hydra.sweep.subdir="{subdir(axes, arm_chosen)}"')


def as_written(words: ListConfig) -> list[str]:
    """Words of the command line with their interpolations, which mean nothing before a job begins."""
    written: list[str] = OmegaConf.to_container(words, resolve=False)  # type: ignore[assignment]
    return written


def refuse_wrong_size(number: object, what: str) -> None:
    """Exit unless `number` is a whole number above 0.

    Raises:
        SystemExit: 2.
    """
    try:
        checked(number, Size, what)
    except ValueError as error:
        _exit(str(error))


def refuse_no_place(config: DictConfig) -> None:
    """Exit if jobs should go to SLURM from a machine that has none, or to CUDA devices that are not there.

    Raises:
        SystemExit: 2.
    """
    if config.hydra.runtime.choices["hydra/launcher"] == "submitit_slurm" and shutil.which("srun") is None:
        _exit(
            "launcher=slurm: this machine has no srun: start the sweep on a login node of the cluster, or use launcher=joblib"
        )
    if config.launcher.name == "cuda" and not cuda_devices():
        _exit(NO_DEVICE)


def refuse_twice(jobs: Sequence[str]) -> None:
    """Exit if a sweep has a job twice, so that every number of jobs that is stated means different ones.

    Raises:
        SystemExit: 2.
    """
    twice = next((job for job, count in Counter(jobs).items() if count > 1), None)
    if twice is not None:
        _exit(f"the sweep has the job {shortened(twice)} more than once: give each value of an axis once")


def refuse_wrong(config: DictConfig) -> None:
    """Exit if every job of a sweep has wrong settings, before any begins; what is wrong with some only, these jobs say.

    Raises:
        SystemExit: 2.
    """
    from tlclass.experiments.plan import plan_from

    reasons = {}
    for job, words in zip(jobs_of(config) or (), itertools.product(*values_of(config)), strict=False):
        try:
            settings = GlobalHydra.instance().config_loader().load_sweep_config(config, list(words))
            with open_dict(settings):
                del settings["hydra"]
            plan_from(plain(settings))
            return
        except Exception as error:
            said = one_sentence(error)
            if said is None:  # no mistake of the user: the job fails with all that can be said
                return
            reasons[job] = said
    if reasons:
        _exit("\nerror: ".join(by_reason(reasons)).removeprefix(": "))  # a single job has no name


def _exit(message: str) -> NoReturn:
    """End the command; Hydra turns other exceptions of a callback into warnings."""
    sys.stderr.write(f"error: {message}\n")
    raise SystemExit(2)


def jobs_of(config: DictConfig) -> list[str] | None:
    """What the sweep sets in each of its jobs, in their order: `seed=0 labels=50`; None with another sweeper or an axis `glob(...)`.

    The command line's axes replace the experiment's.
    """
    if config.hydra.runtime.choices.get("hydra/sweeper") != "basic":
        return None
    given = given_in(config)
    if any(override.value_type is ValueType.GLOB_CHOICE_SWEEP for override in given.values()):
        return None  # which the sweeper alone expands
    axes = [
        values
        for values, override in zip(values_of(config), given.values(), strict=True)
        if override.is_sweep_override()
    ]
    return [" ".join(word.lstrip("+") for word in job) for job in itertools.product(*axes)]


def values_of(config: DictConfig) -> list[list[str]]:
    """The words of each setting of the command line and of the sweep: one, or those of its axis."""
    return [
        [f"{key}={value}" for value in o.sweep_string_iterator()] if o.is_sweep_override() else [str(o.input_line)]
        for key, o in given_in(config).items()
    ]


def given_in(config: DictConfig) -> dict[str, Override]:
    """Key -> its setting in the experiment's sweep, which the command line replaces."""
    words = [*(f"{name}={value}" for name, value in (config.hydra.sweeper.params or {}).items())]
    overrides = OverridesParser.create().parse_overrides([*words, *as_written(config.hydra.overrides.task)])
    return {override.get_key_element(): override for override in overrides}
