"""The report: one self-contained HTML page, and the same figures as JSON and CSV."""

from auteur.evaluate.report.writer import REPORT_FILES, write_report

__all__ = ["REPORT_FILES", "write_report"]
