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
from vinci_code.core.redaction import redact

SEED = 16
COUNT = some(1_000_000, few=40_000)
HOSTS = some(10_000, few=2_000)
_LOWER_HEX = "0123456789abcdef"
_WORD = string.ascii_letters + string.digits

# What each names, and a part of the advice for it.
PLACES = {
    "/run/secrets/token": "'cat FILE'",
    "/var/run/secrets/databricks/token": "'cat FILE'",
    "/mnt/secrets-store/databricks-token": "'cat FILE'",
    "/Users/ann/token.txt": "'cat FILE'",
    "~/.databricks-token": "'cat FILE'",
    "./secrets/token.txt": "'cat FILE'",
    "@/run/secrets/token": "'cat FILE'",
    "C:\\secrets\\token.txt": "'cat FILE'",
    "file:///run/secrets/token": "'cat FILE'",
    "op://vault/item/field": "op run",
    "vault:secret/data/databricks#token": "vault kv get",
    "vault://secret/databricks/token": "vault kv get",
    "dbutils.secrets.get(scope='s', key='k')": "{{secrets/SCOPE/KEY}}",
    "{{secrets/scope/key}}": "{{secrets/SCOPE/KEY}}",
    "ENC[AES256_GCM,data:Zm9v,iv:YmFy,tag:YmF6,type:str]": "sops exec-env",
    "ENC(c29tZXRoaW5n)": "decrypt it",
    "arn:aws:secretsmanager:eu-west-1:123456789012:secret:databricks-Ab12Cd": "aws secretsmanager",
    "ref+awssecrets://databricks/token": "aws secretsmanager",
    "projects/acme/secrets/databricks-token/versions/latest": "gcloud secrets",
    "@Microsoft.KeyVault(SecretUri=https://acme.vault.azure.net/secrets/t)": "az keyvault",
    "https://acme.vault.azure.net/secrets/token": "az keyvault",
    "$(cat /run/secrets/token)": "what it prints",
    "keyring:databricks": "keyring get",
    "secretref:databricks-token": "the store's own tool",
    "env:DATABRICKS_TOKEN": "what that variable holds",
    'os.environ["TOKEN"]': "what that variable holds",
    "jdbc:databricks://host:443/default": "without host or path",
    "/sql/1.0/warehouses/0f1e2d3c4b5a6978": "move them to DATABRICKS_HTTP_PATH",
    "f0e1d2c3b4a59687": "move them to DATABRICKS_HTTP_PATH",
    "adb-1234567890123456.7.azuredatabricks.net": "move them to DATABRICKS_SERVER_HOSTNAME",
}
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
    "dapi1234...cdef",
    "dapi" + "0f1e2d3c" * 3,
    "abc123def456",
    "1234567890abcdefghij",
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


@pytest.mark.parametrize(("value", "advice"), PLACES.items())
def test_the_name_of_a_place_gets_advice_of_its_own(value: str, advice: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        settings(value)
    (problem,) = caught.value.problems
    assert advice in problem.fix
    assert "{variable}" not in problem.fix


def test_the_shortest_that_is_accepted_is_seen_by_the_mask() -> None:
    short = "Zq9w7eK"
    with pytest.raises(ConfigurationError, match="too few for a secret"):
        settings(short)
    settings(f"{short}4")
    assert f"{short}4" not in redact(f"with {short}4 in it")


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
    "client secret of Entra, with its mark": lambda c: (
        f"{_text(c, f'{_WORD}~._-', 3)}{c.randrange(10)}Q~{_text(c, f'{_WORD}~._-', 34)}"
    ),
    "client secret of Entra, before 2021": lambda c: _text(c, f"{_WORD}.:/=?@[]_+*-", 32),
    "lower case and digits": lambda c: _text(c, f"{string.ascii_lowercase}{string.digits}", 52),
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
    "home lake hidden mock insert yourmechanic mycelium one acme contoso fabrikam "
    "northwind adventure user team public private secret"
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
