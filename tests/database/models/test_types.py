"""The columns of Event: what goes in comes out equal, and what cannot is refused before anything
is written."""

from __future__ import annotations

import json
import math
from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, func, insert, literal, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError, StatementError
from sqlalchemy.ext.mutable import MutableDict, MutableList
from sqlalchemy.orm import Session

from vinci_code.core.errors import ValueRefusedError
from vinci_code.database.models import Base, Event
from vinci_code.database.models.types import MAX_JSON_DEPTH, UtcDateTime, dump_json
from vinci_code.database.sqlite import create_sqlite_engine

INSTANT = datetime(2018, 1, 31, 1, 49, 59, 650000, tzinfo=timezone.utc)
FIRST = datetime(1, 1, 1, tzinfo=timezone.utc)
LAST = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=timezone.utc)
NAIVE = INSTANT.replace(tzinfo=None)

# Rows of earlier examples do no harm: each example reads its own by its id.
one_table = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = create_sqlite_engine(f"sqlite:///{tmp_path / 'types.db'}")
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


def kept(engine: Engine, **fields: Any) -> Event:
    """Store an event with these fields, and read it in another session."""
    with Session(engine) as session:
        event = Event(**{"event_type": "t", "source": "s", **fields})
        session.add(event)
        session.commit()
        key = event.id
    with Session(engine) as session:
        return session.get_one(Event, key)


def count(engine: Engine) -> int:
    with Session(engine) as session:
        return session.scalar(select(func.count()).select_from(Event)) or 0


def raw(engine: Engine, column: str) -> Any:
    with engine.connect() as connection:
        return connection.scalar(text(f"SELECT {column} FROM events"))


class Berlin(tzinfo):
    """Europe/Berlin around the end of summer time on 2018-10-28, where 02:30 exists twice."""

    def utcoffset(self, moment: datetime | None) -> timedelta:
        assert moment is not None
        if moment.hour == 2:
            return timedelta(hours=1 if moment.fold else 2)
        return timedelta(hours=2 if moment.hour < 2 else 1)

    def dst(self, moment: datetime | None) -> timedelta:
        return self.utcoffset(moment) - timedelta(hours=1)

    def tzname(self, moment: datetime | None) -> str:
        return "Berlin"


class NoZone(tzinfo):
    """A time zone that does not know its offset: a datetime with it is naive all the same."""

    def utcoffset(self, moment: datetime | None) -> None:
        return None

    dst = tzname = utcoffset


