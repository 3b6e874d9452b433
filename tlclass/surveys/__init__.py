"""Surveys: what is known of each data set, and one reader per file format."""

from tlclass.surveys.nested import Nested
from tlclass.surveys.plasticc import PlasticcCSV
from tlclass.surveys.survey import Survey, Union
from tlclass.surveys.table import Table

__all__ = ["Nested", "PlasticcCSV", "Survey", "Table", "Union"]
