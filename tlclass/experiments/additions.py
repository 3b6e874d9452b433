"""Settings that a command line may add although no card states them, such as `sizes.ztf_simulated=20000` or `optimizer.fused=true`."""

import re
from collections.abc import Sequence
from pathlib import Path

import yaml

from tlclass.options import nearest
from tlclass.wording import reworded

# Groups whose entries are not all in the cards; what builds them refuses a misspelt one and names those it knows.
OPEN = re.compile(
    r"(pretrain\.)?(trainer|optimizer|schedule|loss|freeze_policy)\.\w+"
    r"|callbacks\.\w+\.\w+"
    r"|(source|target)(\.(parts|surveys)\.\w+)*\.((where|subsets)(\.[\w.]+)?|(reader|selection)\.[\w.]+)"
)
CLOSED = "launcher."  # its entries are all in the cards, and nothing else looks at them
SIZES = "sizes"
USED = re.compile(rf"\b{SIZES}\.(\w+)")


def with_added(word: str, folders: Sequence[Path]) -> str:
    """An override as Hydra wants it where it may add an entry to a group: with two pluses, which add or replace.

    Where nothing may be added there is no plus, so that Hydra refuses what the group does not have.

    >>> with_added("optimizer.fused=true", []), with_added("fit.max_epochs=3", []), with_added("++launcher.n_jobs=3", [])
    ('++optimizer.fused=true', 'fit.max_epochs=3', 'launcher.n_jobs=3')

    Args:
        word: of the command line.
        folders: of cards, in whose `survey` groups the names below `sizes` are found.

    Raises:
        ValueError: `sizes`, there or in the card that the word chooses, names a survey of which no card asks for its size.
    """
    key, equals, value = word.partition("=")
    name = key.lstrip("+")
    if not equals or key.startswith("~"):
        return word
    if name == SIZES or name.startswith(f"{SIZES}."):
        _refuse_unknown_size(name, folders)
        return f"++{name}={value}"
    for card in (card for folder in folders for card in (folder / name).glob("*.yaml") if name.isidentifier()):
        if card.stem in value.split(","):
            _refuse_unknown_sizes_of(card, folders)
    if name.startswith(CLOSED):
        return f"{name}={value}"
    return f"++{name}={value}" if OPEN.fullmatch(name) else word


def _refuse_unknown_sizes_of(card: Path, folders: Sequence[Path]) -> None:
    """The same for the `sizes` that a card of an experiment states."""
    text = card.read_text(encoding="utf-8")
    if not re.search(rf"^{SIZES}:", text, re.MULTILINE):
        return
    for name in yaml.safe_load(text)[SIZES] or ():
        with reworded(lambda said: f"{card}: {said}"):
            _refuse_unknown_size(f"{SIZES}.{name}", folders)


def _refuse_unknown_size(name: str, folders: Sequence[Path]) -> None:
    cards = [card for folder in folders for card in sorted((folder / "survey").glob("*.yaml"))]
    known = sorted({f"{SIZES}.{one}" for card in cards for one in USED.findall(card.read_text(encoding="utf-8"))})
    if name == SIZES:
        raise ValueError(f"{SIZES} is a group of settings: set the size of one simulated survey, {', '.join(known)}")
    if name not in known:
        raise ValueError(f"unknown setting {name}{nearest(name, known)}: the known ones are {', '.join(known)}")
