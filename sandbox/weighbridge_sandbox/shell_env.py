"""`env`: POSIX shell exports with which any client can talk to the sandbox. No secret's value is in the text."""

import shlex
from pathlib import Path

from weighbridge_sandbox.layout import S3_ENDPOINT, SILENCE, Layout


def exports(layout: Layout) -> str:
    """Lines for `eval`; credentials are read from their files by the shell that evaluates them."""

    def content(path: Path) -> str:
        return f'"$(cat {shlex.quote(str(path))})"'

    variables = {
        "KUBECONFIG": shlex.quote(str(layout.kubeconfig)),
        "PATH": f'{shlex.quote(str(layout.bin))}:"$PATH"',
        "SANDBOX_S3_ENDPOINT": S3_ENDPOINT,
        "SANDBOX_S3_ACCESS_KEY": content(layout.s3_access_key),
        "SANDBOX_S3_SECRET_KEY": content(layout.s3_secret_key),
        "SANDBOX_PULUMI_PASSPHRASE": content(layout.passphrase),
        **SILENCE,
    }
    return "".join(f"export {name}={value}\n" for name, value in variables.items())


def as_json(layout: Layout) -> dict[str, str]:
    """The same as values; credentials as the files they lie in."""
    return {
        "KUBECONFIG": str(layout.kubeconfig),
        "PATH_PREFIX": str(layout.bin),
        "SANDBOX_S3_ENDPOINT": S3_ENDPOINT,
        "SANDBOX_S3_ACCESS_KEY_FILE": str(layout.s3_access_key),
        "SANDBOX_S3_SECRET_KEY_FILE": str(layout.s3_secret_key),
        "SANDBOX_PULUMI_PASSPHRASE_FILE": str(layout.passphrase),
        **SILENCE,
    }
