"""Acting for users: a pool of connections for each token, and never one under another's.

A Databricks App gets the token of who uses it with each request, in the header
``X-Forwarded-Access-Token`` (https://docs.databricks.com/aws/en/dev-tools/databricks-apps/auth).
What is run with it is run as that user, with that user's rights.

Other rooms import from it:

- ``async_pools``: the pools of users, for an event loop
- ``pools``: the pools of users
- ``process``: those of this process
"""