class TestInstants:
    @one_table
    @given(
        st.datetimes(timezones=st.just(timezone.utc)),
        st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes))),
    )
    @example(FIRST, timezone.utc)
    @example(LAST, timezone.utc)
    @example(FIRST, timezone(timedelta(minutes=1)))
    @example(LAST, timezone(timedelta(minutes=-1)))
    def test_any_aware_value_comes_back_as_the_same_instant_in_utc(
        self, engine: Engine, instant: datetime, zone: tzinfo
    ) -> None:
        try:
            value = instant.astimezone(zone)
        except OverflowError:  # Python has no such value in this zone
            return

        found = kept(engine, occurred_at=value).occurred_at

        assert found == instant
        assert found.tzinfo is timezone.utc

    @pytest.mark.parametrize(
        "value",
        [
            FIRST.replace(tzinfo=timezone(timedelta(minutes=1))),
            LAST.replace(tzinfo=timezone(timedelta(minutes=-1))),
        ],
    )
    def test_an_instant_outside_of_the_years_in_utc_is_refused(
        self, engine: Engine, value: datetime
    ) -> None:
        with pytest.raises(StatementError, match="years 1 to 9999") as caught:
            kept(engine, occurred_at=value)

        assert isinstance(caught.value.orig, ValueRefusedError)
        assert count(engine) == 0

    def test_both_folds_of_an_hour_that_exists_twice_are_kept_apart(self, engine: Engine) -> None:
        twice = datetime(2018, 10, 28, 2, 30, tzinfo=Berlin())

        first = kept(engine, occurred_at=twice).occurred_at
        second = kept(engine, occurred_at=twice.replace(fold=1)).occurred_at

        assert first == datetime(2018, 10, 28, 0, 30, tzinfo=timezone.utc)
        assert second == datetime(2018, 10, 28, 1, 30, tzinfo=timezone.utc)
        assert (first.fold, second.fold) == (0, 0)

    def test_offsets_of_seconds_and_microseconds_are_exact(self, engine: Engine) -> None:
        odd = timezone(timedelta(hours=1, seconds=17, microseconds=250))
        value = datetime(1890, 1, 1, microsecond=1, tzinfo=odd)

        assert kept(engine, occurred_at=value).occurred_at == value

    def test_the_stored_text_is_in_utc_and_of_one_width(self, engine: Engine) -> None:
        kept(engine, occurred_at=datetime(9, 1, 31, 2, tzinfo=timezone(timedelta(hours=1))))

        assert raw(engine, "occurred_at") == "0009-01-31 01:00:00.000000"

    def test_order_is_the_order_of_time_whatever_the_zones(self, engine: Engine) -> None:
        values = [
            INSTANT.astimezone(timezone(timedelta(hours=hours))) + timedelta(seconds=seconds)
            for hours, seconds in [(-11, 3), (14, 1), (0, 2), (5, 0)]
        ]
        for value in values:
            kept(engine, occurred_at=value)

        with Session(engine) as session:
            found = session.scalars(select(Event.occurred_at).order_by(Event.occurred_at)).all()
            latest = session.scalar(select(func.max(Event.occurred_at)))
        assert found == sorted(values)
        assert latest == max(values)
        assert latest is not None
        assert latest.tzinfo is timezone.utc

    @pytest.mark.parametrize(
        "value", [NAIVE, NAIVE.replace(tzinfo=NoZone())], ids=["no zone", "zone without offset"]
    )
    def test_a_naive_value_in_an_attribute_is_refused(
        self, engine: Engine, value: datetime
    ) -> None:
        with pytest.raises(StatementError, match="has no time zone") as caught:
            kept(engine, occurred_at=value)

        assert isinstance(caught.value.orig, ValueRefusedError)
        assert count(engine) == 0

    @pytest.mark.parametrize("column", ["occurred_at", "created_at"])
    def test_a_naive_value_is_refused_in_core(self, engine: Engine, column: str) -> None:
        row = {"event_type": "t", "source": "s"}

        with pytest.raises(StatementError, match="has no time zone"), engine.begin() as connection:
            connection.execute(insert(Event), [{**row, column: INSTANT}, {**row, column: NAIVE}])

        assert count(engine) == 0

    def test_a_naive_value_is_refused_in_an_update(self, engine: Engine) -> None:
        kept(engine, occurred_at=INSTANT)

        with pytest.raises(StatementError, match="has no time zone"), engine.begin() as connection:
            connection.execute(update(Event).values(occurred_at=NAIVE))

        assert raw(engine, "occurred_at") == "2018-01-31 01:49:59.650000"

    @pytest.mark.parametrize(
        "condition",
        [
            Event.occurred_at > NAIVE,
            Event.occurred_at.in_([INSTANT, NAIVE]),
            Event.occurred_at.between(INSTANT, NAIVE),
            Event.occurred_at == "2018-01-31",
            Event.occurred_at + timedelta(days=1) > INSTANT,
        ],
        ids=["comparison", "in", "between", "text", "arithmetic"],
    )
    def test_what_is_no_instant_is_refused_in_where(self, engine: Engine, condition: Any) -> None:
        with Session(engine) as session, pytest.raises(StatementError) as caught:
            session.scalars(select(Event).where(condition)).all()

        assert isinstance(caught.value.orig, ValueRefusedError)

    def test_an_aware_value_finds_its_instant_in_where(self, engine: Engine) -> None:
        kept(engine, occurred_at=INSTANT)
        elsewhere = INSTANT.astimezone(timezone(timedelta(hours=-7)))

        with Session(engine) as session:
            assert (
                len(session.scalars(select(Event).where(Event.occurred_at == elsewhere)).all()) == 1
            )

    def test_a_value_written_into_the_statement_is_in_utc_too(self, engine: Engine) -> None:
        elsewhere = INSTANT.astimezone(timezone(timedelta(hours=-7)))

        statement = select(literal(elsewhere, UtcDateTime)).compile(
            engine, compile_kwargs={"literal_binds": True}
        )

        assert "'2018-01-31 01:49:59.650000'" in str(statement)

    def test_a_value_with_nanoseconds_is_refused(self, engine: Engine) -> None:
        class Finer(datetime):
            nanosecond = 5  # as pandas' Timestamp has it

        finer = Finer(2018, 1, 31, tzinfo=timezone.utc)
        with pytest.raises(StatementError, match="nanoseconds") as caught:
            kept(engine, occurred_at=finer)

        assert isinstance(caught.value.orig, ValueRefusedError)
        assert count(engine) == 0

    @pytest.mark.parametrize(
        "value", [date(2018, 1, 31), "2018-01-31T01:49:59Z", 1517363399, 1.5], ids=repr
    )
    def test_what_is_no_datetime_is_refused(self, engine: Engine, value: object) -> None:
        with pytest.raises(StatementError, match=type(value).__name__) as caught:
            kept(engine, occurred_at=value)

        assert isinstance(caught.value.orig, ValueRefusedError)
        assert count(engine) == 0

    def test_an_event_happens_and_is_stored_now_unless_it_says_otherwise(
        self, engine: Engine
    ) -> None:
        before = datetime.now(timezone.utc)
        event = kept(engine)
        after = datetime.now(timezone.utc)

        assert before <= event.occurred_at <= after
        assert before <= event.created_at <= after

    def test_another_database_gets_a_timestamp_with_time_zone(self) -> None:
        dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
        column = UtcDateTime()
        elsewhere = INSTANT.astimezone(timezone(timedelta(hours=-7)))

        assert str(column.compile(dialect)) == "TIMESTAMP WITH TIME ZONE"
        sent = column.process_bind_param(elsewhere, dialect)
        assert sent is not None
        assert (sent, sent.tzinfo) == (INSTANT, timezone.utc)
        for answer in (elsewhere, INSTANT.replace(tzinfo=None)):
            read = column.process_result_value(answer, dialect)
            assert read is not None
            assert (read, read.tzinfo) == (INSTANT, timezone.utc)

    def test_null_stays_null(self) -> None:
        dialect = sqlite.dialect()

        assert UtcDateTime().process_bind_param(None, dialect) is None
        assert UtcDateTime().process_result_value(None, dialect) is None


