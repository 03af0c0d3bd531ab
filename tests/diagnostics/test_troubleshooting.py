"""What the documentation says that ``vinci check`` says, where it says it, and what it says."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.certificates import Authority
from tests.fakes.dead_ends import (
    black_hole,
    closed_port,
    plain_text_server,
    proxy_server,
    silent_server,
)
from tests.fakes.workspace import CLIENT_ID, FakeWorkspace
from tests.full import part
from tests.patience import SHORT_S, soon
from vinci_code.core.config import Settings, reload_settings
from vinci_code.core.errors import MissingExtraError
from vinci_code.database import migrations
from vinci_code.database.sqlite import create_sqlite_engine
from vinci_code.diagnostics import Report, Status, databricks_checks, network, run_checks
from vinci_code.diagnostics.sqlite_checks import CHECKS as SQLITE_CHECKS

PAGE = (Path(__file__).parents[2] / "docs" / "databricks_setup.md").read_text()
TITLES = {check.title for check in (*databricks_checks.CHECKS, *SQLITE_CHECKS)} | {"Settings"}


@dataclass(frozen=True)
class Row:
    """A line of the table: the checks that are named, and the words that are quoted."""

    problem: str
    checks: frozenset[str]
    phrases: tuple[str, ...]
    is_configuration: bool
    advice: str


def rows() -> Iterator[Row]:
    section = PAGE.partition("## Troubleshooting")[2].partition("\n## ")[0]
    for line in re.findall(r"^\| (?!problem|---)(.+) \|$", section, re.MULTILINE):
        problem, found, advice = line.split(" | ")
        named, _, said = found.partition(": ")
        yield Row(
            problem,
            frozenset(re.split(r", or | or ", named)),
            tuple(re.findall(r"`([^`]+)`", said)),
            "(78)" in said,
            advice,
        )


ROWS = {row.problem: row for row in rows()}


@dataclass
class Place:
    """What a scenario has to do with."""

    workspace: FakeWorkspace
    authority: Authority
    folder: Path
    patch: pytest.MonkeyPatch
    arguments: dict[str, Any] = field(default_factory=dict)
    write: bool = False

    def check(self, **arguments: Any) -> Report:
        def load() -> Settings:
            return Settings(database=self.workspace.settings(self.authority, **arguments))

        return run_checks(load, write=self.write, start_budget=0.5)

    def environment(self, **variables: str) -> Report:
        for name, value in variables.items():
            self.patch.setenv(name, value)
        return run_checks(reload_settings)

    def on_sqlite(self, path: Path) -> Report:
        return self.environment(DATABASE_URL=f"sqlite:///{path}")

    def at(self, dead_end: Callable[[], AbstractContextManager[int]]) -> Report:
        self.patch.setattr(network, "SOCKET_TIMEOUT", SHORT_S)
        with dead_end() as port:
            return self.check(databricks_server_hostname=f"localhost:{port}")

    def through(self, proxy: AbstractContextManager[int]) -> Report:
        with proxy as port:
            self.patch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
            report = self.check()
            self.patch.delenv("HTTPS_PROXY")
        return report

    def shown(self, authority: Authority, host: str = "localhost", days: int = 30) -> Report:
        with FakeWorkspace(authority.issue(host, days=days)) as server:
            return self.check(databricks_server_hostname=server.host)


def without_extra(place: Place) -> Iterator[Report]:
    def missing() -> None:
        raise MissingExtraError("databricks", "USE_DATABRICKS=true", ["pyarrow"])

    place.patch.setattr(databricks_checks, "require_databricks_extra", missing)
    yield place.check()


def missing_setting(place: Place) -> Iterator[Report]:
    yield place.environment(USE_DATABRICKS="true", DATABRICKS_TOKEN="your-token")


def profile(place: Place, text: str) -> Report:
    file = place.folder / "cfg"
    file.write_text(text)
    file.chmod(0o600)
    return place.environment(
        **place.workspace.environment,
        DATABRICKS_CA_FILE=str(place.authority.file),
        DATABRICKS_CONFIG_FILE=str(file),
        DATABRICKS_PROFILE="dev",
    )


def wrong_profile(place: Place) -> Iterator[Report]:
    yield profile(place, f'[dev]\nhost = "https://{place.workspace.host}"\ntoken = "dapi1"\n')


def browser_profile(place: Place) -> Iterator[Report]:
    host = f"https://{place.workspace.host}"
    yield profile(place, f"[dev]\nhost = {host}\nauth_type = external-browser\n")


def wrong_name(place: Place) -> Iterator[Report]:
    report = place.check(databricks_server_hostname="no-such-host.localhost:1")
    if report.result("name_resolution").status is Status.OK:
        pytest.skip("this resolver answers for every name below localhost")
    yield report


def blocked(place: Place) -> Iterator[Report]:
    yield place.at(closed_port)
    if sys.platform == "linux":  # other kernels answer in this case
        yield place.at(black_hole)


def proxy_login(place: Place) -> Iterator[Report]:
    yield place.through(proxy_server(407, "Proxy Authentication Required"))


def proxy_forbids(place: Place) -> Iterator[Report]:
    yield place.through(proxy_server(403, "Forbidden"))
    yield place.through(closed_port())


def unknown_ca(place: Place) -> Iterator[Report]:
    yield place.check(databricks_ca_file=Authority(place.folder, "Another CA").file)


def unreadable_ca(place: Place) -> Iterator[Report]:
    file = place.folder / "ca.pem"
    yield place.check(databricks_ca_file=file)
    file.write_text("-----BEGIN NOTHING-----\n")
    yield place.check(databricks_ca_file=file)


def wrong_certificate(place: Place) -> Iterator[Report]:
    yield place.shown(place.authority, days=-1)
    yield place.shown(place.authority, "elsewhere.example")


def no_tls(place: Place) -> Iterator[Report]:
    yield place.at(silent_server)
    yield place.at(plain_text_server)


def wrong_token(place: Place) -> Iterator[Report]:
    yield place.check(databricks_access_token="dapi" + "1" * 30 + "ab")


def wrong_secret(place: Place) -> Iterator[Report]:
    yield place.check(
        databricks_access_token=None,
        databricks_client_id=CLIENT_ID,
        databricks_client_secret="dose" + "3" * 30 + "ab",
    )


def blocked_address(place: Place) -> Iterator[Report]:
    place.workspace.rest_status = 403
    place.workspace.rest_message = "Source IP address is blocked by Databricks IP ACL"
    yield place.check()


def wrong_path(place: Place) -> Iterator[Report]:
    yield place.check(databricks_http_path="/sql/1.0/warehouses/ffffffffffffffff")
    place.workspace.state = "DELETED"
    yield place.check()


def no_permission(place: Place) -> Iterator[Report]:
    place.workspace.warehouse_status = 403
    place.workspace.warehouse_message = "PERMISSION_DENIED: You do not have permission to use it."
    yield place.check()


def busy(place: Place) -> Iterator[Report]:
    place.workspace.warehouse_status = 429
    yield place.check()


def stopped(place: Place) -> Iterator[Report]:
    place.workspace.state = "STOPPED"
    yield place.check()


def real_time(place: Place) -> Iterator[Report]:
    place.workspace.sql.open_session_error = ("Unsupported. SQLSTATE: KP001", "KP001")
    yield place.check()


def namespace(condition: str) -> Callable[[Place], Iterator[Report]]:
    def scenario(place: Place) -> Iterator[Report]:
        place.workspace.sql.namespace_error = (f"[{condition}] No. SQLSTATE: 42704", "42704")
        yield place.check(databricks_catalog="mian")

    return scenario


def wrong_schema(place: Place) -> Iterator[Report]:
    place.workspace.sql.fail_statements["DESCRIBE SCHEMA"] = "[SCHEMA_NOT_FOUND] It is not there."
    yield place.check()


def revision(found: str | None) -> Callable[[Place], Iterator[Report]]:
    def scenario(place: Place) -> Iterator[Report]:
        place.workspace.sql.revision = found
        yield place.check()

    return scenario


def no_create_table(place: Place) -> Iterator[Report]:
    place.workspace.sql.fail_statements["CREATE TABLE"] = "[INSUFFICIENT_PERMISSIONS] No."
    place.write = True
    yield place.check()


def damaged(place: Place) -> Iterator[Report]:
    file = place.folder / "damaged.db"
    engine = create_sqlite_engine(f"sqlite:///{file}")
    migrations.upgrade(engine)
    engine.dispose()
    content = bytearray(file.read_bytes())
    content[4096:6000] = b"\xff" * (6000 - 4096)
    file.write_bytes(content)
    yield place.on_sqlite(file)


def no_folder(place: Place) -> Iterator[Report]:
    yield place.on_sqlite(place.folder / "nowhere" / "vinci.db")


def pending(place: Place) -> Iterator[Report]:
    file = place.folder / "old.db"
    engine = create_sqlite_engine(f"sqlite:///{file}")
    migrations.upgrade(engine)
    migrations.downgrade(engine, "base")
    engine.dispose()
    yield place.on_sqlite(file)


SCENARIOS: dict[str, Callable[[Place], Iterator[Report]]] = {
    "extra missing": without_extra,
    "a setting missing, or a placeholder": missing_setting,
    "profile wrong: quotes, UTF-16, a folder": wrong_profile,
    "profile that opens a browser": browser_profile,
    "name wrong, no DNS": wrong_name,
    "network blocked": blocked,
    "proxy wants a login": proxy_login,
    "proxy forbids, or is dead": proxy_forbids,
    "CA unknown, TLS inspected": unknown_ca,
    "CA file unreadable": unreadable_ca,
    "certificate expired, or for another name": wrong_certificate,
    "host silent, or not TLS": no_tls,
    "token wrong, expired or revoked": wrong_token,
    "OAuth secret wrong": wrong_secret,
    "IP access list": blocked_address,
    "wrong path, deleted warehouse": wrong_path,
    "no permission on the warehouse": no_permission,
    "warehouse running, and busy": busy,
    "warehouse stopped": stopped,
    "real-time warehouse": real_time,
    "catalog wrong": namespace("NO_SUCH_CATALOG_EXCEPTION"),
    "no right on the catalog": namespace("INSUFFICIENT_PERMISSIONS"),
    "schema wrong": wrong_schema,
    "migrations pending": revision(None),
    "tables of another release": revision("9999"),
    "no right to create tables": no_create_table,
    "SQLite file damaged": damaged,
    "SQLite folder or rights": no_folder,
    "SQLite migrations pending": pending,
}


def test_every_line_of_the_table_is_tried_here() -> None:
    assert list(SCENARIOS) == list(ROWS)
    assert all(row.checks <= TITLES for row in ROWS.values())


def test_the_checks_that_are_listed_are_those_that_are_run() -> None:
    section = PAGE.partition("## The checks")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| (?!check|---)([^|]+) \|", section, re.MULTILINE)
    names = [re.sub(r" \(`--write`\)|`", "", name).lower() for name in listed]
    assert names == ["settings", *(check.title.lower() for check in databricks_checks.CHECKS)]


@part(3)
@pytest.mark.parametrize("problem", SCENARIOS)
def test_what_is_said_is_what_the_page_says(
    problem: str,
    workspace: FakeWorkspace,
    authority: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = ROWS[problem]
    unmatched = set(row.phrases)
    with soon():
        reports = list(SCENARIOS[problem](Place(workspace, authority, tmp_path, monkeypatch)))
    for report in reports:
        told = [r for r in report.results if r.status in (Status.FAILED, Status.WARNING)]
        assert [result.title in row.checks for result in told] == [True], report.as_text()
        (result,) = told
        said = " ".join(result.as_text().split())
        matched = {phrase for phrase in row.phrases if as_pattern(phrase).search(said)}
        assert matched or not row.phrases, said
        unmatched -= matched
        assert result.finding.next_step
        assert "vinci check" not in said, "the advice is what was just done"
        is_failure = result.status is Status.FAILED
        assert report.exit_code == (78 if row.is_configuration else int(is_failure))
    if sys.platform == "linux":
        assert not unmatched


def as_pattern(phrase: str) -> re.Pattern[str]:
    """A phrase of the page; an ellipsis in it, and the seconds of a deadline, may be anything."""
    parts = re.sub(r"within \d+ s", "within …", phrase).split("…")
    return re.compile(".*?".join(map(re.escape, parts)))
