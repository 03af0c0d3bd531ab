"""Files of rows, told by their names and read in constant memory: by loads, and by imports.

Other rooms import from it:

- ``delimited``: the rows of CSV
- ``lines``: lines with their numbers
- ``names``: what a file is by its name
- ``opening``: files that are unpacked while they are read
- ``packing``: files that are packed while they are written
- ``parquet``: batches of Parquet, read and written
- ``twice``: objects of JSON, of which each name stands once
"""
