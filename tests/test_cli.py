import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tlclass import __version__, cli, train
from tlclass.config import CONF
from tlclass.experiments.usage import commented, help_text

HEAVY = ("torch", "lightning", "pandas", "pyarrow", "matplotlib", "astropy", "wandb")


def test_every_command_of_the_package_is_listed_and_every_listed_one_is_a_command() -> None:
    files = {path.stem.replace("_", "-"): path for path in (ROOT / "tlclass").glob("*.py")}
    commands = {name for name, path in files.items() if '__name__ == "__main__"' in path.read_text()} - {
        "cli",
        "--main--",
    }
    commands |= {path.parent.name for path in (ROOT / "tlclass").glob("*/__main__.py")}
    assert commands == set(cli.COMMANDS)


def test_help_lists_the_commands_with_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["--help"]):
        cli.main(words)
        lines = capsys.readouterr().out.splitlines()
        for name in cli.COMMANDS:
            assert [line for line in lines if line.split()[:1] == [name] and cli.COMMANDS[name] in line]


def test_the_report_starts_as_a_process_of_its_own(tmp_path: Path) -> None:
    """It does not wait for torch, which takes longer than all that it does import."""
    words = [sys.executable, "-X", "importtime", "-m", "tlclass.report", str(tmp_path)]
    ended = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=170, check=False)
    lines = ended.stderr.splitlines()
    imported = {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}
    assert "matplotlib" in imported and not {"torch", "lightning"} & imported
    [said] = [line for line in lines if not line.startswith("import time:")]
    assert ended.returncode == 2 and str(tmp_path) in said and said.startswith("error: ")


def test_a_model_does_not_wait_for_what_only_training_needs() -> None:
    """Importing Lightning takes longer than torch and all that a prediction needs."""
    code = "import sys, tlclass\ntlclass.Model\nprint([name for name in ('lightning', 'matplotlib') if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=170, check=True)
    assert run.stdout == "[]\n"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["--version"])
    assert __version__ in capsys.readouterr().out


def test_an_unknown_command_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["trian"])
    message = capsys.readouterr().err
    assert ended.value.code == 2 and "trian" in message and "did you mean train" in message


def test_a_command_gets_the_words_behind_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    monkeypatch.setattr(train, "main", lambda: seen.append(sys.argv))
    monkeypatch.setattr(sys, "argv", [])
    cli.main(["train", "seed=1", "-m"])
    assert seen == [["tlclass train", "seed=1", "-m"]]


@pytest.mark.parametrize("command", ["inspect", "simulate"])
def test_a_command_that_fails_ends_with_its_code(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [])
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "survey=none_simulated", "-o", "none.parquet"])
    assert ended.value.code == 2


@pytest.mark.parametrize("command", ["inspect", "simulate"])
def test_ctrl_c_is_one_word(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*words: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"tlclass.{command}.compose", stopped)
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "survey=ztf_simulated", "-o", str(tmp_path / "set.parquet")])
    assert ended.value.code == 130 and capsys.readouterr().err == "interrupted\n"


def test_the_help_of_train_fits_a_screen_and_keeps_the_comments_of_its_file() -> None:
    text = help_text()
    lines = text.splitlines()
    assert 24 <= len(lines) <= 48 and max(map(len, lines)) <= 120
    written = (CONF / "train.yaml").read_text().split("\nhydra:")[0].splitlines()
    for key, _, comment in commented(written):
        assert any(line.split()[0].split("=")[0] == key and comment in line for line in lines if line.strip()), key
    for word in (
        "source=",
        "freeze_policy=full",
        "method=",
        "adapt=",
        "labels=all",
        "logger=",
        "experiment=...",
        "debug=...",
    ):
        assert word in text
    assert "null" not in text.split("keys:")[0] and "${" not in text
    assert "data_fraction" not in text  # its word is labels
    assert "paths.data=FOLDER" in text


@pytest.mark.parametrize(
    "words",
    [
        ["tlclass.cli", "--help"],
        ["tlclass.train", "--help"],
        ["tlclass.train", "+experiment=ztf2lsst", "--cfg", "job"],
        ["tlclass.train", "fit.learning_rat=1"],
        ["tlclass.train", "target=bst"],
        ["tlclass.train", "trainr=cpu", "-m"],
    ],
    ids=" ".join,
)
def test_help_and_the_answer_to_a_typo_import_nothing_heavy(words: list[str], tmp_path: Path) -> None:
    """What they cost is what they import; seconds differ from machine to machine."""
    code = (
        "import runpy, sys\n"
        f"sys.argv = {words!r}\n"
        "try:\n    runpy.run_module(sys.argv[0], run_name='__main__')\n"
        f"finally:\n    print('IMPORTED', [name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=170, check=False
    )
    assert "IMPORTED []" in run.stdout, run.stdout[-500:] + run.stderr[-500:]
    assert not list(tmp_path.iterdir())
    typo = not {"--help", "--cfg"} & set(words)
    assert run.returncode == (2 if typo else 0)
    assert len(re.findall(r"^error: ", run.stderr, re.MULTILINE)) == typo
    assert "HYDRA" not in run.stderr and "Error executing" not in run.stderr and "Traceback" not in run.stderr


def test_python_m_tlclass_is_tlclass(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["tlclass", "--version"])
    runpy.run_module("tlclass", run_name="__main__")
    assert capsys.readouterr().out.startswith("tlclass ")


MISWRITTEN = {
    "predict ztf x.csv": "required: -o/--output",
    "predict ztf x.csv -o y --covrage 0.9": "--covrage 0.9 (did you mean --coverage?)",
    "inspect --ouput x": "--ouput (did you mean --output?)",
    "adapt ztf x.csv -o y --sed 3": "--sed 3 (did you mean --seed?)",
    "choose ztf x.csv -n five": "-n is 'five': give a whole number",
    "stream ztf x.csv -o y --state z --grace long": "--grace is 'long': give a finite number",
    "fetch nothing --folder x": "'nothing'",
}


@pytest.mark.parametrize("words", MISWRITTEN)
def test_a_word_that_no_command_takes_is_one_sentence(
    words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["tlclass"])  # which the command replaces
    with pytest.raises(SystemExit) as stop:
        cli.main(words.split())
    said, command = capsys.readouterr().err, words.split()[0]
    assert stop.value.code == 2 and said.startswith("error: ") and said.count("\n") == 1
    assert MISWRITTEN[words] in said and said.endswith(f"; tlclass {command} --help lists what there is\n")
