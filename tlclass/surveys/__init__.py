"""Surveys: what is known of each data set, and one reader per file format.

Three classes make one of several: `Union` reads sets of other objects by the rules of one card, `Several` joins surveys of other
objects, each with its own rules, and `Joint` merges what surveys have of the same objects.
"""

from tlclass.surveys.alerts.reader import AlertPackets
from tlclass.surveys.joint.reader import Joint, joint_survey
from tlclass.surveys.plasticc import PlasticcCSV
from tlclass.surveys.several import Several
from tlclass.surveys.snana.fits import SnanaFits
from tlclass.surveys.snana.text import SnanaText
from tlclass.surveys.survey import Survey, Union
from tlclass.surveys.tables.nested import Nested
from tlclass.surveys.tables.table import Table
from tlclass.surveys.ztf_sims import ZTFSims, ZTFSimTables

__all__ = [
    "AlertPackets",
    "Joint",
    "Nested",
    "PlasticcCSV",
    "Several",
    "SnanaFits",
    "SnanaText",
    "Survey",
    "Table",
    "Union",
    "ZTFSimTables",
    "ZTFSims",
    "joint_survey",
]
