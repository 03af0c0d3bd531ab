"""Units of work: what is held until the commit, how it is sent, what became of it.

Other rooms import from it:

- ``copying``: values as they were when they were given
- ``flushed_keys``: keys for new objects, made before a flush
- ``flushes``: what the ORM writes by itself, and how it is recognised
- ``held``: the writes of a unit, joined into sets
- ``key_ranges``: the ranges of small keys that a process has reserved
- ``laid_over``: what is held, laid over the tables that a query reads
- ``loaded``: what a changed object was loaded with
- ``recovery``: whether a commit happened whose answer was lost
- ``statistics``: what an engine has sent
- ``steps``: the statements that a unit is sent as
- ``unit``: the unit of work of a connection
"""
