"""What is no secret is refused, with advice, and no real one ever is."""

from __future__ import annotations

import base64
import json
import random
import string
import uuid
from collections.abc import Callable, Iterator

import pytest

from tests.full import some
from vinci_code.core.config import ConfigurationError, DatabaseSettings
from vinci_code.core.config.placeholders import placeholder_reason

SEED = 16
COUNT = some(1_000_000, few=40_000)
HOSTS = some(10_000, few=2_000)
_LOWER_HEX = "0123456789abcdef"
_WORD = string.ascii_letters + string.digits

PLACES = [
    "/run/secrets/token",
    "/var/run/secrets/databricks/token",
    "/mnt/secrets-store/databricks-token",
    "~/.databricks-token",
    "C:\\secrets\\token.txt",
    "op://vault/item/field",
    "vault:secret/data/databricks#token",
    "vault://secret/databricks/token",
    "file:///run/secrets/token",
    "dbutils.secrets.get(scope='s', key='k')",
    "ENC[AES256_GCM,data:Zm9v,iv:YmFy,tag:YmF6,type:str]",
    "ENC(c29tZXRoaW5n)",
    "arn:aws:secretsmanager:eu-west-1:123456789012:secret:databricks-Ab12Cd",
    "projects/acme/secrets/databricks-token/versions/latest",
    "@Microsoft.KeyVault(SecretUri=https://acme.vault.azure.net/secrets/t)",
    "$(cat /run/secrets/token)",
    "keyring:databricks",
    "secretref:databricks-token",
    "ref+awssecrets://databricks/token",
]
OTHERS = [
    "a",
    "true",
    "n/a",
    "none",
    "12345678",
    "123456789012",
    "1234567",
    "changeit",
    "(redacted)",
    "(hidden)",
    "dapi" + "0" * 32,
    "dapi" + "a" * 32,
    "dapi" + "1" * 32 + "-2",
    "dose" + "f" * 32,
    "xxxxxxxxxxxx",
    "--------",
    "https://dbc-a1b2c3d4-e5f6.cloud.databricks.com",
    "jdbc:databricks://host:443/default",
    "dapi1234...cdef",
    "eyJhbGci...",
]


def settings(token: str) -> DatabaseSettings:
    return DatabaseSettings(
        use_databricks=True,
        databricks_server_hostname="dbc-a1b2c3d4-e5f6.cloud.databricks.com",
        databricks_http_path="1a2b3c4d5e6f7a8b",
        databricks_access_token=token,
    )


@pytest.mark.parametrize("value", [*PLACES, *OTHERS])
def test_it_is_refused(value: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        settings(value)
    (problem,) = caught.value.problems
    assert "characters that are " in problem.found
    assert len(value) < 8 or value not in str(caught.value)


@pytest.mark.parametrize("value", PLACES)
def test_the_name_of_a_place_gets_advice_of_its_own(value: str) -> None:
    with pytest.raises(ConfigurationError, match="put the secret itself into the variable"):
        settings(value)


# --- what is real ---------------------------------------------------------------------------------


def _text(chance: random.Random, alphabet: str, size: int) -> str:
    return "".join(chance.choices(alphabet, k=size))


def _jwt(chance: random.Random) -> str:
    header = base64.urlsafe_b64encode(json.dumps({"alg": "RS256", "kid": "k"}).encode()).decode()
    return ".".join([header.rstrip("="), _text(chance, f"{_WORD}-_", 60), _text(chance, _WORD, 43)])


# By who hands them out. Microsoft documents that of Entra as of letters, digits and "~._-".
SHAPES: dict[str, Callable[[random.Random], str]] = {
    "personal access token": lambda c: f"dapi{_text(c, _LOWER_HEX, 32)}",
    "of one that was renewed": lambda c: f"dapi{_text(c, _LOWER_HEX, 32)}-{c.randrange(2, 20)}",
    "OAuth secret of Databricks": lambda c: f"dose{_text(c, _LOWER_HEX, 32)}",
    "client secret of Entra": lambda c: _text(c, f"{_WORD}~._-", 40),
    "client secret of Entra, the older": lambda c: _text(c, f"{_WORD}~._-", 34),
    "JSON web token": _jwt,
    "hexadecimal": lambda c: _text(c, _LOWER_HEX, c.choice([32, 40, 64])),
    "base64": lambda c: base64.b64encode(c.randbytes(c.choice([24, 32, 48]))).decode(),
    "base64 for URLs": lambda c: base64.urlsafe_b64encode(c.randbytes(32)).decode().rstrip("="),
    "UUID": lambda c: str(uuid.UUID(int=c.getrandbits(128), version=4)),
    "Google": lambda c: f"GOCSPX-{_text(c, f'{_WORD}-_', 28)}",
    "letters and digits": lambda c: _text(c, _WORD, c.choice([16, 20, 32])),
}


@pytest.mark.slow
def test_no_real_secret_is_refused() -> None:
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    made = list(SHAPES.items())
    for number in range(COUNT):
        name, make = made[number % len(made)]
        secret = make(chance)
        assert placeholder_reason(secret, "secret") is None, (name, secret)


_SYLLABLES = "a be ca do el fi go hu in ka lo me nu or pi qua ro sa ti ul vo wi xa yo zen".split()
_VANITY = (
    "here my key test demo prod dev data app api client server1 sql path name account access pass "
    "home lake one acme contoso fabrikam northwind adventure user team public private secret"
).split()


def _vanity_hosts(chance: random.Random) -> Iterator[str]:
    domains = ["cloud.databricks.com", "azuredatabricks.net", "gcp.databricks.com"]
    yield from (f"{word}.cloud.databricks.com" for word in _VANITY)
    while True:
        words = ["".join(chance.choices(_SYLLABLES, k=chance.randrange(2, 5))) for _ in range(2)]
        label = "-".join(words[: chance.randrange(1, 3)]) + chance.choice(["", "", "-prod", "-dev"])
        yield f"{label}.{chance.choice(domains)}"


@pytest.mark.slow
def test_no_vanity_host_is_refused() -> None:
    print(f"seed {SEED}")
    hosts = _vanity_hosts(random.Random(SEED))
    for _ in range(HOSTS):
        host = next(hosts)
        assert placeholder_reason(host, "host") is None, host


@pytest.mark.parametrize(
    "label",
    ["yourcompany", "your-databricks-instance", "your-workspace", "my-workspace", "mycompany"],
)
def test_a_host_of_theirs_is_refused(label: str) -> None:
    assert placeholder_reason(f"{label}.cloud.databricks.com", "host") is not None
