"""From SQLAlchemy's constructs to the SQL of Databricks.

Other rooms import from it:

- ``comparisons``: comparisons of values of different types
- ``constructs``: what sort of statement a construct is
- ``date_functions``: dates and times as SQLite has them
- ``ddl``: statements that make and change tables
- ``foreign_keys``: which foreign keys are declared
- ``functions``: functions that give what they give on SQLite
- ``held_reads``: queries in which tables stand as they come out with what is held
- ``identifiers``: names in SQL
- ``inserts``: the keys that an INSERT leaves to the database
- ``key_blocks``: small keys, of which ranges are reserved on the warehouse
- ``keys``: keys that are made in the client
- ``locking``: SELECT … FOR UPDATE
- ``operators``: operators that give what they give on SQLite
- ``refusals``: the messages for what Databricks lacks
- ``scalar_functions``: functions of one name that give something else
- ``storing``: what values pass before they are held
- ``tables_used``: the tables that a statement reads and writes
- ``uniques``: what a table declares unique
- ``value_texts``: the text that SQLite makes of a value
- ``views``: which names are views
"""
