"""From settings to the arguments of a connection, and how a failed one is reported.

Other rooms import from it:

- ``access``: settings made into an address and credentials
- ``auth``: tokens, and where they come from
- ``explain``: an exception made into a failure
- ``failures``: what can go wrong on the way, in words, and what to do
- ``http``: one bounded and verified HTTPS request
"""
