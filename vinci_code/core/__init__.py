"""What every other part stands on: errors, redaction, settings.

Other rooms import from it:

- ``errors``: the tree of errors
- ``files``: whether others of the machine can read or change a file
- ``printable``: text with nothing in it that would steer a terminal
- ``replacing``: a file that appears under its name when it is whole
"""
