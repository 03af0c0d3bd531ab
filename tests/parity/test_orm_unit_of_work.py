"""What a session writes: keys, defaults, changes, cascades, versions, rollbacks."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa
from sqlalchemy import orm

from tests.parity.library import (
    METADATA,
    Author,
    Book,
    Place,
    Profile,
    Shelf,
    Tag,
    book_tag,
    three_authors,
)

__all__ = ["METADATA"]

pytestmark = pytest.mark.usefixtures("rows_gone")


def names(session: orm.Session) -> list[str]:
    return list(session.scalars(sa.select(Author.name).order_by(Author.name)))


def test_key_is_known_after_flush(session: orm.Session) -> None:
    author = Author(name="Ann")
    session.add(author)
    session.flush()
    assert isinstance(author.id, int)
    assert author.id > 0
    assert sa.inspect(author).persistent


def test_keys_are_distinct_and_rise(session: orm.Session) -> None:
    authors = [Author(name=f"a{number}") for number in range(5)]
    session.add_all(authors)
    session.flush()
    keys = [author.id for author in authors]
    assert keys == sorted(set(keys))


def test_own_key_is_kept(session: orm.Session) -> None:
    session.add(Author(id=42, name="Ann"))
    session.commit()
    found = session.get(Author, 42)
    assert found is not None
    assert found.name == "Ann"


def test_key_of_core_insert(session: orm.Session) -> None:
    result = session.connection().execute(sa.insert(Author).values(name="Ann"))
    assert result.inserted_primary_key is not None
    (key,) = result.inserted_primary_key
    session.commit()
    assert session.get(Author, key).name == "Ann"  # type: ignore[union-attr]


def test_composite_key(session: orm.Session) -> None:
    session.add_all([Shelf(floor=1, code="A", label="x"), Shelf(floor=1, code="B", label="y")])
    session.commit()
    assert session.get(Shelf, (1, "B")).label == "y"  # type: ignore[union-attr]
    assert session.get(Shelf, {"floor": 1, "code": "C"}) is None


def test_python_default(session: orm.Session) -> None:
    book = Book(title="plain")
    session.add(book)
    session.commit()
    assert (book.pages, book.sold) == (100, False)


def test_null_and_empty_are_two(session: orm.Session) -> None:
    session.add_all([Author(name="", settings={}), Author(name="none", settings=None)])
    session.commit()
    session.expire_all()
    found = session.scalars(sa.select(Author).order_by(Author.name)).all()
    assert [(author.name, author.settings) for author in found] == [("", {}), ("none", None)]


def test_change_is_written(session: orm.Session) -> None:
    author = Author(name="Ann")
    session.add(author)
    session.commit()
    author.name = "Bea"
    author.born = dt.date(2000, 2, 29)
    session.commit()
    session.expire_all()
    assert (author.name, author.born) == ("Bea", dt.date(2000, 2, 29))


def test_change_to_none(session: orm.Session) -> None:
    author = Author(name="Ann", born=dt.date(2000, 1, 1), settings={"a": 1})
    session.add(author)
    session.commit()
    author.born = None
    author.settings = None
    session.commit()
    session.expire_all()
    assert (author.born, author.settings) == (None, None)


def test_change_by_expression(session: orm.Session) -> None:
    book = Book(title="t", pages=10)
    session.add(book)
    session.commit()
    book.pages = Book.pages + 5
    session.commit()
    assert book.pages == 15


def test_delete(session: orm.Session) -> None:
    author = Author(name="Ann")
    session.add_all([author, Author(name="Bea")])
    session.commit()
    session.delete(author)
    session.commit()
    assert names(session) == ["Bea"]


def test_refresh(session: orm.Session) -> None:
    author = Author(name="Ann")
    session.add(author)
    session.commit()
    session.execute(
        sa.update(Author).values(name="Bea"), execution_options={"synchronize_session": False}
    )
    session.refresh(author)
    assert author.name == "Bea"


def test_merge(session: orm.Session) -> None:
    session.add(Author(id=7, name="Ann"))
    session.commit()
    merged = session.merge(Author(id=7, name="Bea"))
    session.merge(Author(id=8, name="Cy"))
    session.commit()
    assert merged.name == "Bea"
    assert names(session) == ["Bea", "Cy"]


def test_children_get_the_key_of_their_parent(session: orm.Session) -> None:
    author = Author(name="Ann", books=[Book(title="one"), Book(title="two")])
    session.add(author)
    session.commit()
    found = session.execute(sa.select(Book.title, Book.author_id).order_by(Book.title)).all()
    assert found == [("one", author.id), ("two", author.id)]


def test_orphan_is_deleted(session: orm.Session) -> None:
    author = Author(name="Ann", books=[Book(title="one"), Book(title="two")])
    session.add(author)
    session.commit()
    author.books.pop(0)
    session.commit()
    assert session.scalars(sa.select(Book.title)).all() == ["two"]


def test_children_go_with_their_parent(session: orm.Session) -> None:
    three_authors(session)
    austen = session.scalars(sa.select(Author).where(Author.name == "Austen")).one()
    session.delete(austen)
    session.commit()
    assert session.scalars(sa.select(Book.title)).all() == ["Ficciones"]
    assert session.scalar(sa.select(sa.func.count()).select_from(Profile)) == 0
    assert session.scalar(sa.select(sa.func.count()).select_from(book_tag)) == 2


def test_moving_a_child(session: orm.Session) -> None:
    one, two = Author(name="one", books=[Book(title="b")]), Author(name="two")
    session.add_all([one, two])
    session.commit()
    two.books.append(one.books[0])
    session.commit()
    assert session.scalar(sa.select(Book.author_id)) == two.id


def test_one_to_one(session: orm.Session) -> None:
    author = Author(name="Ann", profile=Profile(bio="old"))
    session.add(author)
    session.commit()
    assert author.profile is not None
    author.profile.bio = "new"
    session.commit()
    assert session.scalars(sa.select(Profile.bio)).all() == ["new"]
    author.profile = None
    session.commit()
    assert session.scalars(sa.select(Profile.bio)).all() == []


def test_many_to_many(session: orm.Session) -> None:
    red, blue = Tag("red"), Tag("blue")
    book = Book(title="b", tags=[red])
    session.add_all([book, blue])
    session.commit()
    book.tags.append(blue)
    session.commit()
    assert sorted(book.tag_names) == ["blue", "red"]
    book.tags.remove(red)
    session.commit()
    assert session.scalars(sa.select(book_tag.c.tag_id)).all() == [blue.id]


def test_tree(session: orm.Session) -> None:
    root = Place(
        name="root", children=[Place(name="a", children=[Place(name="a.1")]), Place(name="b")]
    )
    session.add(root)
    session.commit()
    session.expire_all()
    assert [child.name for child in root.children] == ["a", "b"]
    assert root.children[0].children[0].parent is root.children[0]
    assert root.parent is None


def test_version_counts(session: orm.Session) -> None:
    shelf = Shelf(floor=1, code="A", label="x")
    session.add(shelf)
    session.commit()
    assert shelf.version == 1
    shelf.label = "y"
    session.commit()
    assert shelf.version == 2


def test_stale_version_is_refused(engine: sa.Engine, session: orm.Session) -> None:
    shelf = Shelf(floor=1, code="A", label="x")
    session.add(shelf)
    session.commit()
    assert shelf.version == 1
    session.commit()
    with engine.begin() as other:
        other.execute(sa.update(Shelf.__table__).values(version=5))  # type: ignore[arg-type]
    orm.attributes.set_committed_value(shelf, "version", 1)
    orm.attributes.set_committed_value(shelf, "label", "x")
    shelf.label = "mine"
    with pytest.raises(orm.exc.StaleDataError):
        session.commit()
    session.rollback()
    assert session.scalar(sa.select(Shelf.label)) == "x"


def test_stale_delete_is_refused(engine: sa.Engine, session: orm.Session) -> None:
    shelf = Shelf(floor=1, code="A", label="x")
    session.add(shelf)
    session.commit()
    session.refresh(shelf)
    session.commit()
    with engine.begin() as other:
        other.execute(sa.update(Shelf.__table__).values(version=5))  # type: ignore[arg-type]
    orm.attributes.set_committed_value(shelf, "version", 1)
    orm.attributes.set_committed_value(shelf, "floor", 1)
    orm.attributes.set_committed_value(shelf, "code", "A")
    session.delete(shelf)
    with pytest.raises(orm.exc.StaleDataError):
        session.commit()
    session.rollback()


def test_changing_a_row_that_is_gone(engine: sa.Engine, session: orm.Session) -> None:
    author = Author(id=3, name="Ann")
    session.add(author)
    session.commit()
    with engine.begin() as other:
        other.execute(sa.delete(Author.__table__))  # type: ignore[arg-type]
    orm.attributes.set_committed_value(author, "id", 3)
    author.name = "Bea"
    with pytest.raises(orm.exc.StaleDataError):
        session.commit()
    session.rollback()


def test_bulk_update(session: orm.Session) -> None:
    three_authors(session)
    result = session.execute(sa.update(Book).where(Book.pages > 200).values(sold=True))
    assert result.rowcount == 2  # type: ignore[attr-defined]
    session.commit()
    query = sa.select(Book.title, Book.sold).order_by(Book.title)
    assert session.execute(query).all() == [
        ("Emma", True),
        ("Ficciones", False),
        ("Persuasion", True),
    ]


def test_bulk_update_by_expression_and_subquery(session: orm.Session) -> None:
    three_authors(session)
    longest = sa.select(sa.func.max(Book.pages)).scalar_subquery()
    session.execute(
        sa.update(Author)
        .where(Author.name == "Borges")
        .values(name=Author.name + "!", settings={"n": 1}),
        execution_options={"synchronize_session": False},
    )
    session.execute(
        sa.update(Book).where(Book.title == "Emma").values(pages=longest * 2),
        execution_options={"synchronize_session": False},
    )
    session.commit()
    assert names(session) == ["Austen", "Borges!", "Carroll"]
    assert session.scalar(sa.select(Book.pages).where(Book.title == "Emma")) == 948


def test_bulk_update_by_key(session: orm.Session) -> None:
    session.add_all([Author(id=1, name="a"), Author(id=2, name="b")])
    session.commit()
    session.execute(sa.update(Author), [{"id": 1, "name": "x"}, {"id": 2, "name": "y"}])
    session.commit()
    session.expire_all()
    assert names(session) == ["x", "y"]


def test_bulk_delete(session: orm.Session) -> None:
    three_authors(session)
    tagged = sa.select(book_tag.c.book_id)
    assert session.execute(sa.delete(book_tag)).rowcount == 5  # type: ignore[attr-defined]
    assert session.execute(sa.delete(Book).where(Book.id.in_(tagged))).rowcount == 0  # type: ignore[attr-defined]
    assert session.execute(sa.delete(Book).where(Book.pages < 200)).rowcount == 1  # type: ignore[attr-defined]
    session.commit()
    assert session.scalar(sa.select(sa.func.count()).select_from(Book)) == 2


def test_bulk_insert(session: orm.Session) -> None:
    session.execute(sa.insert(Author), [{"name": "a", "born": dt.date(2000, 1, 1)}, {"name": "b"}])
    session.commit()
    assert names(session) == ["a", "b"]


def test_insert_from_select(session: orm.Session) -> None:
    three_authors(session)
    copy = sa.select(Author.id + 1000, Author.name).where(Author.name < "C")
    session.execute(sa.insert(Author).from_select(["id", "name"], copy))
    session.commit()
    assert names(session) == ["Austen", "Austen", "Borges", "Borges", "Carroll"]


def test_pending_objects_are_dropped_by_rollback(session: orm.Session) -> None:
    session.add(Author(name="Ann"))
    session.rollback()
    assert names(session) == []


def test_autoflush_shows_own_writes(session: orm.Session) -> None:
    session.add(Author(name="Ann"))
    assert names(session) == ["Ann"]
    session.commit()


def test_no_autoflush(session: orm.Session) -> None:
    session.add(Author(name="Ann"))
    with session.no_autoflush:
        assert names(session) == []
    session.commit()


def test_identity_map(session: orm.Session) -> None:
    author = Author(name="Ann")
    session.add(author)
    session.commit()
    assert session.get(Author, author.id) is author
    assert session.scalars(sa.select(Author)).one() is author


def test_events_and_states(session: orm.Session) -> None:
    author = Author(name="Ann")
    assert sa.inspect(author).transient
    session.add(author)
    assert sa.inspect(author).pending
    session.commit()
    session.expunge(author)
    assert sa.inspect(author).detached
