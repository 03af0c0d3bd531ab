"""Copying a database: planned, resumable, and proved by counts and checksums of both sides.

Other rooms import from it:

- ``copying``: copying the tables of a database into another one
- ``pages``: the report of a copy as a page
- ``places``: the two ends of a copy, and the files that they are
- ``reports``: what a copy has done, and what was proved of it
"""
