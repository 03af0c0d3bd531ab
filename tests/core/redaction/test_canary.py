"""Two secrets are planted, sent through every way out, and looked for in all that comes out.

``canary_program.py`` is what runs; here is what is looked for, and how.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import functools
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote, unquote_plus

import pytest

from tests.core.redaction.canary_program import CHANNELS, CRASHES, SECRET, SECRETS, TOKEN
from tests.fakes.certificates import Authority
from tests.fakes.dead_ends import closed_port
from tests.fakes.workspace import CLIENT_ID, FakeWorkspace
from tests.full import full, part
from tests.patience import PATIENCE_S
from vinci_code.core.redaction import MASK

ROOT = Path(__file__).parents[3]


# --- what is looked for ---------------------------------------------------------------------------


def leaks(output: str) -> set[str]:
    """The secrets that can be read in a text: as it is, or after any decoding.

    It knows nothing of how secrets are masked: it decodes what there is instead of encoding them.
    """
    views = {output, unquote(output), unquote(unquote(output)), unquote_plus(output)}
    views |= {_unescaped(view) for view in set(views)}
    views |= {text for view in set(views) for text in _decoded(view)}
    return {name for name, secret in SECRETS.items() if any(secret in view for view in views)}


def _unescaped(text: str) -> str:
    escape = re.compile(r"\\(?:u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|[\\'\"/])")
    return escape.sub(
        lambda found: codecs.decode(found[0].replace("\\/", "/"), "unicode_escape"), text
    )


def _decoded(text: str) -> Iterator[str]:
    """Every run of base64 and hexadecimal digits, decoded from each offset."""
    for run in re.findall(r"[A-Za-z0-9+/_-]{16,}", text):
        digits = run.replace("-", "+").replace("_", "/")
        for start in range(4):
            part = digits[start:]
            part = part[: len(part) // 4 * 4]
            yield base64.b64decode(part).decode("latin-1")
            padded = digits[start:] + "=" * (-len(digits[start:]) % 4)
            try:
                yield base64.b64decode(padded).decode("latin-1")
            except binascii.Error:
                continue  # one digit too many: the part above is all that there is
    for run in re.findall(r"[0-9a-fA-F]{16,}", text):
        yield bytes.fromhex(run[: len(run) // 2 * 2]).decode("latin-1")


@pytest.mark.parametrize("secret", [TOKEN, SECRET])
@pytest.mark.parametrize(
    "spelled",
    [
        "{raw}",
        "https://h/?x={url}&y",
        "{{'Authorization': 'Basic {base64}'}}",
        "x{base64url}",
        "{hex}",
        "{escaped}",
    ],
)
def test_the_search_finds_a_secret_in_every_spelling(secret: str, spelled: str) -> None:
    data = secret.encode()
    text = spelled.format(
        raw=secret,
        url="".join(f"%{byte:02x}" for byte in data),
        base64=base64.b64encode(b"client:" + data).decode(),
        base64url=base64.urlsafe_b64encode(data + b"?").decode(),
        hex=data.hex(),
        escaped="".join(f"\\u{byte:04x}" for byte in data),
    )
    assert leaks(f"some {text} text") == {"token" if secret == TOKEN else "secret"}
    assert leaks(text.replace(secret[:4], "")[: len(text) // 2]) == set()


# --- the program ----------------------------------------------------------------------------------


class Place:
    """A folder, a workspace, and the environments that hold the secrets."""

    def __init__(self, folder: Path, workspace: FakeWorkspace, authority: Authority) -> None:
        self.folder = folder
        self.workspace = workspace
        self.base = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT),
            "PYTHONIOENCODING": "utf-8",
            "NO_PROXY": "*",
            "REQUESTS_CA_BUNDLE": str(authority.file),
        }
        self.address = {**workspace.environment, "DATABRICKS_CA_FILE": str(authority.file)}
        service = {"DATABRICKS_CLIENT_ID": CLIENT_ID, "DATABRICKS_CLIENT_SECRET": SECRET}
        self.credentials = {
            "token": {"CANARY": "token", "DATABRICKS_ACCESS_TOKEN": TOKEN},
            "oauth": {"CANARY": "secret", **service},
            "profile": {"CANARY": "token", "DATABRICKS_PROFILE": "canary"},
            "oauth profile": {"CANARY": "secret", "DATABRICKS_PROFILE": "service"},
        }
        profiles = folder / ".databrickscfg"
        profiles.write_text(
            f"[canary]\nhost = https://{workspace.host}\ntoken = {TOKEN}\n"
            f"[service]\nhost = https://{workspace.host}\nclient_id = {CLIENT_ID}\n"
            f"client_secret = {SECRET}\n"
        )
        profiles.chmod(0o600)

    def environment(self, kind: str) -> dict[str, str]:
        return {**self.base, **self.address, **self.credentials[kind]}

    def run(self, *arguments: str, environment: dict[str, str], stdin: str = "") -> tuple[int, str]:
        """Run Python; return the exit code and all that it printed, in the order of printing."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=environment,
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=PATIENCE_S,
            check=False,
        )
        return done.returncode, done.stdout

    def run_program(self, *names: str, environment: dict[str, str]) -> dict[str, str]:
        """What the program printed, by channel."""
        _, output = self.run(
            "-m", "tests.core.redaction.canary_program", *names, environment=environment
        )
        _, *sections = re.split(r"^=== (.*)\n", output, flags=re.MULTILINE)
        found = dict(zip(sections[::2], sections[1::2], strict=True))
        assert list(found) == list(names), output
        return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("canary")
    authority = Authority(folder)
    with FakeWorkspace(authority.issue()) as workspace:
        workspace.tokens, workspace.clients = set(), {}
        yield Place(folder, workspace, authority)


