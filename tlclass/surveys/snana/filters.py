"""The survey of SNANA files: which passband a letter stands for."""

import logging

import numpy as np

from tlclass.arrays import Array
from tlclass.lightcurves.passbands import Passbands
from tlclass.lightcurves.photometry import FACTS
from tlclass.surveys.saying import tell

log = logging.getLogger(__name__)

SLOAN = "ugriz"  # filters that surveys have nearly alike
CODES = frozenset("abcd")  # a survey whose FILTERS have all of these numbers them through the alphabet: fghij for UBVri


def is_foreign(survey: str, passbands: Passbands) -> bool:
    """Whether a header's SURVEY is another than the passbands are of."""
    ours = [name for system in passbands.systems for name in FACTS["systems"].get(system, ())]
    return bool(survey and ours) and not any(name in survey.casefold() for name in ours)


def passband_names(raw: Array, survey: str, filters: str, passbands: Passbands, origin: str) -> Array:
    """(n,) band names to look up, of the names (n,) in files whose header says SURVEY and FILTERS.

    Of another survey than the passbands, u, g, r, i and z are taken for the passbands' own, and the log says so, unless its letters are codes (`CODES`); its
    other filters keep their survey's name and are therefore unknown. `snana_surveys` of the facts lists letters that stand
    for a filter of some other survey.
    """
    known = FACTS["snana_surveys"].get(survey.upper(), {})
    foreign = is_foreign(survey, passbands)
    sloan = "" if set(filters.casefold()) >= CODES else SLOAN
    names, codes = np.unique(raw.astype(str), return_inverse=True)
    translated = [
        known.get(name) or (f"{name} of {survey}" if foreign and name not in sloan else name) for name in names.tolist()
    ]
    taken = [name for name in translated if foreign and name in sloan and passbands.knows(name)]
    if taken:
        message = "%s: %s of %s are taken as the passbands of this survey: their wavelengths differ a little; define separate passbands if that matters"
        tell(log, logging.WARNING, message, origin, ", ".join(taken), survey)
    return np.array(translated, dtype=object)[codes] if len(codes) else raw
