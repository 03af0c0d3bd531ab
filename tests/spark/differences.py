"""Where Databricks answers otherwise than open-source Spark: each step, with its reason and source.

A step is listed as ``subject::case#n``, the n-th statement of its case. A listed step that agrees
after all fails the test until its line is taken out.
"""

from __future__ import annotations

DIFFERENCES: dict[str, str] = {}
