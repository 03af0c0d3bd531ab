"""What a unit of work does in one of its steps, and what it then notes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from tests.history import model
from tests.history.events import Counted
from tests.history.model import ACCOUNT, ITEM, NOTE, RECEIPT, SETTING, WALLET, Row
from tests.history.schedules import Step
from tests.history.tables import (
    ACCOUNTS,
    ITEMS,
    RECEIPTS,
    SETTINGS,
    SHOWN,
    SLOTS,
    WALLETS,
    Account,
    Base,
    Item,
    Note,
    Receipt,
    Setting,
    Wallet,
)
from tests.history.unit import Unit
from vinci_code.database import upsert


def do(unit: Unit, step: Step) -> None:
    """Have a unit take a step that is not its end."""
    _DEEDS[step.does](unit, step)


def load(unit: Unit, kind: type[Any], key: int) -> Any:
    """An object as the session has it, or finds it."""
    unit.snapshot |= bool(unit.writes)
    session, stored = unit.session, unit.stored_key(key)
    there = session.identity_map.get(session.identity_key(kind, stored))
    known = there is not None
    if there is None or {"log", "code"} & sa.inspect(there).expired_attributes:
        unit.loaded(str(kind.__tablename__), key)
    found = session.get(kind, stored)
    row: Row | None = None
    if kind is Item:
        row = None if found is None else (unit.shared.rows.code(found.code), found.writer)
    else:
        row = None if found is None else (found.log,)
    if not known:
        unit.has_read(str(kind.__tablename__), key, row)
    return found


# --- accounts -------------------------------------------------------------------------------------


def _append(unit: Unit, step: Step) -> None:
    account = load(unit, Account, step.keys[0])
    if account is not None:
        before = account.log
        account.log = f"{before},{unit.name}"
        unit.session.flush()
        unit.wrote(model.SWAP, ACCOUNT, step.keys[0], (account.log,), (before,))


def _remove(unit: Unit, step: Step) -> None:
    account = load(unit, Account, step.keys[0])
    if account is not None:
        unit.session.delete(account)
        unit.session.flush()
        unit.wrote(model.SWAP, ACCOUNT, step.keys[0], None, (account.log,))


def _open(unit: Unit, step: Step) -> None:
    row = (unit.name,)
    unit.session.execute(sa.insert(ACCOUNTS), unit.values(ACCOUNT, step.keys[0], row))
    unit.wrote(model.INSERT, ACCOUNT, step.keys[0], row)


# --- items ----------------------------------------------------------------------------------------


def _add(unit: Unit, step: Step) -> None:
    rows = [
        (key, (step.code if number == 0 else None, unit.name))
        for number, key in enumerate(step.keys)
    ]
    listed = [unit.values(ITEM, key, row) for key, row in rows]
    unit.writes_past_objects(ITEM)
    unit.session.execute(sa.insert(ITEMS), listed)
    for key, row in rows:
        unit.wrote(model.INSERT, ITEM, key, row)


def _recode(unit: Unit, step: Step) -> None:
    item = load(unit, Item, step.keys[0])
    if item is not None:
        before = (unit.shared.rows.code(item.code), item.writer)
        # Both at once, even where one is as before: the row is this unit's afterwards.
        item.code, item.writer = unit.shared.rows.stored_code(step.code), unit.name
        orm.attributes.flag_modified(item, "code")
        orm.attributes.flag_modified(item, "writer")
        unit.session.flush()
        unit.changed(ITEM, step.keys[0], (step.code, unit.name), before)


def _drop(unit: Unit, step: Step) -> None:
    where = ITEMS.c.id == unit.stored_key(step.keys[0])
    unit.writes_past_objects(ITEM)
    unit.session.execute(sa.delete(ITEMS).where(where))
    unit.wrote(model.SET, ITEM, step.keys[0], None)


def _reload(unit: Unit, step: Step) -> None:
    """Delete rows, and insert the same keys again."""
    keys = range(step.keys[0], step.keys[-1] + 1)
    low, high = unit.stored_key(keys[0]), unit.stored_key(keys[-1])
    unit.writes_past_objects(ITEM)
    unit.session.execute(sa.delete(ITEMS).where(ITEMS.c.id.between(low, high)))
    for key in keys:
        unit.wrote(model.SET, ITEM, key, None)
    _add(unit, replace(step, keys=tuple(keys)))


# --- wallets --------------------------------------------------------------------------------------


def pay(unit: Unit, step: Step) -> None:
    """Change what was read before."""
    wallet = load(unit, Wallet, step.keys[0])
    if wallet is None:
        return
    unit.kept.append(wallet)
    before = wallet.log
    wallet.log, wallet.balance = f"{before},{unit.name}", wallet.balance + 1
    unit.session.flush()
    unit.changed(WALLET, step.keys[0], (wallet.log,), (before,))


def bump(unit: Unit, step: Step) -> None:
    """Change what is stored."""
    text = f",{unit.name}"
    unit.writes_past_objects(WALLET)
    unit.session.execute(
        sa.update(WALLETS)
        .where(WALLETS.c.id == unit.stored_key(step.keys[0]))
        .values(log=WALLETS.c.log + text, balance=WALLETS.c.balance + 1)
    )
    unit.wrote(model.EXTEND, WALLET, step.keys[0], (text,))


def _gain(unit: Unit, step: Step) -> None:
    """Change what is stored of an object that was read."""
    wallet: Any = load(unit, Wallet, step.keys[0])
    if wallet is not None:
        text = f",{unit.name}"
        wallet.log, wallet.balance = Wallet.log + text, Wallet.balance + 1
        unit.session.flush()
        unit.wrote(model.APPEND, WALLET, step.keys[0], (text,))


def _grant(unit: Unit, step: Step) -> None:
    row = (unit.name,)
    unit.writes_past_objects(WALLET)
    unit.session.execute(sa.insert(WALLETS), unit.values(WALLET, step.keys[0], row))
    unit.wrote(model.INSERT, WALLET, step.keys[0], row)


def _close(unit: Unit, step: Step) -> None:
    wallet = load(unit, Wallet, step.keys[0])
    if wallet is not None:
        unit.session.delete(wallet)
        unit.session.flush()
        unit.wrote(model.SET, WALLET, step.keys[0], None)


def _renew(unit: Unit, step: Step) -> None:
    """Delete an object, and add another one with its key."""
    wallet = load(unit, Wallet, step.keys[0])
    if wallet is not None:
        unit.session.delete(wallet)
        unit.session.flush()
        row = (unit.name,)
        unit.session.add(Wallet(**unit.values(WALLET, step.keys[0], row)))
        unit.session.flush()
        unit.wrote(model.SET, WALLET, step.keys[0], None)
        unit.wrote(model.INSERT, WALLET, step.keys[0], row)


def _copy(unit: Unit, step: Step) -> None:
    """Copy what a view shows of a setting."""
    unit.writes_past_objects(WALLET)
    shown = sa.select(SHOWN.c.id, SHOWN.c.value, sa.literal(1))
    source = shown.where(SHOWN.c.id == unit.stored_key(step.keys[0]))
    unit.session.execute(sa.insert(WALLETS).from_select(["id", "log", "balance"], source))
    unit.wrote(model.COPY, WALLET, step.keys[0])


# --- notes and receipts ---------------------------------------------------------------------------


def _send(unit: Unit, step: Step) -> None:
    slots = unit.shared.slots
    if step.keys[0] not in slots:
        slots.add(step.keys[0])
        _make(unit, Note(slot=unit.stored_key(step.keys[0]), writer=unit.name))


def _consume(unit: Unit, _step: Step) -> None:
    """Take the oldest message of the queue, and write elsewhere."""
    unit.snapshot |= bool(unit.writes)
    rows = unit.shared.rows
    within = Note.slot.between(rows.stored_key(0), rows.stored_key(SLOTS - 1))
    notes = unit.session.scalars(sa.select(Note).where(within).order_by(Note.id)).all()
    found = {rows.key(note.slot): note for note in notes}
    if len(found) < len(notes):
        raise AssertionError(f"{len(notes)} messages in {sorted(found)}")
    for key in sorted({0, 1} | unit.shared.slots):
        unit.has_read(NOTE, key, (found[key].writer,) if key in found else None)
    if notes:
        unit.session.delete(notes[0])
        unit.session.flush()
        unit.wrote(model.SET, NOTE, rows.key(notes[0].slot), None)
        bump(unit, Step(unit.number, "bump", (1,)))


def once(unit: Unit, step: Step) -> None:
    """Write down that something was done."""
    _make(unit, Receipt(slot=unit.stored_key(step.keys[0]), writer=unit.name))


def _forget(unit: Unit, step: Step) -> None:
    where = RECEIPTS.c.slot == unit.stored_key(step.keys[0])
    unit.session.execute(sa.delete(RECEIPTS).where(where))
    unit.wrote(model.SET, RECEIPT, step.keys[0], None)


def _again(unit: Unit, _step: Step) -> None:
    """Add once more, with its key, what another unit has added in vain, or perhaps."""
    if unit.shared.unsure:
        before = unit.shared.unsure.pop()
        kind = type(before)
        _make(unit, kind(id=before.id, slot=before.slot, writer=unit.name))


def _make(unit: Unit, row: Note | Receipt) -> None:
    unit.session.add(row)
    unit.session.flush()
    # As values, which no end of a session takes back.
    unit.made.append(type(row)(id=row.id, slot=row.slot, writer=row.writer))
    unit.wrote(model.INSERT, row.__tablename__, unit.shared.rows.key(row.slot), (unit.name,))


# --- settings -------------------------------------------------------------------------------------


def _fill(unit: Unit, step: Step) -> None:
    row = (unit.next_value(),)
    unit.session.execute(sa.insert(SETTINGS), unit.values(SETTING, step.keys[0], row))
    unit.wrote(model.INSERT, SETTING, step.keys[0], row)


def _put(unit: Unit, step: Step) -> None:
    value = unit.next_value()
    rows = [{"id": unit.stored_key(key), "value": value} for key in step.keys]
    unit.session.execute(upsert(Setting, rows, keys=["id"]))
    for key in step.keys:
        unit.wrote(model.UPSERT, SETTING, key, (value,))


def _set(unit: Unit, step: Step) -> Any:
    value = unit.next_value()
    where = SETTINGS.c.id == unit.stored_key(step.keys[0])
    result = unit.session.execute(sa.update(SETTINGS).where(where).values(value=value))
    unit.wrote(model.SET, SETTING, step.keys[0], (value,))
    return result


def _count(unit: Unit, step: Step) -> None:
    pending = tuple(unit.writes)
    unit.snapshot = True
    result = _set(unit, step)
    unit.shared.note(Counted(unit.number, SETTING, step.keys[0], result.rowcount, pending))


def _unset(unit: Unit, step: Step) -> None:
    where = SETTINGS.c.id == unit.stored_key(step.keys[0])
    unit.session.execute(sa.delete(SETTINGS).where(where))
    unit.wrote(model.SET, SETTING, step.keys[0], None)


def _touch(unit: Unit, step: Step) -> None:
    """What has to be run as it is, and cannot be recognised by its rows afterwards."""
    text = f"+{unit.next_value()}"
    low, high = unit.stored_key(step.keys[0]), unit.stored_key(step.keys[-1])
    unit.session.execute(
        sa.update(SETTINGS)
        .where(SETTINGS.c.id.between(low, high))
        .values(value=SETTINGS.c.value + text)
    )
    for key in range(step.keys[0], step.keys[-1] + 1):
        unit.wrote(model.EXTEND, SETTING, key, (text,))


# --- any table, and savepoints --------------------------------------------------------------------


def _read(unit: Unit, step: Step) -> None:
    table = Base.metadata.tables[str(step.table)]
    by_slot = "slot" in table.c
    unit.snapshot |= bool(unit.writes)
    where = table.c["slot" if by_slot else "id"] == unit.stored_key(step.keys[0])
    found = unit.session.execute(sa.select(table).where(where)).all()
    for row in found[1:]:
        raise AssertionError(f"two rows with one key: {found[0]} and {row}")
    read: Row | None = None
    if found and step.table == ITEM:
        read = (unit.shared.rows.code(found[0].code), found[0].writer)
    elif found:
        read = (found[0].writer if by_slot else found[0][1],)
    unit.has_read(str(step.table), step.keys[0], read)


def _savepoint(unit: Unit, _step: Step) -> None:
    unit.savepoints.append((unit.session.begin_nested(), len(unit.writes)))


def _release(unit: Unit, _step: Step) -> None:
    if unit.savepoints:
        unit.savepoints.pop()[0].commit()


def _back(unit: Unit, _step: Step) -> None:
    if unit.savepoints:
        unit.back = True
        savepoint, kept = unit.savepoints[-1]
        savepoint.rollback()
        unit.savepoints.pop()
        unit.goes_back(kept)


_DEEDS: dict[str, Callable[[Unit, Step], Any]] = {
    "append": _append,
    "remove": _remove,
    "open": _open,
    "add": _add,
    "recode": _recode,
    "drop": _drop,
    "reload": _reload,
    "pay": pay,
    "bump": bump,
    "gain": _gain,
    "grant": _grant,
    "close": _close,
    "renew": _renew,
    "copy": _copy,
    "send": _send,
    "consume": _consume,
    "once": once,
    "forget": _forget,
    "again": _again,
    "fill": _fill,
    "put": _put,
    "set": _set,
    "count": _count,
    "unset": _unset,
    "touch": _touch,
    "read": _read,
    "savepoint": _savepoint,
    "release": _release,
    "back": _back,
}
