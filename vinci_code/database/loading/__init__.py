"""Rows of frames, Arrow, files and iterators into a table, all or nothing, on both databases.

Other rooms import from it:

- ``staged``: rows as files in a volume, and one statement that writes them
- ``volumes``: the volume that files of a load are staged in
"""
