"""What a write does, known from its construct, and the one statement that does it to many rows.

Other rooms import from it:

- ``compared``: conditions on what a row was loaded with
- ``dml``: INSERT, UPDATE and DELETE, and what they do
- ``guards``: constraints that a statement checks by itself
- ``layers``: the rows of a table with writes laid over them
- ``locks``: rows that were read FOR UPDATE, made sure of by the commit
- ``look_ups``: queries for one row by its key
- ``payload``: rows as one JSON text
- ``returning``: what RETURNING gives of a write that is held
- ``sets``: one statement for any number of rows
- ``shapes``: what a write does to each of its rows
- ``whole``: several writes to one table as one statement
"""
