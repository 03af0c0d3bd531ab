"""What is on the warehouse, as SQLAlchemy's inspector tells it.

Other rooms import from it:

- ``information_schema``: what ``information_schema`` says of a schema
- ``inspection``: the part of the dialect that the inspector asks
- ``names``: how names are stored
- ``spelling``: names as an application writes them
"""
