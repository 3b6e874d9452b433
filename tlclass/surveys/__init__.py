"""Surveys: what is known of each data set, and one reader per file format."""

from tlclass.surveys.alerts import AlertPackets
from tlclass.surveys.nested import Nested
from tlclass.surveys.plasticc import PlasticcCSV
from tlclass.surveys.several import Several
from tlclass.surveys.snana import SnanaFits
from tlclass.surveys.snana_text import SnanaText
from tlclass.surveys.survey import Survey, Union
from tlclass.surveys.table import Table
from tlclass.surveys.ztf_sims import ZTFSims, ZTFSimTables

__all__ = [
    "AlertPackets",
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
]
