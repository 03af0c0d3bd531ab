"""What Databricks lacks, and what to do instead: the messages of ``CompileError``."""

from __future__ import annotations

SEQUENCE = (
    "Databricks has no sequences. Leave Sequence() out: the key of an integer primary key is made "
    "by this dialect, unique across processes. Where the warehouse is to number the rows, write "
    "Identity(always=True)."
)
NARROW_KEY = (
    "the column {0} is to get a key that is made by this dialect, and cannot hold it: such keys "
    "have 63 bits. Declare it, and the columns that refer to it, as BigInteger or Integer, which "
    "are BIGINT; or give the table databricks_keys='blocks', which makes small keys; or give each "
    "row a key of its own."
)
SELECTED_BLOCKS = (
    "INSERT … SELECT leaves the keys {0} to be made, which come from blocks (keys='blocks'), and "
    "how many rows the SELECT has is known to the warehouse alone. Read the rows and insert them, "
    "or have the SELECT give the keys; or give the table databricks_keys='time_ordered', whose "
    "keys are made from the numbers of the rows."
)
CREATE_INDEX = (
    "Databricks has no indexes, so {0!r} cannot be created: it skips files by their statistics. "
    "Give the table databricks_cluster_by=['column', …], or, for an index that is to be unique, "
    "write unique=True, which becomes an informational UNIQUE constraint."
)
DROP_INDEX = "Databricks has no indexes, so {0!r} cannot be dropped."
UNCHECKED_UNIQUE = (
    "{0} of the table {1} cannot be checked as it is meant: {2}. Databricks enforces nothing that "
    "is unique, so what is written could not be refused.\n"
    "To fix it: add a column with Computed(expression), and make that unique; or make sure "
    "yourself, with enforce_keys=False."
)
IDENTITY_OPTIONS = (
    "Identity({0}=…) is not possible: an identity column of Databricks has start= and increment= "
    "only"
)
RETURNING = (
    "what RETURNING of this {0} on {1} gives is not known before the commit, and Databricks has no "
    "RETURNING: {2}. Nothing was held or sent.\n"
    "To fix it: leave it out. The primary key of a row that was inserted is in "
    "result.inserted_primary_key; other values are read by a SELECT with it. For what an UPDATE or "
    "DELETE touches, SELECT the rows first."
)
LAST_ROW = (
    "result.lastrowid is known of an INSERT that SQLAlchemy has compiled, of one row with one "
    "integer for its primary key. Give the row its key and use that; or read the row by what is "
    "unique in it."
)
LOCK_SKIP = (
    "FOR UPDATE SKIP LOCKED asks for rows that nobody else has locked, and Databricks locks no "
    "rows: the commit finds out whether somebody has changed one. Leave skip_locked out, and let "
    "run_unit() repeat the unit; or mark a row as taken with an UPDATE, and look at its rowcount."
)
LOCK_SEVERAL = (
    "FOR UPDATE is for rows of tables as they are stored, and the query makes one row of several "
    "(DISTINCT, GROUP BY, or an aggregate function). Read the rows by themselves."
)
LOCK_WITHIN = (
    "FOR UPDATE stands within another statement, and only the rows that the whole query gives can "
    "be made sure of. Put it on the outer query; for eager loading with a limit, load collections "
    "by selectinload()."
)
LOCK_NO_TABLE = (
    "FOR UPDATE is for rows of tables, and the query reads something else, or none of those that "
    "it is to lock. Name the tables: with_for_update(of=[…])."
)
LOCK_NO_KEY = (
    "FOR UPDATE cannot tell the rows of {0} apart: the table has no primary key. Declare one, or "
    "name the other tables: with_for_update(of=[…])."
)
LOCK_UNKNOWN = (
    "FOR UPDATE cannot tell whether {0} is unchanged, since the values of its type cannot be "
    "compared here. Name other tables, with_for_update(of=[…]), or use a version counter: "
    "__mapper_args__ = {{'version_id_col': …}}."
)
ON_CONFLICT = (
    "Databricks has no INSERT … ON CONFLICT. Use upsert() of vinci_code.database, which is ON "
    "CONFLICT on SQLite and MERGE there."
)
WRITE_WITH_CTE = (
    "Databricks does not accept WITH before {0}. Use a subquery in its place: .subquery() or "
    "exists(), or .cte(nesting=True) within the sub-select."
)
FETCH = (
    "Databricks has no FETCH … {0}. Use a window: "
    "select(…, func.rank().over(order_by=…).label('r')) and a condition on r."
)
IDENTITY_FLUSH = (
    "{0} is an IDENTITY column, whose value nobody learns after an INSERT, so the object's key "
    "would not be known after the flush. Leave always=True out, or Identity() as a whole, and the "
    "key is made by this dialect before the row is sent; or insert with "
    "session.execute(insert({1}), …)."
)
MATCH = "Databricks has no full-text search with MATCH. Use like(), ilike() or regexp_match()."
SLICE = "Databricks has no slices of an ARRAY. Use func.slice(column, start, length)."
ROW_WITH_OTHER = (
    "a tuple_() can be compared with a tuple_() only: Databricks has no rows of values, so they "
    "are compared column by column. For those of a sub-query write .in_(select(…)), or exists() "
    "with a condition for each column; for a parameter, a tuple_() of parameters."
)
ROW_LENGTHS = (
    "a tuple_() of {0} is compared with one of {1}; both have to have the same number of columns, "
    "and one at least."
)
ROW_IS = (
    "a tuple_() IS NULL or IS NOT NULL is not possible; SQLite refuses it too. Ask each column: "
    "and_(a.is_(None), b.is_(None))."
)
COLLATION = (
    "the column {0} has the collation {1}, by which SQLite compares and sorts it; Databricks would "
    "compare its texts as they are. Leave the collation out, and compare func.lower(column); "
    "Index('name', func.lower(column), unique=True) makes it unique without regard to case."
)
SEVERAL_SOURCES = (
    "an UPDATE or DELETE with more than one other table is not possible on Databricks. Join those "
    "tables in a subquery: select(…).join(…).subquery()."
)
DATE_MODIFIER = (
    "the modifiers of {0}() decide what is sent, so each has to be a text that is given as a "
    "value, such as func.{0}(x, '+1 day'). Add a timedelta to the column, or take parts of it "
    "with extract()."
)
DATE_MODIFIER_VALUE = (
    "the modifier {0!r} of a date has no counterpart on Databricks. There are '+1 day' and its "
    "like of seconds, minutes, hours, months and years, 'start of day', 'start of month', 'start "
    "of year', 'weekday 0' to 'weekday 6', and 'unixepoch' as the first one behind a number. "
    "Compute others in Python."
)
DATE_OF_NUMBER = (
    "{0}() of a number counts days since -4713 on SQLite, and Databricks has no such function. For "
    "seconds since 1970 write func.{0}(x, 'unixepoch')."
)
DATE_OF_TIME = (
    "{0}() of a Time, which has no day: SQLite takes the first of January 2000. Write "
    "func.time(x), or give a DateTime."
)
DATE_PATTERN = (
    "the pattern of strftime() is not given as a value, so it is not known what it means on "
    "Databricks. Write it as a text: func.strftime('%Y-%m', x)."
)
DATE_TEXT = (
    "the text {0!r} is no moment of the form YYYY-MM-DD HH:MM:SS that SQLite and Databricks read "
    "alike. Give a date or a datetime."
)
WRITE_IN_STATEMENT = (
    "Databricks has no {0} within another statement, such as in a CTE. Run it by itself, before."
)
WRITE_WITH_PREFIX = (
    "nothing is known of what {1} does to this {0}, so the keys that it writes cannot be checked. "
    "Leave it out, or write the statement with text()."
)
WRITE_BY_ALIAS = (
    "this {0} by an alias of {1} writes what is unique, or is referred to, which is checked only "
    "where the table is named itself. Write {0} of the table, and give an alias to what is read "
    "beside it; or run the statement with execution_options(enforce_keys=False, "
    "enforce_foreign_keys=False), which checks nothing."
)
WRITE_TO_JOIN = (
    "{0} of a join: a statement writes to one table. Name it, and put the other one into the "
    "condition."
)
NO_ROW_KEY = (
    "this {0} on {1} writes what is unique, or is referred to, and cannot be checked: the table "
    "has neither a primary key nor a UNIQUE constraint on columns that are not NULL, which would "
    "tell its rows apart. Declare one; or run the statement with execution_options("
    "enforce_keys=False, enforce_foreign_keys=False), which checks nothing."
)
CHANGED_BEFORE = (
    "the unit of work has changed {0} by another statement before, so that what an object of it "
    "was loaded with cannot be compared when the unit is sent, later; a change of somebody else "
    "would be lost; nothing was written\n"
    "To fix it: commit first, and change the object in a unit of its own."
)

