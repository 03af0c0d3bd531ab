"""Recognise text that says where a secret is kept, instead of the secret.

Many tools read such text and put the secret in its place; the environment does not. A
reference that is sent as a token comes back as an authentication failure, without the reason.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Reference(NamedTuple):
    """What a reference is, and what to do instead.

    Attributes:
        meaning: A phrase that completes "it is …", with nothing of the value in it.
        advice: How to have the secret itself in a variable; ``{variable}`` stands for its name.
    """

    meaning: str
    advice: str


_FILE = Reference(
    "the name of a file, not the secret in it",
    "put into {variable} what 'cat FILE' prints",
)
# The first that matches counts. Base64 may begin with a slash and hold others: a path is in one of
# the usual folders, or has nothing but lower-case names.
_REFERENCES: tuple[tuple[str, Reference], ...] = (
    (
        r"(?i:op://)",
        Reference(
            "a reference to 1Password, not the secret",
            "start the application with the tool that reads it: op run --env-file .env -- COMMAND",
        ),
    ),
    (
        r"(?i:(?:ref\+)?vault:)",
        Reference(
            "a reference to Vault, not the secret",
            "have Vault's agent put the secret into {variable}, or put there what "
            "'vault kv get -field FIELD PATH' prints",
        ),
    ),
    (
        r"dbutils\.secrets\b|\{\{\s*secrets/",
        Reference(
            "a reference to a secret scope, which Databricks resolves inside the workspace alone",
            "on a cluster, put {{secrets/SCOPE/KEY}} for {variable} into the cluster's environment "
            "variables; elsewhere set {variable} to the secret itself",
        ),
    ),
    (
        r"(?i:ENC[\[(])|\$ANSIBLE_VAULT;|\{cipher\}|-----BEGIN ",
        Reference(
            "an encrypted text, not the secret",
            "decrypt it with the tool that encrypted it, before the application starts "
            "(SOPS: sops exec-env FILE COMMAND)",
        ),
    ),
    (
        r"(?i:arn:aws[a-z-]*:|(?:aws|ref\+aws)?(?:sm|ssm|secrets|secretsmanager):)",
        Reference(
            "the name of a secret in AWS, not the secret",
            "put into {variable} what 'aws secretsmanager get-secret-value "
            "--secret-id NAME --query SecretString --output text' prints",
        ),
    ),
    (
        r"projects/[^/]+/secrets/|(?i:gcpsm:|(?:gcp)?secretmanager:)",
        Reference(
            "the name of a secret in Google Cloud, not the secret",
            "put into {variable} what 'gcloud secrets versions access latest --secret NAME' prints",
        ),
    ),
    (
        r"@Microsoft\.KeyVault\(|(?i:akv:|(?:azure)?keyvault:|https://[^/]+\.vault\.)",
        Reference(
            "a reference to Azure Key Vault, not the secret",
            "put into {variable} what 'az keyvault secret show --vault-name "
            "VAULT --name NAME --query value --output tsv' prints",
        ),
    ),
    (
        r"(?i:keyring:)",
        Reference(
            "the name of an entry of a keyring, not the secret",
            "put into {variable} what 'keyring get SERVICE USER' prints",
        ),
    ),
    (
        r"(?i:(?:secret|secretref|secretkeyref|bws|doppler|infisical|ref\+\w+):)|!secret\s",
        Reference(
            "the name of a secret in a store, not the secret",
            "have the store's own tool put the secret into {variable}, then start the application",
        ),
    ),
    (
        r"(?i:env:|\$env:)|os\.(?:environ|getenv)\b|process\.env\.|(?:env|getenv)\(",
        Reference(
            "the name of another variable, which is not looked up",
            "set {variable} to what that variable holds",
        ),
    ),
    (
        r"\$\(|`",
        Reference(
            "a command, which a shell runs and a .env file does not",
            "run it, and put into {variable} what it prints",
        ),
    ),
    (
        (
            r"(?i:file:)|[A-Za-z]:\\|\\\\\w"
            r"|/(?:run|var|etc|mnt|home|root|opt|vault|tmp|usr|srv|secrets|Users|Volumes|Workspace)/"
            r"|@?(?:~|\.{1,2})(?:[/\\][A-Za-z.]?[a-z0-9_.-]+)+$"
            r"|@?(?:/[a-z][a-z0-9_.-]+){2,}$"
        ),
        _FILE,
    ),
    (
        r"[a-z][a-z0-9+.-]{2,}://|(?i:https?|s3|gs)://|jdbc:",
        Reference("a URL", "set {variable} to the secret alone, without host or path"),
    ),
)
_COMPILED = tuple((re.compile(pattern), reference) for pattern, reference in _REFERENCES)


def reference_in(value: str) -> Reference | None:
    """Say what ``value`` refers to, or ``None`` if it may be a secret itself.

    Args:
        value: What was found, already free of surrounding spaces and quotes.
    """
    for pattern, reference in _COMPILED:
        if pattern.match(value):
            return reference
    return None
