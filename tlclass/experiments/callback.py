"""What Hydra calls before, between and after the jobs of a sweep, whatever the launcher."""

import math
import os
import sys
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, open_dict

from tlclass import stopping
from tlclass.experiments.composition import without_lists
from tlclass.experiments.sweep import Ledger, open_ledger


class SweepLedger(Callback):
    """Opens the ledger of a sweep, notes every job in it, and writes a line whenever a job ends.

    Hydra sends a copy to every process that runs jobs; it carries the ledger there.
    """

    def __init__(self) -> None:
        self.ledger: Ledger | None = None
        self.starter = os.getpid()
        self.obeys = False

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Settle the axes and open the ledger, in the process that starts the sweep."""
        settle_axes(config)
        self.ledger = open_ledger(Path(config.hydra.sweep.dir), number_of_jobs(config))

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
    """A group chosen on the command line replaces an experiment's axis inside it: `data_fraction=n100` that of `.count`."""
    axes = config.hydra.sweeper.params or {}
    groups = {word.split("=")[0] for word in config.hydra.overrides.task}
    with open_dict(config):
        for axis in [axis for axis in axes if "." in axis and axis.split(".")[0] in groups]:
            del axes[axis]
        if "source" in axes:
            axes["source"] = without_lists(f"source={axes['source']}").removeprefix("source=")


def number_of_jobs(config: DictConfig) -> int | None:
    """The product of the axes' lengths, the command line's replacing the experiment's; None with another sweeper."""
    if config.hydra.runtime.choices.get("hydra/sweeper") != "basic":
        return None
    words = [*(f"{name}={value}" for name, value in (config.hydra.sweeper.params or {}).items())]
    overrides = OverridesParser.create().parse_overrides([*words, *config.hydra.overrides.task])
    lengths = {o.key_or_group: sum(1 for _ in o.sweep_iterator()) if o.is_sweep_override() else 1 for o in overrides}
    return math.prod(lengths.values())
