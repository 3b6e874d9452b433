"""Fixtures: a small generated survey and the command line, in-process where a process of its own is not the point.

The package is imported where it is used: the process that hands out the tests to others needs none of it, and torch takes seconds.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import gc
import inspect
import json
import logging
import multiprocessing
import os
import re
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import hypothesis
import numpy as np
import pytest
from filelock import FileLock

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tlclass.experiments.plan import Plan
    from tlclass.lightcurves.curves import LightCurves
    from tlclass.report.document import Gallery
    from tlclass.report.pages import Picture
    from tlclass.surveys.reader import Reader
    from tlclass.training.settings import FitSettings

# The same examples in every run, so that a change is judged by what it changes; `--hypothesis-profile=search` draws new ones.
hypothesis.settings.register_profile("search", derandomize=False)
hypothesis.settings.register_profile("same", derandomize=True, database=None)
hypothesis.settings.load_profile("same")
ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared" / "data"
SMALL = [
    "model.layers=1", "model.hidden=8", "model.dense=8", "model.latent=8", "progress=false", "trainer=cpu", "logger=none",
    "fit.batch_size=32", "fit.max_epochs=2", "fit.min_steps=8", "fit.learning_rate=0.01", "protocol.test=fixed",
    "pretrain.fit.batch_size=32", "pretrain.fit.max_epochs=1", "pretrain.fit.learning_rate=0.01",
]  # fmt: skip

Job = Callable[..., "Plan"]
Composed = Callable[..., dict[str, Any]]
# Folders that no other setting is made of: filled in after composing, so that tests share compositions.
FOLDERS = re.compile(r"paths\.(cache|models|results)=(.+)")


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    """From here to the end of the run cards are read once, see `tests.composed`; not where tests are only handed out.

    Garbage is collected rarely: looking for it took a fifth of the time of the tests, and finds little in what is imported.
    """
    gc.set_threshold(100_000, 20, 20)
    if not session.config.pluginmanager.hasplugin("dsession"):
        from tests.composed import kept

        settings = contextlib.ExitStack()
        settings.enter_context(kept())
        session.config.add_cleanup(settings.close)
    return (yield)


def pytest_collection_finish() -> None:
    """Leave what was imported out of garbage collections.

    pytest gives each logger that keeps its messages to itself a handler, three times per test; torch has fifty such loggers.
    """
    for name, logger in _loggers().items():
        if name.startswith(("torch", "strobelight")):
            logger.handlers.clear()
            logger.propagate = True
    gc.collect()
    gc.freeze()


Once = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """`once("name", make)`: a folder that `make` filled in one of the processes of this run of tests; the others wait for it."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def folder(name: str, make: Callable[[Path], object]) -> Path:
        shared, made = base / name, base / f"{name}.made"
        with FileLock(base / f"{name}.lock"):
            if not made.exists():
                shared.mkdir(exist_ok=True)
                make(shared)
                made.touch()
        return shared

    return folder


@pytest.fixture(scope="session")
def data(once: Once) -> Path:
    """A data folder with `ztf_bts` and `plasticc`; read only."""
    from tests.data.raw_surveys import write_all

    return once("data", write_all)


@pytest.fixture(scope="session")
def cache(once: Once) -> Path:
    return once("cache", lambda folder: None)


@pytest.fixture(scope="session")
def models(once: Once) -> Path:
    """Pretrained models, shared by the tests as users share them."""
    return once("models", lambda folder: None)


def compose(words: Sequence[str]) -> dict[str, Any]:
    """The settings of these words of a command line; a test may change them."""
    return copy.deepcopy(shared(words))


def shared(words: Sequence[str]) -> dict[str, Any]:
    """The same, which no test may change."""
    folders = [match for match in map(FOLDERS.fullmatch, words) if match]
    config = _composed(tuple(word for word in words if not FOLDERS.fullmatch(word)))
    return {**config, "paths": {**config["paths"], **{match[1]: match[2] for match in folders}}}