OTHER_TEXT = (
    "the text of a write to {0} was changed by an event (before_cursor_execute with retval=True). "
    "What is held, and its checks, are made of the construct, so the change would be lost. Change "
    "the construct in the event before_execute, or add no more than comments."
)
OTHER_KEY = (
    "the condition of the UPDATE by which a flush changes {0} was replaced by an event "
    "(before_execute), so that nothing tells of which object the row is, nor whether somebody else "
    "has changed it. Add to the condition, with statement.where(…); or make the engine with "
    "compare_and_set=False, which lets the later change win."
)
UNKNOWN_WRITE = (
    "a write to {0} was compiled by the application itself (@compiles), so nothing is known of "
    "what it does, and the keys that it writes cannot be checked. Leave @compiles out; or run the "
    "statement with execution_options(enforce_keys=False, enforce_foreign_keys=False), which "
    "checks nothing."
)
UNKNOWN_FLUSH = (
    "the UPDATE by which a flush changes {0} was compiled by the application itself (@compiles), "
    "so it cannot make sure that nobody else has changed the row since it was loaded. Leave "
    "@compiles out; or make the engine with compare_and_set=False, which lets the later change win."
)
CHARACTERS = (
    "char() makes characters of code points that are given as values; Databricks has no function "
    "that makes them of others. Use func.chr() where all are below 256."
)
HEX_OF = (
    "hex() of a {0} is that of its text on SQLite, which is not known here. Say what it is: "
    "func.hex(cast(x, String)), or func.hex(type_coerce(x, LargeBinary))."
)
TYPE_OF = (
    "typeof() of {0} depends on each value on SQLite, which is not known here. Databricks' own is "
    "func.system.builtin.typeof(x)."
)
LIKE_FUNCTION = (
    "like() with an escape character has no counterpart as a function. Write column.like(pattern, "
    "escape='/')."
)
ARGUMENTS = "{0}() takes {1} here, and was given {2}. {3}"
ANY_OF_QUERY = (
    "Databricks compares with ANY and ALL of no query. Write .in_(select(…)), or exists() with a "
    "condition."
)
OPERATOR_OF_SQLITE = "Databricks has no operator {0} as SQLite has it. {1}"
FUNCTION_OF_SQLITE = "SQLite's {0}() has no counterpart on Databricks. {1}"
ROUND_DIGITS = (
    "round() to a number of digits that is not given as a value: Databricks takes a constant. "
    "Write func.round(x, 2), or case() with one for each number of digits."
)
INSTR_OF_BYTES = (
    "instr() counts the bytes of BLOBs on SQLite, and characters on Databricks. Look for it in "
    "Python."
)
