"""The report of a sweep: `write_report`, and on the command line `tlclass report RESULTS_DIR`."""

from tlclass.report.write import report_folder, write_report

__all__ = ["report_folder", "write_report"]