def fit_of(*overrides: str) -> FitSettings:
    """The settings of the fit that these words give."""
    from tlclass.experiments.fitting import fit_from

    return fit_from(compose(overrides), trust=False)


@functools.cache
def _composed(words: tuple[str, ...]) -> dict[str, Any]:
    from tlclass.experiments import composition

    return composition.compose(words)


@pytest.fixture(scope="session")
def small(data: Path, cache: Path, models: Path) -> list[str]:
    """Words for a small network, few steps and generated data."""
    paths = {"data": data, "cache": cache, "models": models}
    return [*SMALL, *(f"paths.{name}={path}" for name, path in paths.items())]


@pytest.fixture
def overrides(small: list[str], tmp_path: Path) -> list[str]:
    """The same with results under tmp_path, for a command line."""
    return [*small, f"paths.results={tmp_path / 'results'}"]


@pytest.fixture(scope="session")
def settings(small: list[str]) -> Job:
    """`settings("freeze_policy=full", ...)`: the plan of a small job."""
    from tlclass.experiments.plan import plan_from

    return lambda *more: plan_from(shared([*small, *more]))


@pytest.fixture(scope="session")
def composed(small: list[str]) -> Composed:
    """The composed settings of the same job, for a test that changes what no word can."""
    return lambda *more: compose([*small, *more])


@pytest.fixture(scope="session")
def scratch_job(settings: Job, once: Once) -> Path:
    """The folder of a job trained from scratch; read only."""
    from tlclass.experiments.run import run_job

    return once("scratch", functools.partial(run_job, settings("freeze_policy=from_scratch")))


@pytest.fixture
def train_cli(
    monkeypatch: pytest.MonkeyPatch, overrides: list[str], restored_logging: None, without_figures: None
) -> Callable[..., None]:
    """`python -m tlclass.train` in this process, with the small overrides before the given ones; reports have no figures."""
    from tlclass import train

    def call(*more: str) -> None:
        monkeypatch.setattr(sys, "argv", ["tlclass.train", *overrides, *more])
        train.main()

    return call


def keep_undrawn(gallery: Gallery, name: str, figure: object, caption: str) -> Picture:
    """In place of `Gallery.keep`: figures are made and not written, which takes most of a report's time."""
    from tlclass.report.pages import Picture

    return Picture(gallery.folder / f"{name}.png", caption, f"<svg>{name}</svg>")


def figures_made() -> Iterator[tuple[ModuleType, str]]:
    """The functions that make the figures of a report, which takes as long as four small jobs; report/test_report.py calls them all."""
    from matplotlib.figure import Figure

    from tlclass.report import diagnostics, figures, mistakes

    for module in (diagnostics, figures, mistakes):
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__ and function.__annotations__.get("return") is Figure:
                yield module, name


def nothing(*_: Any, **__: Any) -> None:
    """In place of what makes a figure."""


@pytest.fixture
def inline_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are drawn in the pages of a report, and not written to files."""
    from tlclass.report.document import Gallery

    monkeypatch.setattr(Gallery, "keep", keep_inline)


def keep_inline(gallery: Gallery, name: str, figure: Figure, caption: str) -> Picture:
    """In place of `Gallery.keep`: PNG and PDF take two thirds of its time."""
    from tlclass.report.pages import Picture
    from tlclass.report.svg import inline_svg

    figure.draw_without_rendering()
    figure.set_layout_engine(None)
    return Picture(gallery.folder / f"{name}.png", caption, inline_svg(figure, f"{gallery.folder.name}-{name}"))


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """See `keep_undrawn`."""
    from tlclass.report.document import Gallery

    monkeypatch.setattr(Gallery, "keep", keep_undrawn)


@pytest.fixture
def without_figures(monkeypatch: pytest.MonkeyPatch, undrawn: None) -> None:
    """See `figures_made`."""
    for module, name in figures_made():
        monkeypatch.setattr(module, name, nothing)


@pytest.fixture
def restored_logging() -> Iterator[None]:
    """Hydra replaces the root logger's handlers; put them back."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers, root.level = handlers, level


