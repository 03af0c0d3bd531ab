"""Tables: what CREATE, ALTER and DROP send, and what the warehouse makes of it."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    DateTime,
    Engine,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    Sequence,
    String,
    Table,
    UniqueConstraint,
    create_engine,
    event,
    false,
    func,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.exc import ArgumentError, CompileError, DBAPIError, IntegrityError
from sqlalchemy.schema import (
    AddConstraint,
    CreateIndex,
    CreateSchema,
    CreateSequence,
    CreateTable,
    DropColumnComment,
    DropConstraint,
    DropIndex,
    DropSchema,
    DropTableComment,
    SetColumnComment,
    SetTableComment,
)
from sqlalchemy.sql.elements import quoted_name

from vinci_code.database.dialect import MAP, STRUCT
from vinci_code.database.dialect.base import VinciDialect
from vinci_code.warehouse.faults import Fault
from vinci_code.warehouse.pytest_plugin import TestWarehouse

AWKWARD = [
    "with space",
    "semi;colon",
    "comma,",
    "brace{}",
    "(paren)",
    "tab\there",
    "equals=",
    "back`tick",
    "dot.ted",
    "select",
    "Ünï",
    "9lives",
    "quo'te",
    'dou"ble',
    "per%cent",
    "que?stion",
    "co:lon",
    "back\\slash",
    "a--b",
    "/*c*/",
]


def _sql(construct: Any, **options: Any) -> str:
    return str(construct.compile(dialect=VinciDialect(**options))).strip()


def _table(*items: Any, **options: Any) -> Table:
    return Table("t", MetaData(), *items, **options)


# --- the text -------------------------------------------------------------------------------------


def test_a_table_with_everything() -> None:
    table = _table(
        Column("id", Integer, primary_key=True),
        Column("name", String(30), nullable=False, comment="it's \\ a\nname"),
        Column("n", Integer, server_default="7"),
        CheckConstraint("n > 0", name="positive"),
        comment="the table",
        databricks_cluster_by=["id", "name"],
        databricks_tblproperties={"delta.enableChangeDataFeed": True, "mine": "it's"},
    )
    assert _sql(CreateTable(table)) == (
        "CREATE TABLE t (\n"
        "\tid BIGINT NOT NULL, \n"
        "\tname STRING NOT NULL COMMENT 'it\\'s \\\\ a\\nname', \n"
        "\tn BIGINT DEFAULT 7, \n"
        "\tPRIMARY KEY (id)\n"
        ")\n"
        "COMMENT 'the table'\n"
        "CLUSTER BY (id, name)\n"
        "TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true', 'mine' = 'it\\'s', "
        "'delta.feature.allowColumnDefaults' = 'supported', "
        "'delta.feature.catalogManaged' = 'supported');\n\n"
        "ALTER TABLE t ADD CONSTRAINT positive CHECK ((n > 0) IS NOT FALSE)"
    )


@pytest.mark.parametrize(
    ("argument", "clause"),
    [
        ("auto", "CLUSTER BY AUTO"),
        ("none", "CLUSTER BY NONE"),
        ("id", "CLUSTER BY (id)"),
        (["id", "a b"], "CLUSTER BY (id, `a b`)"),
    ],
)
def test_clustering(argument: Any, clause: str) -> None:
    table = _table(Column("id", Integer), databricks_cluster_by=argument)
    assert clause in _sql(CreateTable(table), transactions="off")


def test_properties_that_are_given_win() -> None:
    table = _table(
        Column("a b", Integer, server_default="1"),
        databricks_tblproperties={
            "delta.columnMapping.mode": "id",
            "delta.feature.allowColumnDefaults": "enabled",
        },
    )
    assert _sql(CreateTable(table), transactions="off").endswith(
        "TBLPROPERTIES ('delta.columnMapping.mode' = 'id', "
        "'delta.feature.allowColumnDefaults' = 'enabled')"
    )


@pytest.mark.parametrize(
    ("column", "default"),
    [
        (Column("c", Integer, server_default="5"), "5"),
        (Column("c", Numeric(5, 2), server_default="-1.50"), "-1.50"),
        (Column("c", String, server_default="5"), "'5'"),
        (Column("c", String, server_default="it's \\"), "'it\\'s \\\\'"),
        (Column("c", Boolean, server_default=text("1")), "TRUE"),
        (Column("c", Boolean, server_default=text("0")), "FALSE"),
        (Column("c", Boolean, server_default=false()), "false"),
        (Column("c", Boolean, server_default="true"), "CAST('true' AS BOOLEAN)"),
        (Column("c", DateTime, server_default=func.now()), "current_timestamp()"),
        (
            Column("c", DateTime, server_default="2024-01-01"),
            "CAST('2024-01-01' AS TIMESTAMP_NTZ)",
        ),
    ],
)
def test_defaults(column: Column[Any], default: str, engine: Engine) -> None:
    table = _table(Column("k", Integer), column)
    assert f" DEFAULT {default}\n" in _sql(CreateTable(table))
    table.create(engine)
    with engine.begin() as connection:
        connection.execute(insert(table), {"k": 1})
        assert connection.scalar(select(table.c.c)) is not None


def test_what_is_informational_says_no_more_than_that() -> None:
    metadata = MetaData()
    Table("p", metadata, Column("id", Integer, primary_key=True))
    child = Table(
        "c",
        metadata,
        Column(
            "p_id",
            ForeignKey("p.id", name="fk", ondelete="CASCADE", deferrable=True, match="SIMPLE"),
        ),
        Column("u", Integer, unique=True),
    )
    created = _sql(CreateTable(child), transactions="off")
    assert "CONSTRAINT fk FOREIGN KEY(p_id) REFERENCES p (id), \n\tUNIQUE (u)\n)" in created


@pytest.mark.parametrize(
    ("schema", "rendered"),
    [
        ("s", "s.t"),
        ("main.s", "main.s.t"),
        ("main.select", "main.`select`.t"),
        ("`my.cat`.s", "`my.cat`.s.t"),
        (quoted_name("a.b", quote=True), "`a.b`.t"),
        ("we`ird", "`we``ird`.t"),
    ],
)
def test_schemas(schema: str, rendered: str) -> None:
    table = Table("t", MetaData(), Column("id", Integer), schema=schema)
    assert str(select(table.c.id).compile(dialect=VinciDialect())).endswith(f"FROM {rendered}")
    assert _sql(CreateSchema(schema)) == f"CREATE SCHEMA {rendered.removesuffix('.t')}"


# --- on the warehouse -----------------------------------------------------------------------------


def test_create_and_drop_all(engine: Engine, local_warehouse: TestWarehouse) -> None:
    metadata = MetaData()
    Table("p", metadata, Column("id", Integer, primary_key=True))
    Table("c", metadata, Column("p_id", ForeignKey("p.id")), Column("x", Integer, index=True))
    for _ in range(2):
        metadata.create_all(engine)
    assert sorted(inspect(engine).get_table_names()) == ["c", "p"]
    created = [text for text in local_warehouse.statements if text.startswith("CREATE TABLE")]
    assert len(created) == 2
    for _ in range(2):
        metadata.drop_all(engine)
    dropped = [text.strip() for text in local_warehouse.statements if "DROP" in text]
    assert dropped == ["DROP TABLE c", "DROP TABLE p"]


def test_tables_that_refer_to_each_other(engine: Engine) -> None:
    metadata = MetaData()
    Table(
        "a",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("b_id", ForeignKey("b.id", name="to_b", use_alter=True)),
    )
    Table(
        "b",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("a_id", ForeignKey("a.id", name="to_a")),
    )
    metadata.create_all(engine)
    assert [key["name"] for key in inspect(engine).get_foreign_keys("a")] == ["to_b"]
    metadata.drop_all(engine)
    assert inspect(engine).get_table_names() == []


def test_reflection_gives_constraints_back(engine: Engine) -> None:
    metadata = MetaData()
    Table("p", metadata, Column("x", Integer), Column("y", Integer), PrimaryKeyConstraint("x", "y"))
    Table(
        "t",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("a", Integer),
        Column("b", Integer),
        Column("mail", String, unique=True, index=True),
        UniqueConstraint("a", "b", name="uq_ab"),
        ForeignKeyConstraint(["a", "b"], ["p.x", "p.y"], name="fk_ab"),
        CheckConstraint("a < b", name="ck_ab"),
    )
    metadata.create_all(engine)
    seen = inspect(engine)
    assert {item["name"]: item["column_names"] for item in seen.get_unique_constraints("t")} == {
        "ix_t_mail": ["mail"],
        "uq_ab": ["a", "b"],
    }
    assert seen.get_foreign_keys("t")[0]["referred_columns"] == ["x", "y"]
    assert seen.get_pk_constraint("t")["constrained_columns"] == ["id"]


def test_check_is_added_and_enforced(engine: Engine) -> None:
    table = _table(
        Column("n", Integer, CheckConstraint("n > 0")),
        Column("word", String),
        CheckConstraint("n < 100"),
        CheckConstraint("word IN ('a', 'b')", name="word"),
    )
    table.create(engine)
    with engine.begin() as connection:
        connection.execute(insert(table), {"n": 5, "word": "a"})
    for bad in ({"n": 0}, {"n": 100}, {"n": 1, "word": "c"}):
        with pytest.raises(IntegrityError), engine.begin() as connection:
            connection.execute(insert(table), bad)
    with engine.begin() as connection:
        # What is unknown does not violate, though Delta alone would say so.
        connection.execute(insert(table), {"n": None, "word": None})
        assert connection.scalar(select(func.count()).select_from(table)) == 2


def test_a_table_whose_check_is_refused_is_not_left_without_it(engine: Engine) -> None:
    table = _table(Column("n", Integer), CheckConstraint("no_such_column > 0", name="bad"))
    with pytest.raises(DBAPIError):
        table.create(engine)
    assert not inspect(engine).has_table("t")


@pytest.mark.parametrize("name", ["orders(2024)", "a; \n\nb (", "create table x (", "back`tick("])
def test_a_table_with_an_odd_name_is_dropped_again_too(engine: Engine, name: str) -> None:
    table = Table(name, MetaData(), Column("n", Integer), CheckConstraint("no_such_column > 0"))
    with pytest.raises(DBAPIError, match="no_such_column"):
        table.create(engine)
    assert inspect(engine).get_table_names() == []


def test_a_table_that_was_there_is_not_dropped(engine: Engine) -> None:
    _table(Column("n", Integer)).create(engine)
    table = _table(Column("n", Integer), CheckConstraint("no_such_column > 0"))
    with pytest.raises(DBAPIError, match="no_such_column"), engine.begin() as connection:
        connection.execute(CreateTable(table, if_not_exists=True))
    assert inspect(engine).get_table_names() == ["t"]


def test_a_semicolon_before_an_empty_line_is_text_like_any_other(engine: Engine) -> None:
    table = _table(
        Column("word", String, CheckConstraint("word <> 'a;\n\nb'")), comment="one;\n\ntwo"
    )
    table.create(engine)
    assert inspect(engine).get_table_comment("t") == {"text": "one;\n\ntwo"}
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(insert(table), {"word": "a;\n\nb"})


def test_what_an_event_adds_to_one_statement_is_sent(
    engine: Engine, local_warehouse: TestWarehouse
) -> None:
    _add_comments(engine)
    _table(Column("n", Integer)).create(engine)
    created = [text for text in local_warehouse.statements if "CREATE TABLE" in text]
    assert [text.startswith("/* by an event */") for text in created] == [True]


def test_each_of_several_statements_has_the_comment_of_an_event(
    engine: Engine, local_warehouse: TestWarehouse
) -> None:
    _add_comments(engine)
    _table(Column("n", Integer, CheckConstraint("n > 0"))).create(engine)
    sent = [text for text in local_warehouse.statements if "TABLE" in text]
    assert len(sent) == 2
    assert all(text.startswith("/* by an event */ ") for text in sent)


def test_what_else_an_event_changes_of_several_statements_is_refused(
    engine: Engine, local_warehouse: TestWarehouse
) -> None:
    @event.listens_for(engine, "before_cursor_execute", retval=True)
    def change(*given: Any) -> tuple[str, Any]:
        return f"{given[2]} COMMENT 'an event'", given[3]

    table = _table(Column("n", Integer, CheckConstraint("n > 0")))
    with pytest.raises(DBAPIError, match=r"has changed its text(.|\n)*To fix it"):
        table.create(engine)
    assert not [text for text in local_warehouse.statements if "CREATE TABLE" in text]


def _add_comments(engine: Engine) -> None:
    @event.listens_for(engine, "before_cursor_execute", retval=True)
    def add_comment(*given: Any) -> tuple[str, Any]:
        _, _, statement, parameters, *_ = given
        return f"/* by an event */ {statement}", parameters


@pytest.mark.parametrize(
    "actions", [{"ondelete": "CASCADE"}, {"onupdate": "set null"}, {"ondelete": "SET DEFAULT"}]
)
def test_actions_that_nobody_carries_out_are_reported_once(
    engine: Engine, caplog: pytest.LogCaptureFixture, actions: dict[str, Any]
) -> None:
    metadata = MetaData()
    Table("parent", metadata, Column("id", Integer, primary_key=True))
    key = ForeignKey("parent.id", name="fk_parent", **actions)
    Table("child", metadata, Column("id", Integer, primary_key=True), Column("parent_id", key))
    with caplog.at_level(logging.WARNING, "vinci_code"):
        metadata.create_all(engine)
        metadata.drop_all(engine)
        metadata.create_all(engine)
    [record] = [record for record in caplog.records if record.name.startswith("vinci_code")]
    message = record.getMessage()
    [(event_name, action)] = actions.items()
    assert f"{event_name[:2]} {event_name[2:]} {action}".upper() in message
    assert "fk_parent on child (parent_id)" in message
    assert "relationship(cascade=" in message


def test_actions_that_ask_for_nothing_are_not_reported(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    metadata = MetaData()
    Table("parent", metadata, Column("id", Integer, primary_key=True))
    for name, action in (("a", "RESTRICT"), ("b", "NO ACTION"), ("c", None)):
        key = ForeignKey("parent.id", ondelete=action, onupdate=action)
        Table(name, metadata, Column("id", Integer, primary_key=True), Column("parent_id", key))
    with caplog.at_level(logging.WARNING, "vinci_code"):
        metadata.create_all(engine)
    assert [record for record in caplog.records if record.name.startswith("vinci_code")] == []


def test_a_foreign_key_that_is_added_later_is_reported_too(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    metadata = MetaData()
    parent = Table("parent", metadata, Column("id", Integer, primary_key=True))
    child = Table("child", metadata, Column("parent_id", Integer))
    metadata.create_all(engine)
    key = ForeignKeyConstraint([child.c.parent_id], [parent.c.id], name="fk", ondelete="CASCADE")
    with caplog.at_level(logging.WARNING, "vinci_code"), engine.begin() as connection:
        connection.execute(AddConstraint(key))
    assert "ON DELETE CASCADE of the foreign key fk on child" in caplog.text


def test_not_null_is_enforced(engine: Engine) -> None:
    table = _table(Column("n", Integer, nullable=False), Column("m", Integer))
    table.create(engine)
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(insert(table), {"n": None})


def test_awkward_names(engine: Engine) -> None:
    table = Table(
        "awkward",
        MetaData(),
        Column("id", Integer, primary_key=True),
        *(Column(name, Integer) for name in AWKWARD),
    )
    table.create(engine)
    row = {name: number for number, name in enumerate(AWKWARD)}
    with engine.begin() as connection:
        connection.execute(insert(table), row)
        connection.execute(insert(table), [{**row, "select": -1}, {**row, "select": -2}])
        connection.execute(
            update(table).where(table.c["back`tick"] == 7).values({"with space": 100})
        )
        found = connection.execute(select(table).where(table.c["select"] == 9)).mappings().one()
    assert {**row, "with space": 100} == {name: found[name] for name in AWKWARD}


def test_three_level_names(engine: Engine, local_warehouse: TestWarehouse) -> None:
    schema = f"{local_warehouse.catalog}.{local_warehouse.schema}_other"
    table = Table(
        "t",
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("n", Integer),
        schema=schema,
    )
    with engine.begin() as connection:
        connection.execute(CreateSchema(schema, if_not_exists=True))
    try:
        table.create(engine)
        with engine.begin() as connection:
            connection.execute(insert(table), {"id": 1, "n": 1})
            connection.execute(update(table).where(table.c.id == 1).values(n=table.c.n + 1))
            assert connection.execute(select(table)).all() == [(1, 2)]
            connection.execute(table.delete().where(table.c.n == 2))
            assert connection.execute(select(table)).all() == []
    finally:
        with engine.begin() as connection:
            connection.execute(DropSchema(schema, cascade=True))


def test_schema_translation(engine: Engine, local_warehouse: TestWarehouse) -> None:
    table = Table("t", MetaData(), Column("id", Integer, CheckConstraint("id > 0")), schema="x")
    translated = engine.execution_options(
        schema_translate_map={"x": f"{local_warehouse.catalog}.{local_warehouse.schema}"}
    )
    table.create(translated)
    with translated.begin() as connection:
        connection.execute(insert(table), {"id": 1})
        assert connection.execute(select(table)).all() == [(1,)]


def test_comments_are_set_and_dropped(engine: Engine) -> None:
    table = _table(Column("n", Integer, comment="old"), comment="old")
    table.create(engine)
    table.comment = table.c.n.comment = "it's \\ new"
    with engine.begin() as connection:
        connection.execute(SetTableComment(table))
        connection.execute(SetColumnComment(table.c.n))
    assert inspect(engine).get_table_comment("t") == {"text": "it's \\ new"}
    assert inspect(engine).get_columns("t")[0]["comment"] == "it's \\ new"
    with engine.begin() as connection:
        connection.execute(DropTableComment(table))
        connection.execute(DropColumnComment(table.c.n))
    assert inspect(engine).get_table_comment("t") == {"text": None}
    assert not inspect(engine).get_columns("t")[0]["comment"]


def test_constraints_are_added_and_dropped(engine: Engine) -> None:
    table = _table(Column("a", Integer, nullable=False), Column("b", Integer))
    table.create(engine)
    unique = UniqueConstraint(table.c.a, name="uq")
    check = CheckConstraint(table.c.a > 0, name="ck")
    with engine.begin() as connection:
        connection.execute(AddConstraint(unique))
        connection.execute(AddConstraint(check))
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(insert(table), {"a": -1})
    with engine.begin() as connection:
        connection.execute(DropConstraint(check))
        connection.execute(DropConstraint(unique))
        connection.execute(insert(table), {"a": -1})
    assert inspect(engine).get_unique_constraints("t") == []


def test_generated_columns(engine: Engine) -> None:
    table = _table(Column("a", Integer), Column("b", Integer, Computed("a * 2", persisted=True)))
    table.create(engine)
    with engine.begin() as connection:
        connection.execute(insert(table), {"a": 21})
        assert connection.execute(select(table)).all() == [(21, 42)]


def test_nested_types_in_ddl(engine: Engine) -> None:
    table = _table(
        Column("m", MAP(String, Integer)), Column("s", STRUCT(("a b", Integer), ("c", String)))
    )
    table.create(engine)
    assert [str(column["type"]) for column in inspect(engine).get_columns("t")]


# --- indexes --------------------------------------------------------------------------------------


def test_plain_indexes_are_left_out_of_a_new_table(
    engine: Engine, local_warehouse: TestWarehouse, caplog: pytest.LogCaptureFixture
) -> None:
    table = _table(Column("a", Integer, index=True), Column("b", Integer))
    Index("ix_both", table.c.a, table.c.b)
    with caplog.at_level(logging.INFO, "vinci_code"):
        table.metadata.create_all(engine)
    assert "ix_both" in caplog.text
    assert "databricks_cluster_by" in caplog.text
    assert not [text for text in local_warehouse.statements if "INDEX" in text]


def test_an_index_of_its_own_is_refused(engine: Engine) -> None:
    table = _table(Column("a", Integer))
    index = Index("ix", table.c.a)
    with pytest.raises(CompileError, match="databricks_cluster_by"):
        _sql(CreateIndex(index))
    table.metadata.create_all(engine)
    with pytest.raises(CompileError, match="no indexes"):
        index.create(engine)
    with pytest.raises(CompileError, match="no indexes"):
        _sql(DropIndex(index))


def test_a_unique_index_of_its_own_is_a_constraint(engine: Engine) -> None:
    table = _table(Column("a", Integer))
    table.create(engine)
    index = Index("ux", table.c.a, unique=True)
    index.create(engine)
    assert [item["name"] for item in inspect(engine).get_unique_constraints("t")] == ["ux"]
    index.drop(engine)
    assert inspect(engine).get_unique_constraints("t") == []


# --- what is refused ------------------------------------------------------------------------------


def test_sequences_are_refused() -> None:
    with pytest.raises(CompileError, match="no sequences"):
        _sql(CreateSequence(Sequence("s")))


@pytest.mark.parametrize("option", [{"minvalue": 1}, {"maxvalue": 9}, {"cycle": True}])
def test_identity_options_that_there_are_not(option: dict[str, Any]) -> None:
    table = _table(Column("id", Integer, Identity(**option)))
    with pytest.raises(CompileError, match=next(iter(option))):
        _sql(CreateTable(table))


def test_transactions_takes_three_values() -> None:
    with pytest.raises(ArgumentError, match="'auto', 'on', 'off'"):
        VinciDialect(transactions="yes")


# --- catalog commits ------------------------------------------------------------------------------


def test_tables_are_made_for_transactions(engine: Engine, local_warehouse: TestWarehouse) -> None:
    _table(Column("n", Integer)).create(engine)
    assert "'delta.feature.catalogManaged' = 'supported'" in local_warehouse.statements[-1]


def test_off_leaves_the_property_out() -> None:
    table = _table(Column("n", Integer))
    assert _sql(CreateTable(table), transactions="off") == "CREATE TABLE t (\n\tn BIGINT\n)"


_UNKNOWN_FEATURE = (
    "[DELTA_UNSUPPORTED_FEATURES_IN_CONFIG] Table features configured in the following Delta table "
    "properties are not recognized: delta.feature.catalogManaged. SQLSTATE: 56038"
)


def _refuse_catalog_commits(local_warehouse: TestWarehouse) -> None:
    # The one fault that fails a statement with a text of the test's own.
    fault = Fault.commit_conflict(message=_UNKNOWN_FEATURE, statement="catalogManaged", times=9)
    local_warehouse.inject(fault)


def test_auto_does_without_where_the_workspace_refuses(
    engine: Engine, local_warehouse: TestWarehouse
) -> None:
    _refuse_catalog_commits(local_warehouse)
    metadata = MetaData()
    for name in ("a", "b"):
        Table(name, metadata, Column("n", Integer, CheckConstraint("n > 0")))
    metadata.create_all(engine)
    creates = [text for text in local_warehouse.statements if "CREATE TABLE" in text]
    # Tried once; the second table does not try again.
    assert ["catalogManaged" in text for text in creates] == [True, False, False]
    assert sorted(inspect(engine).get_table_names()) == ["a", "b"]


def test_nothing_but_the_property_is_left_out() -> None:
    commits = "'delta.feature.catalogManaged' = 'supported'"
    text = f"\nTBLPROPERTIES ({commits})"
    table = _table(Column("n", Integer, comment=text), databricks_tblproperties={"text": text})
    compiled: Any = CreateTable(table).compile(dialect=VinciDialect())
    [with_it], without = compiled.script.statements, compiled.script.without_commits
    assert with_it == f"{without.removesuffix(')')}, {commits})"
    assert without == _sql(CreateTable(table), transactions="off")
    plain: Any = CreateTable(_table(Column("n", Integer))).compile(dialect=VinciDialect())
    assert plain.script.without_commits == "CREATE TABLE t (\n\tn BIGINT\n)"


def test_on_does_not_do_without(
    engine_url: Any, engine_args: Any, local_warehouse: TestWarehouse
) -> None:
    _refuse_catalog_commits(local_warehouse)
    engine = create_engine(engine_url, connect_args=engine_args, transactions="on")
    with pytest.raises(DBAPIError, match="catalogManaged"):
        _table(Column("n", Integer)).create(engine, checkfirst=False)
    engine.dispose()