JSON_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=2**63, max_value=10**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(["", "\U0001d518 \U0001f701", "\x00", "\u2028", '"\\', "NULL"])
)
JSON_VALUES = st.recursive(
    JSON_SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def nested(levels: int) -> dict[str, Any]:
    """A JSON document with this many levels of objects and arrays."""
    value: Any = []
    for _ in range(levels - 2):
        value = [value]
    return {"inner": value}


def turning_on_itself(kind: type) -> dict[str, Any]:
    document: dict[str, Any] = {}
    inner: Any = [document] if kind is list else {"again": document}
    document["inner"] = inner
    return document


class Colour(str, Enum):
    RED = "red"


REFUSED_DOCUMENTS: dict[str, Any] = {
    "NaN": {"a": math.nan},
    "infinity": {"a": [math.inf]},
    "minus infinity": {"a": {"b": -math.inf}},
    "tuple": {"a": (1, 2)},
    "set": {"a": {1}},
    "bytes": {"a": b"x"},
    "decimal": {"a": Decimal("1.5")},
    "datetime": {"a": INSTANT},
    "enum of text": {"a": Colour.RED},
    "object": {"a": object()},
    "integer key": {1: "a"},
    "boolean key": {"a": {True: "a"}},
    "no key": {"a": [{None: "a"}]},
    "tuple key": {("a", "b"): 1},
    "enum key": {Colour.RED: 1},
    "lone surrogate": {"a": "\ud800"},
    "lone surrogate in a key": {"\udfff": 1},
    "integer of too many digits": {"a": 10**5000},
    "one level too many": nested(MAX_JSON_DEPTH + 1),
    "far too deep": nested(100_000),
    "object in itself": turning_on_itself(dict),
    "array in itself": turning_on_itself(list),
    "tuple at the top": (1, 2),
    "tuple in a subclass": MutableDict({"a": (1, 2)}),
    "infinity in a subclass": {"a": MutableList([math.inf])},
    "far too deep in a subclass": MutableDict(nested(MAX_JSON_DEPTH + 1)),
}


class TestDocuments:
    @one_table
    @given(st.dictionaries(st.text(), JSON_VALUES, max_size=4))
    def test_any_document_comes_back_equal(self, engine: Engine, document: dict[str, Any]) -> None:
        found = kept(engine, payload=document).payload

        # repr tells 1 from True and 1.0, and 0.0 from -0.0, which are equal to Python.
        assert repr(found) == repr(document)

    @given(JSON_VALUES)
    def test_any_value_is_written_so_that_it_reads_back_equal(self, value: object) -> None:
        assert repr(json.loads(dump_json(value))) == repr(value)

    @pytest.mark.parametrize(
        "document",
        [
            MutableDict({"a": MutableList([1, MutableDict()])}),
            OrderedDict(b=1, a=[OrderedDict()]),
            defaultdict(list, a=[1]),
        ],
        ids=lambda document: type(document).__name__,
    )
    def test_a_subclass_comes_back_as_what_it_is_equal_to(
        self, engine: Engine, document: dict[str, Any]
    ) -> None:
        found = kept(engine, payload=document).payload

        assert (type(found), found) == (dict, document)

    @pytest.mark.parametrize("document", REFUSED_DOCUMENTS.values(), ids=REFUSED_DOCUMENTS.keys())
    def test_what_json_would_change_is_refused_and_nothing_is_stored(
        self, engine: Engine, document: Any
    ) -> None:
        good = Event(event_type="t", source="s", payload={"fine": True})
        bad = Event(event_type="t", source="s", payload=document)

        with Session(engine) as session:
            session.add_all([good, bad])
            with pytest.raises(StatementError) as caught:
                session.commit()

        assert isinstance(caught.value.orig, ValueRefusedError)
        assert count(engine) == 0

    def test_a_refused_document_is_refused_in_an_update_and_in_core_too(
        self, engine: Engine
    ) -> None:
        kept(engine, payload={"a": 1})

        for statement in (
            update(Event).values(payload={"a": math.nan}),
            insert(Event).values(event_type="t", source="s", payload={"a": math.nan}),
        ):
            with pytest.raises(StatementError) as caught, engine.begin() as connection:
                connection.execute(statement)
            assert isinstance(caught.value.orig, ValueRefusedError)

        assert (count(engine), raw(engine, "payload")) == (1, '{"a":1}')

    def test_all_the_levels_that_are_allowed_can_be_read_again(self, engine: Engine) -> None:
        deepest = nested(MAX_JSON_DEPTH)

        assert kept(engine, payload=deepest).payload == deepest

    def test_an_array_that_stands_twice_in_a_document_is_no_circle(self, engine: Engine) -> None:
        shared = [1]

        assert kept(engine, payload={"a": shared, "b": shared}).payload == {"a": [1], "b": [1]}

    @pytest.mark.parametrize(
        ("document", "stored"), [(None, None), ({}, "{}"), ({"a": None}, '{"a":null}')], ids=repr
    )
    def test_no_document_an_empty_one_and_null_inside_are_three_things(
        self, engine: Engine, document: dict[str, Any] | None, stored: str | None
    ) -> None:
        assert kept(engine, payload=document).payload == document
        assert raw(engine, "payload") == stored
        with Session(engine) as session:
            without = session.scalars(select(Event).where(Event.payload.is_(None))).all()
        assert len(without) == (document is None)

    def test_a_document_that_is_taken_away_is_null(self, engine: Engine) -> None:
        event = kept(engine, payload={"a": 1})
        with Session(engine) as session:
            session.get_one(Event, event.id).payload = None
            session.commit()

        assert raw(engine, "payload IS NULL") == 1

    def test_events_are_found_by_what_is_in_their_document(self, engine: Engine) -> None:
        kept(engine, payload={"magnitude": 4.5})
        kept(engine, payload={"magnitude": 6.1})

        with Session(engine) as session:
            strong = select(Event).where(Event.payload["magnitude"].as_float() > 5)
            assert [event.payload for event in session.scalars(strong)] == [{"magnitude": 6.1}]


class TestKeysAndText:
    def test_a_key_is_stored_once(self, engine: Engine) -> None:
        kept(engine, event_key="a")

        with pytest.raises(IntegrityError, match=r"events\.event_key"):
            kept(engine, event_key="a")

        assert count(engine) == 1

    def test_any_number_of_events_have_no_key(self, engine: Engine) -> None:
        kept(engine, event_key=None)
        kept(engine)

        assert count(engine) == 2

    def test_keys_that_differ_in_case_or_spaces_are_different(self, engine: Engine) -> None:
        for key in ("a", "A", "a ", ""):
            kept(engine, event_key=key)

        assert count(engine) == 4

    @pytest.mark.parametrize("missing", ["event_type", "source"])
    def test_type_and_source_are_required(self, engine: Engine, missing: str) -> None:
        with pytest.raises(IntegrityError, match=missing):
            kept(engine, **{missing: None})

        assert count(engine) == 0

    def test_ids_are_given_out_and_may_have_63_bits(self, engine: Engine) -> None:
        assert kept(engine).id == 1
        assert kept(engine, id=2**63 - 2).id == 2**63 - 2
        assert kept(engine).id == 2**63 - 1

    @one_table
    @given(st.text())
    @example("")
    @example("a\x00b")
    @example("\U0001d518 \U0001f701")
    def test_text_comes_back_equal(self, engine: Engine, words: str) -> None:
        assert kept(engine, description=words).description == words

    def test_a_failed_statement_does_not_tell_its_values(self, engine: Engine) -> None:
        kept(engine, event_key="a")

        with pytest.raises(IntegrityError) as caught:
            kept(engine, event_key="a", description="between you and me")

        assert "between you and me" not in str(caught.value)

    def test_an_event_in_a_message_is_short(self) -> None:
        event = Event(id=7, event_key="k", event_type="t", payload={"private": 1})

        assert repr(event) == "Event(id=7, event_key='k', event_type='t')"


# --- text -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["event_key", "event_type", "source", "description"])
@pytest.mark.parametrize("value", [5, 1.5, True, b"bytes", INSTANT, ["a"], "\ud800", "a\udfffb"])
def test_what_is_no_text_is_refused_in_a_column_of_text(
    engine: Engine, field: str, value: Any
) -> None:
    with pytest.raises(StatementError) as caught:
        kept(engine, **{field: value})
    assert isinstance(caught.value.orig, ValueRefusedError)
    assert count(engine) == 0


@pytest.mark.parametrize(
    "value", ["", " ", "ascii", "Zürich", "日本", "😀", "a\0b", "'\"\\", "\r\n"]
)
def test_any_text_is_kept(engine: Engine, value: str) -> None:
    assert kept(engine, description=value).description == value
