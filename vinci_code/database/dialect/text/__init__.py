"""Values and statements as SQL text: how a value is written, what a text that is given does.

Other rooms import from it:

- ``binding``: Python values made into parameters and literals
- ``builtins``: the built-in functions that read their arguments alone
- ``literals``: text as a literal for DDL
- ``raw``: who is called before texts of the application's own that write
- ``scanning``: parameter markers, and what a statement does
"""
