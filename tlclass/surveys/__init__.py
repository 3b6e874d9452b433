"""Surveys: what is known of each data set, and one reader per file format."""

from tlclass.surveys.alerts import AlertPackets
from tlclass.surveys.nested import Nested
from tlclass.surveys.plasticc import PlasticcCSV
from tlclass.surveys.snana import SnanaFits
from tlclass.surveys.survey import Survey, Union
from tlclass.surveys.table import Table, TableFolder

__all__ = ["AlertPackets", "Nested", "PlasticcCSV", "SnanaFits", "Survey", "Table", "TableFolder", "Union"]
