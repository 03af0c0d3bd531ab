"""Rows of frames, Arrow, files and iterators into a table, all or nothing, on both databases.

Other rooms import from it:

- ``loading``: loading what a source gives into a table
- ``results``: what a load has done, how far it is, and what it would do
- ``volumes``: the volume that files of a load are staged in
"""
