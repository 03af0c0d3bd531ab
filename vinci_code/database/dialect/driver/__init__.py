"""The vendor's driver as PEP 249 wants it; it knows no construct of SQLAlchemy's.

Other rooms import from it:

- ``adapter``: loading the vendor's driver
- ``advice``: what to do about a failure
- ``announcing``: what is sent, as those who listen are told of it
- ``async_dbapi``: the module of PEP 249 for SQLAlchemy's asyncio
- ``async_pooling``: the pool of an event loop
- ``connecting``: connect arguments, checked and completed
- ``dbapi``: the module of PEP 249
- ``pooling``: the pool, which gives idle sessions back
- ``query_history``: what the warehouse's history says of a tagged statement
- ``query_tags``: query tags that an application gives
- ``rows``: rows of Python, and of Arrow, as the driver fetched them
- ``threads``: a thread for each connection of an event loop
- ``translation``: what comes out of the driver, made into ``dberrors``
- ``urls``: an engine's URL made into connect arguments
- ``volume_names``: names and paths of volumes
- ``waiting``: waiting for a warehouse that starts, or that is busy
"""
