"""Processes that share a journal, and end at any moment: what was acknowledged is there."""

from __future__ import annotations

import os

import pytest

from tests.fallback.journals import opened, run
from tests.full import full
from vinci_code.database.fallback.records import State

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()"),
]

KILLED = """
    import os, random, signal, sys, time
    from contextlib import closing, suppress
    from pathlib import Path
    from tests.fallback.journals import add, opened
    from vinci_code.database.fallback.journal import Journal
    from vinci_code.database.fallback.records import State

    choice = random.Random(int(sys.argv[1]))

    def started(work, *arguments):
        # A child that says what it has acknowledged.
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read)
            with suppress(BrokenPipeError):
                work(lambda text: os.write(write, f"{text}\\n".encode()), *arguments)
            os._exit(0)
        os.close(write)
        return child, read

    def killed(child, read, number, seconds):
        # It is killed some time after it has said a number of lines, or it ends itself.
        with open(read) as lines:
            said = [line for _, line in zip(range(number), lines)]
            time.sleep(seconds)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            said += lines
            return [line[:-1] for line in said if line.endswith("\\n")]
"""


def test_a_writer_that_is_killed_leaves_what_it_acknowledged_and_at_most_one_more() -> None:
    printed = run(
        KILLED
        + """
    def write(say, name):
        with closing(Journal(Path("journal.db"))) as journal:
            journal.prepare()
            with closing(journal.connect()) as connection:
                number = 0
                while True:
                    number += 1
                    document = f"{name} {number} ".encode()
                    document += b"x" * choice.choice((0, 100, 5_000, 50_000))
                    connection.execute("BEGIN IMMEDIATE")
                    seq = journal.append(connection, identity="i", document=document, rows=1)
                    connection.execute("COMMIT")
                    journal.acknowledged(seq)
                    say(seq)

    acknowledged = set()
    for round in range(25):
        children = [started(write, f"{round}{letter}") for letter in "ab"]
        for child, read in children:
            lines = killed(child, read, choice.randrange(8), choice.random() / 50)
            acknowledged |= {int(line) for line in lines}
        with opened() as journal:
            entries = list(journal.entries())
            counts = journal.counts()
        seqs = [entry.seq for entry in entries]
        assert seqs == list(range(1, len(seqs) + 1)), seqs
        assert all(entry.state is State.WAITING for entry in entries)
        assert counts.missing == ()
        assert acknowledged <= set(seqs)
        assert len(set(seqs) - acknowledged) <= 2 * (round + 1)
        # Each writer's units are there in its own order, with none left out.
        last = {}
        for entry in entries:
            name, number = entry.document.split()[:2]
            assert int(number) == last.get(name, 0) + 1
            last[name] = int(number)
    print(len(acknowledged) > 50)
    """,
        "1",
    )
    assert printed == "True\n"


@full
def test_a_replay_that_is_killed_leaves_what_it_sent_in_doubt() -> None:
    printed = run(
        KILLED
        + """
    def replay(say, last):
        with closing(Journal(Path("journal.db"))) as journal:
            journal.prepare()
            with journal.replaying() as mine:
                assert mine
                say("locked")
                for number in range(1_000_000):
                    seqs = [entry.seq for entry in journal.waiting(most_units=3)]
                    if not seqs:
                        add(journal, *(b"x" * 1000,) * 20)
                        continue
                    journal.begin_batch(f"{os.getpid()} {number}", seqs, verb="INSERT", began=1)
                    say(f"sent {os.getpid()} {number}")
                    if number == last:
                        os.kill(os.getpid(), signal.SIGKILL)
                    time.sleep(choice.random() / 100)
                    journal.batch_committed(f"{os.getpid()} {number}")
                    say(f"done {os.getpid()} {number}")

    deaths = 0
    for round in range(25):
        # Every other one ends itself just when a batch was sent, and the others anywhere.
        last = choice.randrange(6) if round % 2 else None
        number = choice.randrange(12) if last is None else 1_000
        lines = killed(*started(replay, last), number, choice.random() / 50)
        sent = [line[5:] for line in lines if line.startswith("sent")]
        done = [line[5:] for line in lines if line.startswith("done")]
        with opened() as journal:
            with journal.replaying() as mine:
                assert mine
            batches = journal.open_batches()
            counts = journal.counts()
            assert counts.missing == ()
            assert counts.in_doubt == sum(len(batch.seqs) for batch in batches)
            assert len(batches) <= 1
            for batch in batches:
                deaths += 1
                assert batch.reason is None
                assert batch.identity not in done
                assert all(journal.entry(seq).state is State.IN_DOUBT for seq in batch.seqs)
                journal.batch_not_executed(batch.identity)
            if not batches:
                assert sent[-1:] in ([], done[-1:]) or len(sent) == len(done) + 1
    print(deaths >= 12)
    """,
        "2",
    )
    assert printed == "True\n"


def test_processes_at_first_use_make_one_file() -> None:
    run(
        """
        import os
        from tests.fallback.journals import add, opened

        children = []
        for number in range(8):
            child = os.fork()
            if child == 0:
                with opened() as journal:
                    for _ in range(10):
                        add(journal, b"%d" % number)
                os._exit(0)
            children.append(child)
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * 8
        """
    )
    with opened() as journal:
        entries = list(journal.entries())
    assert [entry.seq for entry in entries] == list(range(1, 81))
    assert {entry.state for entry in entries} == {State.WAITING}
    documents = [entry.document for entry in entries]
    assert sorted(documents) == sorted(b"%d" % number for number in range(8) for _ in range(10))