@pytest.fixture(autouse=True)
def _loggers_as_before() -> Iterator[None]:
    """Hydra disables the loggers that were there before it, and notebooks make ours quiet; undo both."""
    before = {name: logger.level for name, logger in _loggers("tlclass").items()}
    yield
    for logger in _loggers().values():
        logger.disabled = False
    for name, logger in _loggers("tlclass").items():
        level = before.get(name, logging.NOTSET)
        if logger.level != level:  # setting it takes time even if it is the same
            logger.setLevel(level)


def _loggers(package: str = "") -> dict[str, logging.Logger]:
    known = logging.Logger.manager.loggerDict
    return {
        name: logger
        for name, logger in known.items()
        if name.startswith(package) and isinstance(logger, logging.Logger)
    }


def run_process(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python -m ...` as a user starts it."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )


def start_forked(
    words: Sequence[str],
    cwd: Path,
    said_in: Path,
    drawn: Sequence[str] = (),
    forked_workers: bool = False,
    first: Callable[[], None] = lambda: None,
    **environment: str | None,
) -> BaseProcess:
    """`tlclass.train` with these words in a process group of its own, which has imported everything already.

    What it writes goes to the file `said_in`; of the figures of a report only those in `drawn` are made and written; a variable
    of the environment that is None is taken away. `exitcode` is that of the command, negative for a signal. With `forked_workers`
    the workers of `launcher=joblib` are forked too; as they start for a user, each of them imports for 5 s. `first` is called
    in the new process before the command.
    """
    from tlclass import train
    from tlclass.experiments import run as _  # noqa: F401  # what the command imports when it begins
    from tlclass.report.document import Gallery

    def run() -> None:
        os.setsid()
        if forked_workers:
            from joblib.externals.loky.backend.context import set_start_method

            warnings.filterwarnings("ignore", "`fork` start method should not be used", UserWarning)
            set_start_method("fork")
        keep = Gallery.keep

        def keep_some(gallery: Gallery, name: str, *rest: Any) -> Picture:
            return (keep if name in drawn else keep_undrawn)(gallery, name, *rest)

        Gallery.keep = keep_some  # type: ignore[method-assign]
        for module, name in figures_made():
            if name not in drawn:
                setattr(module, name, nothing)
        os.chdir(cwd)
        os.environ["OMP_NUM_THREADS"] = "1"  # of its own children
        os.environ["PYTHONPATH"] = str(ROOT)
        for name in [name for name, value in environment.items() if value is None]:
            os.environ.pop(name, None)
        os.environ |= {name: value for name, value in environment.items() if value is not None}
        descriptor = os.open(said_in, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for stream in (1, 2):
            os.dup2(descriptor, stream)
        sys.stdout, sys.stderr = (open(stream, "w", buffering=1, closefd=False) for stream in (1, 2))  # noqa: SIM115
        logging.getLogger().handlers.clear()  # pytest's
        for name, logger in _loggers().items():
            if name.startswith("lightning"):  # takes handlers of its own where it is imported before there are any
                logger.handlers.clear()
                logger.propagate = True
        sys.argv = ["tlclass.train", *words]
        code: Any = 1
        try:
            first()
            train.main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        except BaseException:
            traceback.print_exc()
        finally:  # at once: what pytest has for its own end is not this process's
            sys.stdout.flush()
            os._exit(int(code))

    process = multiprocessing.get_context("fork").Process(target=run)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads of libraries, which the child does not use
        process.start()
    return process


@pytest.fixture
def forked_pools(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Pools of readers and simulators fork instead of importing everything in each process; surveys/test_alerts.py has a real one."""
    from tlclass.simulator import chunks
    from tlclass.surveys import parallel

    for module in (parallel, chunks):
        monkeypatch.setattr(module, "get_context", lambda method: multiprocessing.get_context("fork"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads of libraries, which the pool does not use
        yield


@pytest.fixture(scope="session", autouse=True)
def _packages_listed_once() -> Iterator[None]:
    """Each of Lightning's trainers asks all installed packages for callbacks; they stay the same in a run of tests."""
    from lightning.fabric.utilities import registry

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "entry_points", functools.cache(registry.entry_points))
        yield


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def make_curves(
    n: int = 30, seed: int = 0, passbands: tuple[str, ...] = ("ztfg", "ztfr"), longest: int = 40
) -> LightCurves:
    """Random valid light curves whose trigger is in `trigger_mjd`."""
    from tlclass.lightcurves.curves import from_columns

    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, longest, n)
    owner = np.repeat(np.arange(n), lengths)
    n_obs = len(owner)
    names = np.array([f"object{number}" for number in range(n)])
    observations = {
        "object_id": names[owner], "mjd": 59000 + generator.uniform(-30, 70, n_obs), "passband": generator.integers(0, len(passbands), n_obs),
        "flux": generator.normal(300, 400, n_obs), "flux_err": generator.uniform(5, 50, n_obs), "detected": generator.random(n_obs) < 0.7,
    }  # fmt: skip
    objects = {
        "object_id": names,
        "label": np.array(["SN Ia", "SN II", "TDE"])[np.arange(n) % 3],
        "mwebv": generator.uniform(0, 0.4, n),
    }
    objects |= {"trigger_mjd": np.full(n, 59000.0), "field": np.arange(n) % 4}
    return from_columns(objects, observations, passbands, "generated")


@pytest.fixture
def curves() -> LightCurves:
    return make_curves()


def shared_data(name: str) -> Path:
    """A folder of real or published data beside the checkout; the test is skipped where it is absent."""
    if not (SHARED / name).is_dir():
        pytest.skip(f"{SHARED / name} is not on this machine")
    return SHARED


def result(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "result.json").read_text())  # type: ignore[no-any-return]


def validations(folder: Path) -> list[dict[str, float]]:
    """The history of a job without its seconds, the only thing in it that differs from run to run."""
    lines = json.loads((folder / "history.json").read_text())
    assert [line["seconds"] for line in lines] == sorted(line["seconds"] for line in lines)
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def jobs(folder: Path) -> list[str]:
    """The finished jobs below a folder."""
    return sorted(str(path.parent.relative_to(folder)) for path in folder.rglob("result.json"))


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """The `error:` lines; a traceback is never what a user should see."""
    text = capsys.readouterr().err
    assert "Traceback" not in text
    lines = [line for line in text.splitlines() if line.startswith("error: ")]
    assert lines, text
    return "\n".join(lines)


def refused(capsys: pytest.CaptureFixture[str], command: Callable[..., object], *words: Any) -> str:
    """The one sentence with which a command of the command line refuses these words: the last line that it writes."""
    with pytest.raises(SystemExit) as ended:
        command(*words)
    *before, sentence = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2 and sentence.startswith("error: ")
    assert not any(line.startswith(("error: ", "Traceback")) for line in before)
    return sentence


def read_cached(reader: Reader, folder: Path) -> LightCurves:
    """What `reader` reads, by way of the cache."""
    from tlclass.lightcurves import arrow
    from tlclass.surveys.reader import pieces_of
    from tlclass.surveys.survey import cached

    return arrow.read(cached(pieces_of(reader), folder))


def equal_curves(a: LightCurves, b: LightCurves) -> bool:
    """Whether every column is equal (NaN equals NaN)."""
    names = [name for name in vars(a) if name not in ("extra", "passbands", "dropped")]
    equal = all(
        np.array_equal(getattr(a, name), getattr(b, name), equal_nan=getattr(a, name).dtype.kind == "f")
        for name in names
    )
    extras = a.extra.keys() == b.extra.keys() and all(
        np.array_equal(a.extra[name], b.extra[name], equal_nan=a.extra[name].dtype.kind == "f") for name in a.extra
    )
    return equal and extras and a.passbands == b.passbands and a.dropped == b.dropped
