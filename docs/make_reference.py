"""Write docs/configuration.md: every setting of the plan with its type, default and meaning, and every group with its files.

python docs/make_reference.py
"""

import re
import typing
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from tlclass.config import CONF
from tlclass.experiments.composition import compose
from tlclass.experiments.plan import Paths, Pretraining, Scalars
from tlclass.experiments.usage import LABELS, commented
from tlclass.inputs.augmentation import Augmentation
from tlclass.inputs.split import Protocol
from tlclass.training.settings import FitSettings

PAGE = Path(__file__).with_name("configuration.md")
HEAD = """# Configuration

This page lists the settings of `tlclass train`, `evaluate` and `inspect`, and the files of each group.

- Set a value on the command line: `fit.learning_rate=3e-3`. Choose a file of a group by its name: `encoding=context`.
- `tlclass train ... --cfg job` shows all settings of a command and runs nothing.
- The options of a single file, such as `adapt.beside`, are in that file, `conf/GROUP/NAME.yaml`.

`docs/make_reference.py` writes this page from the typed plan and from `conf/`.
"""
SECTIONS: dict[str, tuple[str, type, type, str]] = {  # heading: place, class of the fields, class of the docstring, introduction
    "General": ("", Scalars, Scalars, "Settings that belong to no group."),
    "Test part and labels": ("protocol", Protocol, Protocol, "How objects are split into training, validation and test."),
    "Fit": ("fit", FitSettings, FitSettings, "How long and how fast a network is trained. Loss, optimizer and schedule are groups."),
    "Source model": ("pretrain", Pretraining, Pretraining, "How the source model is trained; `pretrain.fit` has the keys of `fit`."),
    "Augmentation": ("augmentation", Augmentation, Augmentation, "What is changed in training light curves; `pretrain.augmentation` is that of the source."),
    "Folders": ("paths", Paths, Paths, "Where files lie."),
}  # fmt: skip
ELSEWHERE = {
    "loss",
    "optimizer",
    "schedule",
    "head",
    "protocol",
    "augmentation",
    "fit",
}  # groups or sections of their own
WORDS = {
    "bool": "true or false",
    "int": "whole number",
    "float": "number",
    "str": "text",
    "Path": "folder",
    "NoneType": "null",
    "Labels": "number of labels, percentage or all",
    "Sequence": "list",
    "tuple": "list",
}
OTHERS = {
    "sizes": "whole number per survey",
    "trust": "true, false or list of packages",
}  # of `train.yaml`, with their kinds
GROUPS = {
    "experiment": "A source, a target, a recipe and the axes of a sweep.",
    "survey": "Cards of surveys; `source=NAME` and `target=NAME` choose one. A card states where to get the data. See [Which file goes where](surveys.md).",
    "arm": "Complete recipes that are compared.",
    "method": "How the labels are used.",
    "freeze_policy": "What is loaded from the source model and what is trained.",
    "encoding": "How observations become the input of the network.",
    "model": "The encoder: from observations to a latent vector.",
    "head": "From the latent vector to classes; `head@pretrain.head` is that of the source model.",
    "adapt": "Adaptation of the source networks to unlabelled light curves of the target.",
    "labelling": "Which objects of the pool get the labels.",
    "augmentation": "Changes of training light curves.",
    "loss": "The loss of an object; `loss@pretrain.loss` is that of the source model.",
    "optimizer": "The optimizer; its learning rate is `fit.learning_rate`.",
    "schedule": "Schedule of the learning rate; `schedule@pretrain.schedule` is that of the source model.",
    "taxonomy": "Classes and the labels that belong to them; `taxonomy@target.taxonomy=NAME`.",
    "passbands": "Passbands with their wavelengths; `passbands@target.passbands=NAME`.",
    "population": "Populations of transients for the simulator.",
    "trainer": "The devices that train.",
    "launcher": "Where the jobs of a sweep run.",
    "logger": "Dashboards; several as `logger=[csv,wandb]`.",
    "callbacks": "Callbacks of Lightning.",
    "debug": "Short runs that look for mistakes.",
}


