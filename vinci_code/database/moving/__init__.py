"""Copying a database: planned, resumable, and proved by counts and checksums of both sides.

Other rooms import from it:

- ``copying``: copying the tables of a database into another one
"""
