"""From the text of a statement to what runs it, within or without a transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlglot import exp

from vinci_code.warehouse.engine import (
    alter,
    comments,
    copy_into,
    create_table,
    describe,
    dml,
    drop,
    insert,
    merge,
    namespaces,
    read_files,
    select,
    set_statements,
    show_extended,
    staging,
    views,
    volume_statements,
)
from vinci_code.warehouse.engine import transaction_errors as errors
from vinci_code.warehouse.engine.reader import Reader, split_atomic, split_compound
from vinci_code.warehouse.engine.result import Result, empty_result, rows_result
from vinci_code.warehouse.engine.session import EngineSession
from vinci_code.warehouse.engine.transactions import Transaction
from vinci_code.warehouse.engine.work import Work
from vinci_code.warehouse.sql.errors import SqlError, syntax_error, unsupported
from vinci_code.warehouse.sql.parameters import Parameter
from vinci_code.warehouse.sql.parse import DML_WORDS, QUERY_WORDS, first_word
from vinci_code.warehouse.sql.shapes import own_expression
from vinci_code.warehouse.sql.types import STRING, Column

_BEGIN, _COMMIT, _ROLLBACK = "BEGIN", "COMMIT", "ROLLBACK"
# Statements that Databricks has and the local warehouse does not.
_REFUSED = frozenset(
    (
        "ANALYZE", "CACHE", "CALL", "CLEAR", "CONVERT", "DECLARE", "DENY", "EXECUTE",
        "EXPLAIN", "FSCK", "GENERATE", "GRANT", "KILL", "LOAD", "MSCK", "OPTIMIZE", "REFRESH",
        "REORG", "REPAIR", "RESTORE", "REVOKE", "SIGNAL", "SYNC", "UNCACHE", "UNDROP", "UNSET",
        "VACUUM",
    )
)  # fmt: skip


def execute(session: EngineSession, text: str, parameters: Sequence[Parameter]) -> Result:
    """Run one statement of a session.

    Raises:
        SqlError: Whatever goes wrong; an open transaction is aborted by it.
    """
    try:
        word = first_word(text)
        control = _control(session, word, text)
    except SqlError:
        _abort_if_open(session)
        raise
    if control is not None:
        return control(parameters)
    if session.aborted:
        raise errors.rollback_required()
    if session.open_transaction is None and session.autocommit:
        return _run_alone(session, word, text, parameters)
    return _run_within(session, word, text, parameters)


def _abort_if_open(session: EngineSession) -> None:
    if session.open_transaction is not None or not session.autocommit:
        session.abort()


def _run_alone(
    session: EngineSession, word: str, text: str, parameters: Sequence[Parameter]
) -> Result:
    transaction = session.begin(interactive=False)
    try:
        result = run(Work(session, transaction, parameters), word, text)
        session.check_interrupt()
        transaction.commit()
    finally:
        transaction.discard()
    return result


def _run_within(
    session: EngineSession, word: str, text: str, parameters: Sequence[Parameter]
) -> Result:
    if session.open_transaction is None:
        session.open_transaction = session.begin(interactive=True)
        session.implicit = True
    try:
        check_allowed(word, text)
        session.open_transaction.begin_statement()
        result = run(Work(session, session.open_transaction, parameters), word, text)
        session.check_interrupt()
    except BaseException:
        session.abort()
        raise
    return result


def run(work: Work, word: str, text: str) -> Result:
    """Run a statement that is not about transactions."""
    if word in QUERY_WORDS or word in DML_WORDS:
        return _run_query(work, text)
    command = _COMMANDS.get(word)
    if command is not None:
        return command(work, Reader(text))
    if not word:
        raise SqlError(
            "PARSE_EMPTY_STATEMENT", "42617", "Syntax error, unexpected empty statement."
        )
    if word in _REFUSED:
        raise unsupported(f"the statement {word}")
    raise syntax_error(word if word.isidentifier() else text.strip()[:1], text)


def _run_query(work: Work, text: str) -> Result:
    expression = own_expression(text)
    read_files.stage_calls(work, expression)
    if isinstance(expression, exp.Insert):
        return insert.insert(work, expression)
    if isinstance(expression, exp.Update):
        return dml.update(work, expression)
    if isinstance(expression, exp.Delete):
        return dml.delete(work, expression)
    if isinstance(expression, exp.Merge):
        return merge.merge(work, expression)
    for node in list(expression.find_all(exp.Describe)):
        _stage_description(work, node)
    work.session.reads()
    return select.select(work, expression)


def _stage_description(work: Work, node: exp.Describe) -> None:
    """Let a query read what DESCRIBE answers: ``SELECT … FROM (DESCRIBE HISTORY t)``."""
    text = node.sql(dialect="databricks")
    if work.transaction.interactive:
        check_allowed("DESCRIBE", text)
    answer = describe.describe(work, Reader(text))
    node.replace(exp.select("*").from_(work.known(answer.columns, answer.batches)))


def _create(work: Work, reader: Reader) -> Result:
    reader.expect("CREATE")
    replace = reader.accept("OR", "REPLACE")
    if reader.accept("OR", "REFRESH"):
        raise unsupported("CREATE OR REFRESH")
    if reader.accept_any("CATALOG"):
        return namespaces.create_catalog(work, reader)
    if reader.accept_any("SCHEMA", "DATABASE"):
        return namespaces.create_schema(work, reader)
    if reader.accept("GLOBAL"):
        raise unsupported("CREATE GLOBAL TEMPORARY VIEW")
    if reader.accept("EXTERNAL"):
        kind = reader.accept_any("VOLUME")
        raise unsupported(f"CREATE EXTERNAL {kind or 'TABLE'}")
    if not replace and reader.accept("VOLUME"):
        return volume_statements.create_volume(work, reader)
    return _create_relation(work, reader, replace=replace)


def _create_relation(work: Work, reader: Reader, *, replace: bool) -> Result:
    temporary = reader.accept_any("TEMPORARY", "TEMP") is not None
    if reader.accept("VIEW"):
        return views.create(work, reader, replace=replace, temporary=temporary)
    if reader.accept("TABLE"):
        if temporary:
            raise unsupported("CREATE TEMPORARY TABLE")
        return create_table.create(work, reader, replace=replace)
    raise _unsupported_object(reader, "CREATE")


def _replace(work: Work, reader: Reader) -> Result:
    reader.expect("REPLACE", "TABLE")
    return create_table.create(work, reader, replace=True, must_exist=True)


def _drop(work: Work, reader: Reader) -> Result:
    reader.expect("DROP")
    if reader.accept("CATALOG"):
        return namespaces.drop_catalog(work, reader)
    if reader.accept_any("SCHEMA", "DATABASE"):
        return namespaces.drop_schema(work, reader)
    if reader.accept("TABLE"):
        return drop.drop_table(work, reader)
    if reader.accept("VIEW"):
        return drop.drop_view(work, reader)
    if reader.accept("VOLUME"):
        return volume_statements.drop_volume(work, reader)
    for kind in ("VARIABLE", "FUNCTION"):
        if reader.accept("TEMPORARY", kind):
            raise unsupported(f"DROP TEMPORARY {kind}")
    raise _unsupported_object(reader, "DROP")


def _alter(work: Work, reader: Reader) -> Result:
    reader.expect("ALTER")
    if reader.accept("TABLE"):
        return alter.alter_table(work, reader)
    if reader.accept("VIEW"):
        return views.alter(work, reader)
    if reader.accept("CATALOG"):
        return namespaces.alter_catalog(work, reader)
    if reader.accept_any("SCHEMA", "DATABASE"):
        return namespaces.alter_schema(work, reader)
    raise _unsupported_object(reader, "ALTER")


def _unsupported_object(reader: Reader, verb: str) -> SqlError:
    if reader.at_name and not reader.done:
        word = reader.next().text.upper()
        if word in _OBJECTS:
            return unsupported(f"{verb} {word}")
        reader.index -= 1
    return reader.error()


_OBJECTS = frozenset(
    (
        "BLOOMFILTER", "CONNECTION", "CREDENTIAL", "EXTERNAL", "FLOW", "FUNCTION", "GROUP",
        "LOCATION", "MATERIALIZED", "POLICY", "PROCEDURE", "RECIPIENT", "SERVER", "SHARE",
        "STORAGE", "STREAMING", "VARIABLE", "VOLUME",
    )
)  # fmt: skip

_COMMANDS: dict[str, Callable[[Work, Reader], Result]] = {
    "CREATE": _create,
    "REPLACE": _replace,
    "DROP": _drop,
    "ALTER": _alter,
    "COMMENT": lambda work, reader: comments.comment_on(work, reader),
    "TRUNCATE": lambda work, reader: dml.truncate(work, reader),
    "USE": lambda work, reader: namespaces.use(work, reader),
    "SET": lambda work, reader: set_statements.set_statement(work.session, reader),
    "RESET": lambda work, reader: set_statements.reset_statement(work.session, reader),
    "SHOW": lambda work, reader: show_extended.show_any(work, reader),
    "DESCRIBE": lambda work, reader: describe.describe(work, reader),
    "DESC": lambda work, reader: describe.describe(work, reader),
    "COPY": lambda work, reader: copy_into.copy_into(work, reader),
    "LIST": lambda work, reader: volume_statements.list_files(work, reader),
    "PUT": lambda work, reader: staging.put(work, reader),
    "GET": lambda work, reader: staging.get(work, reader),
    "REMOVE": lambda work, reader: staging.remove(work, reader),
}


# ---- transactions


def check_allowed(word: str, text: str) -> None:
    """Refuse what may not stand in a transaction.

    Raises:
        SqlError: ``TRANSACTION_NOT_SUPPORTED.COMMAND``.
    """
    if word in QUERY_WORDS or word in DML_WORDS or (word not in _COMMANDS):
        return
    reader = Reader(text)
    if word == "SHOW" and reader.accept("SHOW", "COLUMNS"):
        return
    if word in ("DESC", "DESCRIBE") and describe.allowed_in_transaction(reader):
        return
    words = [lexeme.text.upper() for lexeme in reader.lexemes[:2] if lexeme.kind == "word"]
    raise errors.command_not_supported(" ".join(words))


_Control = Callable[[Sequence[Parameter]], Result]


def _control(session: EngineSession, word: str, text: str) -> _Control | None:
    """Return what runs a statement about transactions; ``None`` for any other."""
    if word not in (_BEGIN, _COMMIT, _ROLLBACK, "SET", "START"):
        return None
    reader = Reader(text)
    reader.next()
    if word == "SET":
        if not reader.accept("AUTOCOMMIT"):
            return None
        return lambda _: _autocommit(session, reader)
    if word == "START":
        reader.expect("TRANSACTION")
        raise unsupported("START TRANSACTION")
    if word == _BEGIN:
        if reader.accept("ATOMIC"):
            return lambda parameters: _atomic(session, text, parameters)
        if not reader.done and reader.accept_any("TRANSACTION", "WORK") is None:
            return lambda parameters: _compound(session, text, parameters)
    else:
        reader.accept_any("TRANSACTION", "WORK")
    reader.end()
    action = {_BEGIN: _begin, _COMMIT: _commit, _ROLLBACK: _rollback}[word]
    return lambda _: action(session)


def _begin(session: EngineSession) -> Result:
    session.check_transactions()
    if session.aborted:
        raise errors.rollback_required()
    if session.open_transaction is not None:
        session.abort()
        raise errors.nested_transaction()
    session.open_transaction = session.begin(interactive=True)
    session.implicit = False
    return empty_result("TRANSACTION")


def _commit(session: EngineSession) -> Result:
    session.check_transactions()
    if session.aborted:
        raise errors.rollback_required()
    transaction = session.open_transaction
    if transaction is None:
        if session.autocommit:
            raise errors.no_active_transaction()
        return empty_result("TRANSACTION")
    try:
        transaction.commit()
    except BaseException:
        session.abort()
        raise
    session.open_transaction = None
    return empty_result("TRANSACTION")


def _rollback(session: EngineSession) -> Result:
    session.check_transactions()
    if session.open_transaction is not None:
        session.open_transaction.discard()
        session.open_transaction = None
    session.aborted = False
    return empty_result("TRANSACTION")


def _autocommit(session: EngineSession, reader: Reader) -> Result:
    if reader.done:
        value = "true" if session.autocommit else "false"
        return rows_result("SET", [Column("AUTOCOMMIT", STRING)], [[value]])
    reader.accept("=")
    word = reader.accept_any("TRUE", "FALSE", "ON", "OFF")
    if word is None:
        raise reader.error()
    reader.end()
    session.check_transactions()
    wanted = word in ("TRUE", "ON")
    if session.in_transaction and not session.implicit:
        raise errors.autocommit_in_transaction()
    if session.in_transaction and wanted:
        raise errors.autocommit_in_implicit_transaction()
    if not wanted and not session.autocommit:
        raise errors.autocommit_already_disabled()
    session.autocommit = wanted
    return empty_result("SET")


def _atomic(session: EngineSession, text: str, parameters: Sequence[Parameter]) -> Result:
    session.check_transactions()
    if session.aborted:
        raise errors.rollback_required()
    statements = split_atomic(text)
    if session.open_transaction is not None or not session.autocommit:
        session.abort()
        raise errors.nested_transaction()
    transaction = session.begin(interactive=True)
    result = empty_result()
    try:
        for statement in statements:
            result.close()
            result = _atomic_statement(session, transaction, statement, parameters)
        transaction.commit()
    finally:
        transaction.discard()
    return result


def _compound(session: EngineSession, text: str, parameters: Sequence[Parameter]) -> Result:
    """Run the statements of ``BEGIN … END``, each of which commits by itself.

    What they are is looked at before the first of them runs, as by Databricks, which parses a
    script as a whole. Its answer is that of the query at its end ("Queries that return result sets
    to the invoker of the script",
    https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-scripting).
    """
    if session.aborted:
        raise errors.rollback_required()
    if session.in_transaction or not session.autocommit:
        session.abort()
        raise unsupported("a compound statement, BEGIN … END, in a transaction")
    statements = split_compound(text)
    expressions = [own_expression(statement) for statement in statements]
    queries = [isinstance(one, (exp.Query, exp.Values)) for one in expressions]
    if any(queries[:-1]):
        raise unsupported("a query before the end of a compound statement, BEGIN … END")
    if any(parameter.name is None for parameter in parameters):
        raise unsupported("a parameter without a name in a compound statement, BEGIN … END")
    answer = empty_result()
    for statement, is_query in zip(statements, queries, strict=True):
        session.check_interrupt()
        result = _run_alone(session, first_word(statement), statement, parameters)
        if is_query:
            answer = result
        else:
            result.close()
    return answer


def _atomic_statement(
    session: EngineSession, transaction: Transaction, text: str, parameters: Sequence[Parameter]
) -> Result:
    word = first_word(text)
    if word in (_COMMIT, _ROLLBACK, _BEGIN, "START"):
        raise errors.command_not_supported(word)
    check_allowed(word, text)
    session.check_interrupt()
    transaction.begin_statement()
    return run(Work(session, transaction, parameters), word, text)
