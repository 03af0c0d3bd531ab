"""Nothing is guessed: what stands twice, in other letters or in the wrong place is an error."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.fakes.certificates import Authority
from vinci_code.core.config import ConfigurationError, reload_settings
from vinci_code.core.errors import ConfigurationProblem

HOST = "adb-1234567890123456.7.azuredatabricks.net"
PATH = "/sql/1.0/warehouses/0123456789abcdef"
TOKEN = "dapi" + "0123456789abcdef" * 2
SECRET = "dose" + "fedcba9876543210" * 2
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"
CLIENT_ID = "6a2f9d0c-1b2c-4d5e-8f60-718293a4b5c6"

COMPLETE = {
    "USE_DATABRICKS": "true",
    "DATABRICKS_SERVER_HOSTNAME": HOST,
    "DATABRICKS_HTTP_PATH": PATH,
    "DATABRICKS_ACCESS_TOKEN": TOKEN,
}


def write(*lines: str) -> None:
    Path(".env").write_text("\n".join(lines) + "\n")
    Path(".env").chmod(0o600)


def complete(**others: str | None) -> list[str]:
    """Lines of a whole .env file, with others in place of its own."""
    return [
        f"{name}={value}" for name, value in {**COMPLETE, **others}.items() if value is not None
    ]


def problems() -> tuple[ConfigurationProblem, ...]:
    with pytest.raises(ConfigurationError) as caught:
        reload_settings()
    for secret in (TOKEN, SECRET, JWT):
        assert secret not in str(caught.value)
    return caught.value.problems


# --- twice ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("DATABRICKS_SERVER_HOSTNAME", "dbc-1.cloud.databricks.com"),
        ("DATABRICKS_HTTP_PATH", "fedcba9876543210"),
        ("DATABRICKS_ACCESS_TOKEN", SECRET),
        ("USE_DATABRICKS", "false"),
    ],
)
def test_a_name_with_two_values_names_both_lines(name: str, other: str) -> None:
    write(*complete(), f"{name}={other}")
    (problem,) = problems()
    first = list(COMPLETE).index(name) + 1
    assert problem.variable == f"{name} (.env line {first}) and {name} (.env line 5)"
    assert problem.fix == f"remove one of the two lines that set {name}"


def test_the_same_value_twice_is_fine() -> None:
    write(*complete(), f"DATABRICKS_SERVER_HOSTNAME=https://{HOST}/", "DATABRICKS_HTTP_PATH=")
    assert reload_settings().database.databricks_server_hostname == HOST


def test_the_environment_hides_both_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_SERVER_HOSTNAME", HOST)
    write(*complete(), "DATABRICKS_SERVER_HOSTNAME=dbc-1.cloud.databricks.com")
    assert reload_settings().database.host == HOST


def test_names_of_others_may_stand_twice() -> None:
    write("OTHER=1", "OTHER=2", "DATABRICKS_HOST=a.b", "DATABRICKS_HOST=c.d")
    assert reload_settings().database.use_databricks is False


# --- in other letters -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("use_databricks", "USE_DATABRICKS"),
        ("Use_Databricks", "USE_DATABRICKS"),
        ("USE-DATABRICKS", "USE_DATABRICKS"),
    ],
)
def test_a_switch_in_other_letters_is_named_with_its_line(wrong: str, right: str) -> None:
    write("# the switch", f"{wrong}=true")
    (problem,) = problems()
    assert problem.variable == f"{wrong} (.env line 2)"
    assert problem.accepted == right
    assert right in problem.fix


@pytest.mark.skipif(os.name == "nt", reason="there the environment's names have no case")
def test_a_switch_in_other_letters_in_the_environment_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("use_databricks", "true")
    (problem,) = problems()
    assert problem.variable == "use_databricks (environment)"


def test_a_token_in_other_letters_is_named_and_not_repeated() -> None:
    write(*complete(DATABRICKS_ACCESS_TOKEN=None), f"databricks_token={TOKEN}")
    first, missing = problems()
    assert first.variable == "databricks_token (.env line 4)"
    assert first.accepted == "DATABRICKS_TOKEN"
    assert missing.found == "no credentials"


def test_other_letters_do_not_matter_where_the_name_does_not() -> None:
    write("databricks_host=here", "use_data_bricks=true", "database-echo=")
    assert reload_settings().database.use_databricks is False


# --- in the wrong place ---------------------------------------------------------------------------


@pytest.mark.parametrize("token", [TOKEN, f"{TOKEN}-2", SECRET, JWT])
@pytest.mark.parametrize(
    "name",
    [
        "DATABRICKS_SERVER_HOSTNAME",
        "DATABRICKS_HTTP_PATH",
        "DATABRICKS_WAREHOUSE_ID",
        "DATABRICKS_CATALOG",
        "DATABRICKS_SCHEMA",
    ],
)
def test_a_token_in_another_variable_is_sent_where_it_belongs(name: str, token: str) -> None:
    others = {"DATABRICKS_HTTP_PATH": None} if name == "DATABRICKS_WAREHOUSE_ID" else {}
    write(*complete(**{**others, name: token}))
    (problem,) = problems()
    assert problem.variable.startswith(f"{name} (.env line ")
    assert problem.found == "a token (not repeated here)"
    assert f"move it to DATABRICKS_ACCESS_TOKEN, and set {name} to" in problem.fix


def test_a_token_in_a_path_is_refused_too() -> None:
    write(*complete(DATABRICKS_HTTP_PATH=f"/sql/1.0/warehouses/{TOKEN}"))
    assert [problem.found for problem in problems()] == ["a token (not repeated here)"]


@pytest.mark.parametrize("token", [TOKEN, SECRET, JWT])
def test_a_token_as_a_profile_is_sent_where_it_belongs(token: str) -> None:
    write(*complete(DATABRICKS_ACCESS_TOKEN=None, DATABRICKS_PROFILE=token))
    (problem,) = problems()
    assert problem.variable == "DATABRICKS_PROFILE (.env line 4)"
    assert problem.fix == "move it to DATABRICKS_ACCESS_TOKEN, and remove DATABRICKS_PROFILE"


@pytest.mark.parametrize(
    ("client_id", "secret", "fix"),
    [
        (SECRET, CLIENT_ID, "move it to DATABRICKS_CLIENT_SECRET"),
        ("Q8~abc.def", CLIENT_ID.upper(), "exchange the two values"),
    ],
)
def test_a_client_id_and_secret_that_are_exchanged(client_id: str, secret: str, fix: str) -> None:
    write(
        *complete(
            DATABRICKS_ACCESS_TOKEN=None,
            DATABRICKS_CLIENT_ID=client_id,
            DATABRICKS_CLIENT_SECRET=secret,
        )
    )
    (problem,) = problems()
    assert problem.variable.startswith("DATABRICKS_CLIENT_ID (.env line 4)")
    assert fix in problem.fix
    assert client_id not in str(problem)


def test_a_secret_in_the_form_of_an_id_is_fine_beside_an_id() -> None:
    write(
        *complete(
            DATABRICKS_ACCESS_TOKEN=None,
            DATABRICKS_CLIENT_ID=CLIENT_ID,
            DATABRICKS_CLIENT_SECRET=CLIENT_ID[::-1].replace("-", "a"),
        )
    )
    assert reload_settings().database.auth_method == "oauth_m2m"


@pytest.mark.parametrize(
    "path", [PATH, PATH[1:], "warehouses/0123456789abcdef", "0123456789abcdef"]
)
def test_a_path_as_the_host_is_sent_where_it_belongs(path: str) -> None:
    write(*complete(DATABRICKS_SERVER_HOSTNAME=path))
    (problem,) = problems()
    assert "the path or id of a warehouse" in problem.found
    assert problem.fix == (
        "move it to DATABRICKS_HTTP_PATH, and set DATABRICKS_SERVER_HOSTNAME to the host name"
    )


@pytest.mark.parametrize("host", [HOST, f"https://{HOST}", f"https://{HOST}/", f"{HOST}:443"])
def test_a_host_as_the_path_is_sent_where_it_belongs(host: str) -> None:
    write(*complete(DATABRICKS_HTTP_PATH=host))
    (problem,) = problems()
    assert "the name of a host" in problem.found
    assert problem.fix.startswith(
        "move it to DATABRICKS_SERVER_HOSTNAME; for DATABRICKS_HTTP_PATH, copy"
    )


def test_a_host_and_a_path_that_are_exchanged_are_two_problems() -> None:
    write(*complete(DATABRICKS_SERVER_HOSTNAME=PATH, DATABRICKS_HTTP_PATH=HOST))
    assert [problem.variable for problem in problems()] == [
        "DATABRICKS_SERVER_HOSTNAME (.env line 2)",
        "DATABRICKS_HTTP_PATH (.env line 3)",
    ]


def test_the_url_of_a_warehouse_is_right_in_both() -> None:
    url = f"https://{HOST}{PATH}"
    write(*complete(DATABRICKS_SERVER_HOSTNAME=url, DATABRICKS_HTTP_PATH=url))
    found = reload_settings().database
    assert (found.host, found.databricks_http_path) == (HOST, PATH)


# --- the home folder ------------------------------------------------------------------------------


def test_a_tilde_is_the_home_folder_in_every_path(tmp_path: Path) -> None:
    home = Path(os.environ["HOME"])
    shutil.copy(Authority(tmp_path).file, home / "ca.pem")
    write(
        *complete(
            DATABRICKS_CONFIG_FILE="~/profiles",
            DATABRICKS_CA_FILE="~/ca.pem",
            DATABRICKS_FALLBACK_FILE="~/kept.db",
        )
    )
    found = reload_settings().database
    assert found.databricks_config_file == home / "profiles"
    assert found.databricks_ca_file == home / "ca.pem"
    assert found.databricks_fallback_file == home / "kept.db"


@pytest.mark.parametrize(
    ("url", "rest"),
    [("sqlite:///~/data.db", "/data.db"), ("sqlite:///~/data.db?timeout=3", "/data.db?timeout=3")],
)
def test_a_tilde_is_the_home_folder_in_the_database_url(url: str, rest: str) -> None:
    write(f"DATABASE_URL={url}")
    assert reload_settings().database.database_url == f"sqlite:///{os.environ['HOME']}{rest}"
