"""Nobody's secret is ever repeated, in whatever place of an environment file it was pasted.

Those that can be recognised are refused wherever they stand. Where a reference is due, whatever stands there is refused
and nothing of it is repeated, recognisable or not.
"""

from pathlib import Path
from typing import Any

import pytest
import yaml

from support.environment_texts import (
    SANDBOX,
    TreePath,
    at,
    everything_shown,
    places,
    refusal,
    renamed,
    replaced,
)

RECOGNISABLE = {
    "access key": "AKIAIOSFODNN7EXAMPLE",
    "secret key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    "private key": "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7bq98\n-----END RSA PRIVATE KEY-----\n",
    "URL": "https://admin:corr/ect?horse@s3.example.com",
    "token": "hf_" + "aB3dE6gH9j" * 3 + "kLmN",
    "web token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZG1pbiJ9.c2lnbmF0dXJlc2lnbmF0dXJl",
    "query": "https://s3.example.com/?X-Amz-Signature=0123456789abcdef",
}
UNREMARKABLE = (
    "hunter2",
    "correct horse battery staple",
    "s3cr3t: {[x",
    "1234567890123456",
    "p@ss/w0rd!",
    "ÅÄÖ-geheim",
)


def leaves() -> list[TreePath]:
    tree = yaml.safe_load(SANDBOX)
    return [path for path in places(tree) if not isinstance(at(tree, path), dict | list)]


def parts_of(secret: str) -> list[str]:
    lines = [line for line in secret.split("\n") if line and "-----" not in line]
    return (
        ["corr/ect", "horse@"] if "corr/ect" in secret else [line.partition("=")[2] or line for line in lines]
    )


@pytest.mark.parametrize("secret", RECOGNISABLE.values(), ids=RECOGNISABLE.keys())
def test_a_recognisable_secret_is_refused_anywhere_and_not_repeated(secret: str, tmp_path: Path) -> None:
    for path in leaves():
        errors = refusal(replaced(path, secret), tmp_path)
        assert "secret-in-file" in {error.code for error in errors.errors}, path
        for part in parts_of(secret):
            assert part not in everything_shown(errors), path


@pytest.mark.parametrize("secret", RECOGNISABLE.values(), ids=RECOGNISABLE.keys())
def test_a_secret_as_a_key_is_not_repeated(secret: str, tmp_path: Path) -> None:
    for path in places(yaml.safe_load(SANDBOX)):
        if isinstance(path[-1], str):
            errors = refusal(renamed(path, secret), tmp_path)
            for part in parts_of(secret):
                assert part not in everything_shown(errors), path


@pytest.mark.parametrize("secret", [*UNREMARKABLE, *RECOGNISABLE.values()])
def test_what_stands_in_place_of_a_reference_is_not_repeated(secret: str, tmp_path: Path) -> None:
    references = [path[:-1] for path in leaves() if path[-1] == "env"]
    for path in references:
        shapes: tuple[Any, ...] = (
            secret,
            [secret],
            {"value": secret},
            {secret: "x"},
            {"env": [secret]},
            {"env": {"a": secret}},
            {"env": secret, "file": secret},
        )
        for shape in shapes:
            errors = refusal(replaced(path, shape), tmp_path)
            for part in parts_of(secret):
                assert part not in everything_shown(errors), (path, shape)


@pytest.mark.parametrize(
    "text",
    [
        "passphrase: hunter2 hunter2: x\n",
        "passphrase hunter2\n",
        "secret_key:\n  env:\n  - hunter2: hunter2: x\n",
        "passphrase: |\n  hunter2\n bad\n",
        'passphrase: "hunter2\n',
        "passphrase: {env: hunter2: x}\n",
        "secret_key: [hunter2\n",
        "state:\n  passphrase: >\n    hunter2\n\tx\n",
        "state:\n  passphrase:\n    hunter2: - hunter2\n",
    ],
)
def test_a_secret_in_text_that_does_not_parse_is_not_repeated(text: str, tmp_path: Path) -> None:
    assert "hunter2" not in everything_shown(refusal(text, tmp_path))