Sections = dict[str, str]
KINDS = ("token", "oauth", "profile", "oauth profile")
# A profile is read by the SDK, and what comes of it is a token or a client as of the others.
EACH_KIND = [pytest.param(kind, marks=[full] * ("profile" in kind)) for kind in KINDS]
CONTROL = {"CANARY_CONTROL": "1"}


@pytest.fixture(scope="module")
def masked(place: Place) -> Callable[[str], Sections]:
    """The channels' output by kind of credentials; the workspace refuses them with 403 or 401."""

    @functools.cache
    def of_kind(kind: str) -> Sections:
        return place.run_program(*CHANNELS, environment=place.environment(kind))

    return of_kind


@pytest.fixture(scope="module")
def unmasked(place: Place) -> Sections:
    return place.run_program(*CHANNELS, environment={**place.environment("oauth"), **CONTROL})


# What proves that a channel did what it is for, and was not passed by for want of a module.
REACHED = {
    "log, percent": f"with {MASK} and 3",
    "log, broken format": "--- Logging error ---",
    "objects": "<DatabricksConnector localhost",
    "models": '"use_databricks":true',
    "pickles": "cannot be pickled",
    "engine": "AuthenticationFailed",
    "refused connect": "AuthenticationError",
    "refused open": "Error",
    "validate": "ValidationResult(ok=False",
    "chain": f"KeyError: 'url https://u:{MASK}@host'",
    "users": "UserTokenEndedError",
    "SQL": f"SELECT '{MASK}', ? FROM missing",
    "driver": "databricks.sql",
    "SDK": "databricks.sdk",
    "warnings": f"DeprecationWarning: old {MASK}",
    "command line": "exit code 0",
}


@part(2)
@pytest.mark.slow
@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("kind", EACH_KIND)
def test_no_channel_leaks(masked: Callable[[str], Sections], kind: str, channel: str) -> None:
    output = masked(kind)[channel]
    assert leaks(output) == set()
    assert REACHED.get(channel, MASK) in output


@pytest.mark.slow
@pytest.mark.parametrize("channel", CHANNELS)
def test_a_channel_that_leaked_would_be_seen(unmasked: Sections, channel: str) -> None:
    # Beside what is configured, the token of a user is planted there.
    planted = {"secret", "user"} if channel == "users" else {"secret"}
    assert leaks(unmasked[channel]) == planted


@pytest.mark.slow
@pytest.mark.parametrize("kind", EACH_KIND)
def test_no_channel_leaks_where_the_credentials_are_good(place: Place, kind: str) -> None:
    names = ["driver", "SDK", "refused connect", "validate"]
    place.workspace.tokens = {TOKEN}
    place.workspace.clients = {CLIENT_ID: SECRET}
    try:
        output = place.run_program(*names, environment=place.environment(kind))
    finally:
        place.workspace.tokens = set()
        place.workspace.clients = {}
    assert "the connection was not refused" in output["refused connect"]
    assert "ValidationResult(ok=True" in output["validate"]
    assert f"SELECT '{MASK}', ?" in output["driver"]
    assert "ada@example.com" in output["SDK"]
    assert leaks("\n".join(output.values())) == set()
    # What OAuth hands out is a secret from then on.
    assert "opaque-oauth-token" not in "".join(output.values())


