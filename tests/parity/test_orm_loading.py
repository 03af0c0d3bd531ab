"""What a session reads: relationships, each way to load them, inheritance, pages, entities."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import func, orm

from tests.parity.library import (
    METADATA,
    Author,
    Book,
    Film,
    Item,
    Librarian,
    Person,
    Place,
    Reader,
    Record,
    Tag,
    three_authors,
)

__all__ = ["METADATA"]


@pytest.fixture(scope="module")
def filled(engine: sa.Engine) -> sa.Engine:
    with orm.Session(engine) as session:
        three_authors(session)
        session.add_all(
            [
                Place(name="root", children=[Place(name="a", children=[Place(name="a.1")])]),
                Person(name="Pat"),
                Reader(name="Rita", card="r-1"),
                Librarian(name="Leo", salary=1000),
                Item(title="thing"),
                Film(title="Alien", minutes=117),
                Record(title="Kind of Blue", tracks=5),
            ]
        )
        session.commit()
    return engine


@pytest.fixture
def session(filled: sa.Engine) -> Iterator[orm.Session]:
    with orm.Session(filled) as opened:
        yield opened


LIBRARY = [
    ("Austen", [("Emma", ["classic"]), ("Persuasion", ["classic", "short"])]),
    ("Borges", [("Ficciones", ["odd", "short"])]),
    ("Carroll", []),
]


@pytest.mark.parametrize(
    "strategy",
    [orm.lazyload, orm.joinedload, orm.selectinload, orm.subqueryload, orm.immediateload],
    ids=lambda strategy: strategy.__name__,
)
def test_loading_two_levels(session: orm.Session, strategy: Any) -> None:
    options = strategy(Author.books).options(strategy(Book.tags))
    query = sa.select(Author).options(options).order_by(Author.name)
    found = session.scalars(query).unique().all()
    assert [
        (author.name, [(book.title, [tag.name for tag in book.tags]) for book in author.books])
        for author in found
    ] == LIBRARY


@pytest.mark.parametrize(
    "strategy",
    [orm.lazyload, orm.joinedload, orm.selectinload, orm.subqueryload],
    ids=lambda strategy: strategy.__name__,
)
def test_loading_a_parent(session: orm.Session, strategy: Any) -> None:
    query = sa.select(Book).options(strategy(Book.author)).order_by(Book.title)
    found = session.scalars(query).all()
    assert [book.author.name for book in found if book.author] == ["Austen", "Borges", "Austen"]


def test_joined_load_with_a_page(session: orm.Session) -> None:
    query = sa.select(Author).options(orm.joinedload(Author.books)).order_by(Author.name).limit(1)
    (author,) = session.scalars(query).unique()
    assert [book.title for book in author.books] == ["Emma", "Persuasion"]


def test_contains_eager(session: orm.Session) -> None:
    query = (
        sa.select(Author)
        .join(Author.books)
        .where(Book.pages < 300)
        .options(orm.contains_eager(Author.books))
        .order_by(Author.name, Book.title)
    )
    found = session.scalars(query).unique().all()
    assert [(a.name, [b.title for b in a.books]) for a in found] == [
        ("Austen", ["Persuasion"]),
        ("Borges", ["Ficciones"]),
    ]


def test_raise_on_lazy_load(session: orm.Session) -> None:
    author = session.scalars(sa.select(Author).options(orm.raiseload(Author.books))).first()
    assert author is not None
    with pytest.raises(sa.exc.InvalidRequestError):
        _ = author.books


def test_deferred_column(session: orm.Session) -> None:
    query = sa.select(Author).options(orm.defer(Author.born)).where(Author.name == "Austen")
    author = session.scalars(query).one()
    assert "born" not in author.__dict__
    assert author.born == dt.date(1775, 12, 16)


def test_load_only(session: orm.Session) -> None:
    query = sa.select(Book).options(orm.load_only(Book.title)).order_by(Book.title)
    assert "pages" not in session.scalars(query).all()[0].__dict__


CASES: dict[str, tuple[Any, list[Any]]] = {
    "entities": (
        sa.select(Author.name).order_by(Author.id.desc()),
        ["Carroll", "Borges", "Austen"],
    ),
    "relationship-any": (
        sa.select(Author.name).where(Author.books.any(Book.pages > 400)),
        ["Austen"],
    ),
    "relationship-not-any": (sa.select(Author.name).where(~Author.books.any()), ["Carroll"]),
    "relationship-has": (
        sa.select(Book.title).where(Book.author.has(name="Borges")),
        ["Ficciones"],
    ),
    "secondary-any": (
        sa.select(Book.title).where(Book.tags.any(Tag.name == "short")).order_by(Book.title),
        ["Ficciones", "Persuasion"],
    ),
    "association-proxy": (
        sa.select(Book.title).where(Book.tag_names.contains("odd")),
        ["Ficciones"],
    ),
    "hybrid": (sa.select(Author.name).where(Author.initial == "B"), ["Borges"]),
    "join-count": (
        sa.select(func.count(Book.id))
        .select_from(Author)
        .outerjoin(Author.books)
        .group_by(Author.id)
        .order_by(Author.id),
        [2, 1, 0],
    ),
    "join-three": (
        sa.select(Author.name).join(Author.books).join(Book.tags).where(Tag.name == "odd"),
        ["Borges"],
    ),
    "json-in-orm": (
        sa.select(Author.name).where(Author.settings["theme"].as_string() == "dark"),
        ["Austen"],
    ),
    "json-number-in-orm": (
        sa.select(Author.name).where(Author.settings["size"].as_integer() > 2),
        ["Austen"],
    ),
    "boolean": (sa.select(Book.title).where(Book.sold), ["Persuasion"]),
    "filter-by": (
        sa.select(Book.title).filter_by(sold=False).order_by(Book.title),
        ["Emma", "Ficciones"],
    ),
    "exists": (sa.select(sa.exists().where(Author.name == "Austen")), [True]),
    "scalar-subquery": (
        sa.select(
            sa.select(func.count())
            .where(Book.author_id == Author.id)
            .correlate(Author)
            .scalar_subquery()
        )
        .select_from(Author)
        .order_by(Author.name),
        [2, 1, 0],
    ),
    "parent-label": (
        sa.select(Place.name).where(Place.parent.has(Place.name == "root")),
        ["a"],
    ),
    "children-any": (
        sa.select(Place.name).where(Place.children.any()).order_by(Place.name),
        ["a", "root"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_query(session: orm.Session, name: str) -> None:
    query, expected = CASES[name]
    assert session.scalars(query).all() == expected


def test_aliased_self_join(session: orm.Session) -> None:
    child = orm.aliased(Place)
    query = sa.select(Place.name, child.name).join(child, Place.children).order_by(Place.name)
    assert session.execute(query).all() == [("a", "a.1"), ("root", "a")]


def test_entity_from_a_subquery(session: orm.Session) -> None:
    long = sa.select(Book).where(Book.pages > 200).subquery()
    aliased = orm.aliased(Book, long)
    found = session.scalars(sa.select(aliased).order_by(aliased.title)).all()
    assert [book.title for book in found] == ["Emma", "Persuasion"]


def test_from_statement(session: orm.Session) -> None:
    text = sa.text("SELECT * FROM author WHERE name = :name").bindparams(name="Borges")
    assert session.scalars(sa.select(Author).from_statement(text)).one().name == "Borges"


def test_with_parent(session: orm.Session) -> None:
    austen = session.scalars(sa.select(Author).where(Author.name == "Austen")).one()
    query = sa.select(Book.title).where(orm.with_parent(austen, Author.books)).order_by(Book.title)
    assert session.scalars(query).all() == ["Emma", "Persuasion"]


def test_legacy_query(session: orm.Session) -> None:
    query = session.query(Author).order_by(Author.name)
    assert query.count() == 3
    assert query.first() is not None
    assert [author.name for author in query.limit(2)] == ["Austen", "Borges"]
    assert [author.name for author in query[1:3]] == ["Borges", "Carroll"]
    assert query.filter(Author.name.like("C%")).one().settings == {}


def test_one_and_none(session: orm.Session) -> None:
    query = sa.select(Author).where(Author.name == "Nobody")
    assert session.scalars(query).one_or_none() is None
    with pytest.raises(sa.exc.NoResultFound):
        session.scalars(query).one()
    with pytest.raises(sa.exc.MultipleResultsFound):
        session.scalars(sa.select(Author)).one()


def test_yield_per(session: orm.Session) -> None:
    query = sa.select(Author).order_by(Author.name).execution_options(yield_per=2)
    assert [author.name for author in session.scalars(query)] == ["Austen", "Borges", "Carroll"]


def test_bundle(session: orm.Session) -> None:
    bundle: orm.Bundle[Any] = orm.Bundle("b", Book.title, Book.pages)
    row = session.execute(sa.select(bundle).order_by(Book.title)).first()
    assert row is not None
    assert (row.b.title, row.b.pages) == ("Emma", 474)


# --- inheritance ---------------------------------------------------------------------------------


def test_joined_inheritance(session: orm.Session) -> None:
    found = session.scalars(sa.select(Person).order_by(Person.name)).all()
    assert [(type(person).__name__, person.name) for person in found] == [
        ("Librarian", "Leo"),
        ("Person", "Pat"),
        ("Reader", "Rita"),
    ]
    assert [p.card for p in found if isinstance(p, Reader)] == ["r-1"]


def test_joined_inheritance_of_a_kind(session: orm.Session) -> None:
    assert session.scalars(sa.select(Librarian)).one().salary == 1000
    assert session.scalars(sa.select(Reader.card).where(Reader.name == "Rita")).all() == ["r-1"]


@pytest.mark.parametrize("how", ["with_polymorphic", "selectin_polymorphic"])
def test_polymorphic_loading(session: orm.Session, how: str) -> None:
    query: sa.Select[Any]
    if how == "with_polymorphic":
        everyone = orm.with_polymorphic(Person, "*")
        query = sa.select(everyone).order_by(everyone.name)
    else:
        query = sa.select(Person).options(orm.selectin_polymorphic(Person, [Reader, Librarian]))
        query = query.order_by(Person.name)
    found = session.scalars(query).all()
    assert [getattr(p, "salary", None) or getattr(p, "card", None) for p in found] == [
        1000,
        None,
        "r-1",
    ]


def test_single_table_inheritance(session: orm.Session) -> None:
    found = session.scalars(sa.select(Item).order_by(Item.title)).all()
    assert [type(item).__name__ for item in found] == ["Film", "Record", "Item"]
    assert session.scalars(sa.select(Film)).one().minutes == 117
    assert session.scalars(sa.select(Record.tracks)).all() == [5]


def test_subclass_in_a_condition(session: orm.Session) -> None:
    query = sa.select(Item.title).where(Film.minutes > 100)
    assert session.scalars(query).all() == ["Alien"]
