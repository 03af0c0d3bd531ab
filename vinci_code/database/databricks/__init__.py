"""From settings to the arguments of a connection, and what a failed one is told as.

Other rooms import from it:

- ``access``: settings made into an address and credentials
- ``auth``: tokens, and where they come from
- ``explain``: an exception made into a failure
- ``failures``: what can go wrong on the way, in words, and what to do
- ``http``: one bounded and verified HTTPS request
"""