@full
@pytest.mark.slow
def test_no_channel_leaks_where_nobody_answers(place: Place) -> None:
    # The driver's frames hold the header then: only the test for a lost connection sees that.
    names = ["refused connect", "refused open", "validate", "driver", "SDK"]
    with closed_port() as port:
        host = {"DATABRICKS_SERVER_HOSTNAME": f"localhost:{port}"}
        environment = {**place.environment("token"), **host}
        output = place.run_program(*names, environment=environment)
        assert {name for name in names if leaks(output[name])} == set()
        assert "DatabricksConnectionError" in output["refused connect"]
        control = place.run_program("driver", environment={**environment, **CONTROL})
        # Not planted: this is what the driver itself would show.
        assert "'Authorization': 'Bearer " in control["driver"]
        assert leaks(control["driver"]) == {"token"}


# --- the end of the interpreter -------------------------------------------------------------------


@part(2)
@pytest.mark.parametrize("name", CRASHES)
def test_no_crash_leaks(place: Place, name: str) -> None:
    output = place.run_program(name, environment=place.environment("token"))[name]
    assert leaks(output) == set()
    assert MASK in output
    assert "Error" in output


@part(2)
@pytest.mark.parametrize("name", CRASHES)
def test_a_crash_that_leaked_would_be_seen(place: Place, name: str) -> None:
    environment = {**place.environment("token"), **CONTROL}
    output = place.run_program(name, environment=environment)[name]
    assert leaks(output) == {"token"}


SHOWS_LOCALS = """
import sys
from rich.traceback import install
from vinci_code.core.config import get_settings
from vinci_code.core.redaction import forget_secrets

def connect():
    token = get_settings().database.databricks_access_token.get_secret_value()
    header = {"Authorization": "Bearer " + token}
    raise ConnectionError("refused")

install(show_locals=True)
get_settings()
if "control" in sys.argv:
    forget_secrets()
connect()
"""


def test_a_hook_that_shows_locals_has_none_to_show(place: Place) -> None:
    script = place.folder / "shows_locals.py"
    script.write_text(SHOWS_LOCALS)
    environment = place.environment("token")
    _, output = place.run(str(script), environment=environment)
    assert "Traceback (most recent call last) ─" in output  # rich's, not Python's
    assert "ConnectionError: refused" in output
    assert leaks(output) == set()
    _, control = place.run(str(script), "control", environment=environment)
    assert leaks(control) == {"token"}


# --- the command line -----------------------------------------------------------------------------

# Every command with what it needs; `test_every_command_is_here` compares it with the program.
COMMANDS: dict[str, list[str]] = {
    "demo": [],
    "check": ["--write"],
    "copy": ["databricks", "copied.db"],
    "config show": [],
    "db upgrade": [],
    "db downgrade": ["base", "--yes"],
    "db status": [],
    "events import": ["events.jsonl"],
    "events add": ["--type", "test", "--source", "canary", "--payload", '{"a": 1}'],
    "events list": [],
    "events stats": [],
    "events export": ["-"],
    "fallback status": [],
    "fallback list": [],
    "fallback show": ["1"],
    "fallback retry": ["1"],
    "fallback discard": ["1", "--yes"],
    "fallback export": ["kept.jsonl"],
    "fallback refresh": [],
    "fallback send": [],
    "fallback salvage": [],
    "queries": ["--everyone"],
    "report": ["report.zip", "--yes", "--force", "--log", "planted.log"],
    "warehouse sql": ["SELECT 1"],
    "warehouse run": ["--", sys.executable, "-c", "print('ran')"],
}


def test_every_command_is_here() -> None:
    import typer.main

    from vinci_code.cli.app import app

    def commands(group: object, path: str = "") -> Iterator[str]:
        for name, command in getattr(group, "commands", {}).items():
            if getattr(command, "commands", None):
                yield from commands(command, f"{path}{name} ")
            else:
                yield f"{path}{name}"

    # It runs until it is stopped, reads none of our secrets, and shows the token that it made.
    assert set(commands(typer.main.get_command(app))) == {*COMMANDS, "warehouse serve"}


# What an application may have logged, and put where only an error belongs.
PLANTED_LOG = "".join(
    json.dumps({"time": "2026-11-30T08:00:00Z", "level": "ERROR", "logger": "app", **fields}) + "\n"
    for secret in SECRETS.values()
    for fields in (
        {"message": secret, "exception": f"Traceback:\n{secret}Error: {secret}"},
        {"logger": secret.translate(dict.fromkeys(map(ord, "+~=-"), "x"))},
        {"message": f"[{secret.upper()}_A] SQLSTATE: {secret[:5]}", "statement_id": secret},
        {"time": secret, "level": secret},
    )
)  # fmt: skip


