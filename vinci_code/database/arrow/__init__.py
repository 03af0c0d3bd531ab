"""Results as Arrow, on SQLite and on Databricks, without a row of Python in between.

Other rooms import from it:

- ``frames``: results as data frames of pandas and polars
- ``reading``: results as Arrow tables and batches
"""
