"""The text of `tlclass train --help`, made from the groups and the comments of `conf/train.yaml`."""

import re
import textwrap
from collections.abc import Iterator

from tlclass.config import CONF

WIDTH = 118
GROUP = re.compile(r"  - (?P<name>[\w@.]+): (?P<option>(?!null)\S+)(?: +# .*)?")
KEY = re.compile(r"(?P<indent> *)(?P<name>\w+):(?: (?P<value>[^#]*?))?(?: *# (?P<comment>.*))?$")

LABELS = "labels of the target that are used: a number (100), a percentage (5%), or all"
ADDED = ("experiment", "arm", "debug")  # groups of which no file is chosen by default

USAGE = """\
usage: tlclass train [GROUP=NAME ...] [KEY=VALUE ...] [-m]

Pretrain on a source survey, transfer to a target survey with few labels, score on objects never seen.
  tlclass train experiment=best_transfer paths.data=FOLDER labels=100       the recommended recipe with 100 labels
  tlclass train experiment=ztf2bts_quick -m labels=100,1000 seed=0,1,2      every combination
  tlclass train ... --cfg job                                               shows all settings and runs nothing
"""


def help_text() -> str:
    """The text."""
    lines = (CONF / "train.yaml").read_text(encoding="utf-8").split("\nhydra:")[0].splitlines()
    chosen = [found for line in lines if (found := GROUP.fullmatch(line)) and found["name"] != "data_fraction"]
    defaults = [f"{found['name']}={found['option']}" for found in chosen]  # labels are below
    groups = f"groups with their defaults: {' '.join(defaults)}; none by default: {' '.join(f'{n}=...' for n in ADDED)}"
    listed = "names in a group: tlclass train 'GROUP=?'"
    keys = [_shown("labels", "all", LABELS), *(_shown(*key) for key in commented(lines))]
    return "\n".join([USAGE, *textwrap.wrap(groups, WIDTH, subsequent_indent="  "), listed, "", "keys:", *keys, ""])


def commented(lines: list[str]) -> Iterator[tuple[str, str, str]]:
    """Key as a user writes it, default and comment of every key that has a comment."""
    path: list[str] = []
    for line in lines:
        found = KEY.fullmatch(line)
        if found:
            path = [*path[: len(found["indent"]) // 2], found["name"]]
            if found["comment"]:
                yield ".".join(path), (found["value"] or "").strip(), found["comment"]


def _shown(key: str, value: str, comment: str) -> str:
    word = f"{key}={value}" if value and not value.startswith(("{", "$")) else key
    return f"  {word:<34} {comment}"
