"""How Alembic changes tables here, what it compares, and how a broken revision is taken up.

Other rooms import from it:

- ``changes``: the statements that change tables
- ``claim``: one migration of a schema at a time
- ``compare``: what autogenerate finds different
- ``layout``: properties and clustering for autogenerate
- ``names``: autogenerate by the names of the models
- ``progress``: how far a revision has come, to be taken up again
"""