def described(kind: type) -> dict[str, str]:
    """Field -> description, from the section `Attributes` of a docstring."""
    document = re.sub(r"\s+", " ", (kind.__doc__ or "").partition("Attributes:")[2].partition("Raises:")[0])
    names = "|".join(field.name for field in fields(kind))
    starts = [*re.finditer(rf"(?:^|(?<=\s))((?:{names})(?:, (?:{names}))*): ", document)]
    found = {}
    for start, after in zip(starts, [*starts[1:], None], strict=True):
        text = document[start.end() : after.start() if after else None].strip()
        found |= dict.fromkeys(start[1].split(", "), text)
    return found


def rows(place: str, kind: type, documented: type, default: Mapping[str, Any]) -> Iterator[str]:
    """A line of the table per field."""
    texts, types = described(documented), typing.get_type_hints(kind)
    for field in fields(kind):
        if field.name in ELSEWHERE:
            continue
        name = f"{place}.{field.name}" if place else field.name
        text = texts.get(field.name, "").replace("|", "\\|")
        yield f"| `{name}` | {spelled(types[field.name])} | `{shown(default.get(field.name, field.default))}` | {text} |"


def others() -> Iterator[str]:
    """A line of the table per setting that is no field of the plan."""
    yield f"| `labels` | {WORDS['Labels']} | `all` | {LABELS}. |"
    lines = (CONF / "train.yaml").read_text(encoding="utf-8").splitlines()
    yield from (
        f"| `{name}` | {OTHERS[name]} | `{value}` | {text}. |"
        for name, value, text in commented(lines)
        if name in OTHERS
    )


def spelled(kind: Any) -> str:
    """A type in words."""
    text = getattr(kind, "__name__", str(kind)) if not typing.get_args(kind) else str(kind)
    words = re.sub(r"[\w.]*\.(?=\w)", "", text.replace(", ...", "")).replace("None", "NoneType")
    return (
        re.sub(r"\w+", lambda word: WORDS.get(word[0], word[0]), words)
        .replace("|", "or")
        .replace("[", " of ")
        .replace("]", "")
    )


def shown(value: Any) -> str:
    """A default as it is typed."""
    if isinstance(value, bool | None):
        return {True: "true", False: "false", None: "null"}[value]
    return str(value).replace(str(Path.home()), "~") if value != "" else '""'


def group(name: str) -> Iterator[str]:
    """The files of a group with their first comments."""
    for path in sorted((CONF / name).rglob("*.yaml")):
        yield f"| `{path.relative_to(CONF / name).with_suffix('').as_posix()}` | {first_comment(path)} |"


def first_comment(path: Path) -> str:
    """The comment at the head of a file, without its command lines."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            if lines or not line.startswith(("_target_", "name:")):
                break
            continue
        text = line.lstrip("# ").strip()
        if not text.startswith(("@package", "python -m", "tlclass ", "http")):
            lines.append(text)
    return " ".join(lines).replace("|", "\\|").replace("<", "&lt;")


def reference() -> str:
    """The page."""
    default = compose([])
    parts = [HEAD]
    for heading, (place, kind, documented, introduction) in SECTIONS.items():
        lines = [*([] if place else others()), *rows(place, kind, documented, default[place] if place else default)]
        parts.append(
            "\n".join(
                [
                    f"## {heading}\n\n{introduction}\n",
                    "| setting | kind | default | meaning |",
                    "|---|---|---|---|",
                    *lines,
                ]
            )
        )
    parts.append(
        "## Groups\n\nA group is chosen by the name of a file, `encoding=context`; `--config-dir FOLDER` adds files of your own."
    )
    for name, introduction in GROUPS.items():
        parts.append(
            "\n".join([f"### `{name}`\n\n{introduction}\n", "| name | what it is |", "|---|---|", *group(name)])
        )
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
