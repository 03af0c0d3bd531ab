"""Tests of what a warehouse can do and the dialect does not yet: the reason, and the tests.

They are run all the same: one that passes is to be taken off the list. ``*`` stands for anything.
"""

from __future__ import annotations

_STRINGS = {
    "45-allowed_targets3": ["boolean"],
    "45.684-allowed_targets4": ["boolean", "integer"],
    "false-allowed_targets9": ["float", "integer", "numeric"],
    "true-allowed_targets8": ["float", "integer", "numeric"],
    "some string-allowed_targets5": ["boolean", "float", "integer", "numeric"],
    "r*ve ill*-allowed_targets7": ["boolean", "float", "integer", "numeric"],
}

NOT_YET: dict[str, list[str]] = {
    # As in Spark's try_cast; the suite wants an error, or a value of the type that was asked for.
    "a string of a JSON document that is no number reads as NULL where a number is asked for": [
        f"JSONTest::test_index_cross_casts[{access}-string-{value}-{target}]"
        for access in ("getitem", "path")
        for value, targets in _STRINGS.items()
        for target in targets
    ],
    # information_schema keeps both for future use. They are asked of one table at a time, so that
    # the columns of 200 tables are one statement.
    "identity and properties are told of one table by name, not with the columns of all": [
        "BizarroCharacterTest::test_reflect_identity[(2)-*",
        "BizarroCharacterTest::test_reflect_identity[[brackets]-*",
        "BizarroCharacterTest::test_reflect_identity[plain-*",
        "ComponentReflectionTest::test_multi_get_table_options[*",
    ],
    "parameters of a tuple in text() stand behind VALUES, which needs a SELECT on Databricks": [
        "ExpandingBoundInTest::test_bound_in_heterogeneous_two_tuple_text_bindparam",
        "ExpandingBoundInTest::test_bound_in_heterogeneous_two_tuple_text_bindparam_non_tuple",
        "ExpandingBoundInTest::test_bound_in_heterogeneous_two_tuple_typed_bindparam_non_tuple",
    ],
    "the rows of an executemany are counted, while the dialect says that they are not": [
        "RowCountTest::test_multi_delete_rowcount",
        "RowCountTest::test_multi_update_rowcount",
    ],
}