def run_vinci(
    place: Place, command: str, *more: str, environment: dict[str, str]
) -> tuple[int, str]:
    (place.folder / "events.jsonl").write_text('{"event_type": "a", "source": "b"}\n')
    (place.folder / "planted.log").write_text(PLANTED_LOG)
    arguments = ["-m", "vinci_code", *command.split(), *COMMANDS.get(command, []), *more]
    return place.run(*arguments, environment=environment)


@part(6)
@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [
        pytest.param((), id="text"),
        pytest.param(("--json",), id="json", marks=full),
        pytest.param(("--help",), id="help", marks=full),
    ],
)
@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_leaks(place: Place, command: str, more: tuple[str, ...]) -> None:
    if command == "demo" and more == ("--json",):
        more = ()
    environment = {**place.environment("token"), "VINCI_DEBUG": "1", "DATABASE_ECHO": "true"}
    _, output = run_vinci(place, command, *more, environment=environment)
    assert output
    assert leaks(output) == set()


def members_of(report: Path) -> dict[str, str]:
    with zipfile.ZipFile(report) as packed:
        return {name: packed.read(name).decode("latin-1") for name in packed.namelist()}


@pytest.mark.slow
@pytest.mark.parametrize("kind", EACH_KIND)
def test_no_report_leaks(place: Place, kind: str) -> None:
    environment = {**place.environment(kind), "VINCI_DEBUG": "1", "DATABASE_ECHO": "true"}
    code, output = run_vinci(place, "report", environment=environment)
    assert code == 0, output
    report = place.folder / "report.zip"
    members = members_of(report)
    assert {"settings.json", "checks.json", "errors.json", "log.json"} <= set(members)
    assert "profile" in kind or MASK in members["settings.json"]
    assert "2026-11-30T08:00:00Z" in members["log.json"]
    assert {name for name, content in members.items() if leaks(name) | leaks(content)} == set()
    # Nor as it is stored, with the names in the directory of the zip.
    assert leaks(report.read_bytes().decode("latin-1")) == set()
    assert leaks(output) == set()


