"""How options of a reader are called where a message is read: on the command lines of `tlclass train` and `predict`, and in Python."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

READER = "target.reader."
_SETTING = rf"(?:{re.escape(READER)}|trust=)\S+"
_BOTH = re.compile(rf"({_SETTING}(?: {_SETTING})*) \(in predict: ([^)]*)\)")
TRUST = "if it is of a package of yours, add trust=[PACKAGE] (in predict: --trust PACKAGE)"
_SURVEY = re.compile(r"(?<![\w.])target(?=\.\w|=| ')")
COLUMNS = "columns."
_IN_PYTHON = {"zero_point": "flux_unit"}  # alert packets' reader calls it so


def option(flags: str, *settings: str) -> str:
    """What to write to set options of a reader, in the words of `tlclass train` and of the commands with flags.

    >>> option("--flux-unit UNIT", "flux_unit=UNIT")
    'target.reader.flux_unit=UNIT (in predict: --flux-unit UNIT)'
    """
    return f"{' '.join(READER + setting for setting in settings)} (in predict: {flags})"


def in_settings(message: str) -> str:
    """A message in the words of `tlclass train` alone.

    >>> in_settings(f"give {option('--flux-unit UNIT', 'flux_unit=UNIT')}")
    'give target.reader.flux_unit=UNIT'
    """
    return _BOTH.sub(r"\1", message)


def in_flags(message: str) -> str:
    """A message in the words of commands with flags, such as `tlclass predict`.

    >>> in_flags(f"give {option('--flux-unit UNIT', 'flux_unit=UNIT')}")
    'give --flux-unit UNIT'
    """
    return _BOTH.sub(r"\2", message)


def in_python(message: str) -> str:
    """A message in the words of `tlclass.Model.predict`.

    >>> in_python(f"give {option('--column mjd=COLUMN', 'columns.mjd=COLUMN')} and {option('--positive', 'positive=true')}")
    "give columns={'mjd': 'COLUMN'} and positive=True"
    """
    return _BOTH.sub(
        lambda found: _arguments(found[1]), message.replace(TRUST, "if it is of a package of yours, import that first")
    )


def of_survey(message: str) -> str:
    """A message about the target in the words of commands whose survey is their target, such as `tlclass inspect`.

    >>> of_survey("unknown setting target.reader: set target=bts")
    'unknown setting survey.reader: set survey=bts'
    """
    return _SURVEY.sub("survey", in_settings(message))


@contextmanager
def reworded(words: Callable[[str], str]) -> Iterator[None]:
    """Put a mistake that the block raises into other words.

    Raises:
        ValueError: the mistake.
    """
    try:
        yield
    except ValueError as error:
        raise ValueError(words(str(error))) from error


def _arguments(settings: str) -> str:
    pairs = [word.removeprefix(READER).split("=", 1) for word in settings.split()]
    columns = ", ".join(
        f"'{name.removeprefix(COLUMNS)}': '{value}'" for name, value in pairs if name.startswith(COLUMNS)
    )
    others = [
        f"{_IN_PYTHON.get(name, name)}={value.capitalize() if value in ('true', 'false') else repr(value)}"
        for name, value in pairs
        if not name.startswith(COLUMNS)
    ]
    return ", ".join([*([f"columns={{{columns}}}"] if columns else []), *others])
