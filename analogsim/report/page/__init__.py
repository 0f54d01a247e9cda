"""The report of a study: one HTML file for people, or Markdown for a paper's appendix."""

from analogsim.report.page.markdown import markdown
from analogsim.report.page.page import write_report

__all__ = ["markdown", "write_report"]