def test_a_report_that_leaked_would_be_seen(tmp_path: Path) -> None:
    report = tmp_path / "report.zip"
    with zipfile.ZipFile(report, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(f"{base64.b64encode(SECRET.encode()).decode()}.json", "{}")
        packed.writestr("settings.json", f"{{}}{TOKEN}" * 9)
    members = members_of(report)
    assert [leaks(name) for name in members] == [{"secret"}, set()]
    assert leaks(members["settings.json"]) == {"token"}


@pytest.mark.slow
def test_watching_leaks_nothing(place: Place) -> None:
    # The credentials are refused, and that ends it.
    code, output = run_vinci(place, "check --watch", environment=place.environment("token"))
    assert code == 69, output
    assert leaks(output) == set()


@full
@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("command", ["check", "config show"])
def test_no_command_leaks_whatever_the_credentials(place: Place, command: str, kind: str) -> None:
    code, output = run_vinci(place, command, environment=place.environment(kind))
    assert code == (1 if command == "check" else 0), output
    assert leaks(output) == set()


@full
@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_leaks_on_sqlite(place: Place, command: str) -> None:
    # Left in the environment for other tools; SQLite is what is used.
    environment = {**place.environment("token"), "USE_DATABRICKS": "false", "VINCI_DEBUG": "1"}
    _, output = run_vinci(place, command, environment=environment)
    assert output or command == "events export"
    assert leaks(output) == set()


@full
@pytest.mark.slow
def test_nothing_leaks_into_the_fallback(place: Place) -> None:
    with closed_port() as port:
        environment = {
            **place.environment("token"),
            "DATABRICKS_SERVER_HOSTNAME": f"localhost:{port}",
            "DATABRICKS_FALLBACK": "sqlite",
            "VINCI_DEBUG": "1",
        }
        for command in (
            *("events add", "fallback status", "fallback list", "fallback show"),
            *("fallback export", "fallback refresh", "check"),
        ):
            code, output = run_vinci(place, command, environment=environment)
            assert code == (0 if command not in ("fallback refresh", "check") else code), output
            assert leaks(output) == set()
    kept = [path for path in place.folder.iterdir() if path.name.startswith(("vinci-fall", "kept"))]
    assert {path.name for path in kept} >= {"vinci-fallback.db", "kept.jsonl"}
    for path in kept:
        assert leaks(path.read_bytes().decode("latin-1")) == set(), path


@pytest.mark.slow
def test_no_command_leaks_where_nobody_answers(place: Place) -> None:
    with closed_port() as port:
        environment = {
            **place.environment("token"),
            "DATABRICKS_SERVER_HOSTNAME": f"localhost:{port}",
            "VINCI_DEBUG": "1",
        }
        code, output = run_vinci(place, "check", environment=environment)
    assert code == 1
    assert leaks(output) == set()


@pytest.mark.slow
def test_the_script_leaks_nothing(place: Place) -> None:
    script = str(ROOT / "scripts" / "test_databricks_connection.py")
    for more in ([], ["--json"]):
        code, output = place.run(script, *more, environment=place.environment("token"))
        assert code == 1, output
        assert leaks(output) == set()


# Where users put a secret by mistake.
MISPLACED: dict[str, dict[str, str]] = {
    "in the host": {"DATABRICKS_SERVER_HOSTNAME": f"https://token:{TOKEN}@localhost:8443"},
    "as the host": {"DATABRICKS_SERVER_HOSTNAME": TOKEN},
    "in the path": {"DATABRICKS_HTTP_PATH": f"/sql/1.0/warehouses/{TOKEN}"},
    "as the path": {"DATABRICKS_HTTP_PATH": TOKEN},
    "as the warehouse": {"DATABRICKS_HTTP_PATH": "", "DATABRICKS_WAREHOUSE_ID": TOKEN},
    "as the catalog": {"DATABRICKS_CATALOG": f"a.{TOKEN}"},
    "as the volume": {"DATABRICKS_VOLUME": f"a.b.{TOKEN}"},
    "as the profile": {"DATABRICKS_PROFILE": TOKEN},
    "as the switch": {"USE_DATABRICKS": TOKEN},
    "as the CA file": {"DATABRICKS_CA_FILE": f"/nowhere/{TOKEN}"},
    "as the atomicity": {"DATABRICKS_ATOMICITY": TOKEN},
    "as the fallback": {"DATABRICKS_FALLBACK": TOKEN},
    "as what is read": {"DATABRICKS_FALLBACK_READS": TOKEN},
    "as the client id": {"DATABRICKS_CLIENT_ID": TOKEN, "DATABRICKS_CLIENT_SECRET": SECRET},
    "twice, differently": {"DATABRICKS_TOKEN": SECRET},
    "with a header": {"DATABRICKS_ACCESS_TOKEN": f"Bearer {TOKEN}"},
    "with a space in it": {"DATABRICKS_ACCESS_TOKEN": f"{TOKEN} {SECRET}"},
    "in quotes": {"DATABRICKS_ACCESS_TOKEN": f"'{TOKEN}'"},
    "in the file's URL": {"USE_DATABRICKS": "false", "DATABASE_URL": f"mysql://u:{TOKEN}@h/d"},
    "in another database's URL": {
        "USE_DATABRICKS": "false",
        "DATABASE_URL": f"databricks://token:{SECRET}@host?http_path=/sql",
    },
}


@part(6)
@pytest.mark.slow
@pytest.mark.parametrize("name", MISPLACED)
def test_a_misplaced_secret_is_not_repeated(place: Place, name: str) -> None:
    environment = {**place.environment("token"), **MISPLACED[name], "VINCI_DEBUG": "1"}
    for more in ([], ["--json"]):
        _, output = run_vinci(place, "config show", *more, environment=environment)
        assert output
        assert leaks(output) == set()


@part(2)
@part(2)
@pytest.mark.slow
@pytest.mark.parametrize(
    "lines",
    [
        f"DATABRICKS_ACCESS_TOKEN={TOKEN}\n",
        f"DATABRICKS ACCESS_TOKEN={TOKEN}\n",
        f"DATABRICKS_ACCESS_TOKEN='{TOKEN}\n",
        f"{TOKEN}\n",
    ],
)
def test_a_file_of_settings_is_not_repeated(place: Place, tmp_path: Path, lines: str) -> None:
    (tmp_path / ".env").write_text(lines)
    (tmp_path / ".env").chmod(0o644)
    elsewhere = Place(tmp_path, place.workspace, Authority(tmp_path))
    environment = {**elsewhere.base, **elsewhere.address, "VINCI_DEBUG": "1"}
    for command in ("config show", "check"):
        _, output = run_vinci(elsewhere, command, environment=environment)
        assert output
        assert leaks(output) == set()


@pytest.mark.slow
def test_a_bad_line_of_an_import_is_not_repeated_with_the_secret_in_it(place: Place) -> None:
    (place.folder / "bad.jsonl").write_text(f'{{"event_type": "{TOKEN}", "source": }}\n')
    environment = {**place.environment("token"), "USE_DATABRICKS": "false", "VINCI_DEBUG": "1"}
    code, output = place.run(
        "-m", "vinci_code", "events", "import", "bad.jsonl", environment=environment
    )
    assert code == 65, output
    assert leaks(output) == set()
