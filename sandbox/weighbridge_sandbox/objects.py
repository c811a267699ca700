"""The cluster's own objects and buckets: what `up` makes sure of once the API answers."""

import http.client
import json
import ssl
from datetime import datetime, timedelta
from importlib import resources
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from weighbridge_sandbox.commands import run
from weighbridge_sandbox.errors import CommandError
from weighbridge_sandbox.layout import API_PORT, BUCKETS, NODE, S3_ENDPOINT, Layout

LEASE_RENEWED_WITHIN = timedelta(seconds=25)  # the kubelet does every 10 s


def api_ready(layout: Layout) -> bool:
    """Whether the API server's own readiness checks pass (they need no credential to be read as a status)."""
    context = ssl.create_default_context(cafile=str(layout.pki / "ca.crt"))
    context.load_cert_chain(layout.pki / "admin.crt", layout.pki / "admin.key")
    connection = http.client.HTTPSConnection("127.0.0.1", API_PORT, timeout=3, context=context)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def kubectl(layout: Layout, *words: str, stdin: str | None = None, timeout_s: float = 60) -> str:
    """Call kubectl as the sandbox's administrator; raises CommandError."""
    own = ("--kubeconfig", str(layout.kubeconfig), "--request-timeout=30s")
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(layout.home), "no_proxy": "127.0.0.1"}
    return run(
        [layout.bin / "kubectl", *own, *words], stdin=stdin, timeout_s=timeout_s, env=environment
    ).stdout


def manifests(folder: str) -> tuple[Path, ...]:
    """The YAML files of a folder of this package, in order."""
    root = Path(str(resources.files("weighbridge_sandbox"))) / folder
    return tuple(sorted(root.glob("*.yaml")))


def apply(layout: Layout, *folders: str) -> int:
    """Apply every manifest of these folders server-side; returns how many files there were."""
    files = [path for folder in folders for path in manifests(folder)]
    words = [word for path in files for word in ("--filename", str(path))]
    kubectl(
        layout, "apply", "--server-side", "--force-conflicts", "--field-manager=weighbridge-sandbox", *words
    )
    return len(files)


def node_ready(layout: Layout, alive_since: datetime) -> bool:
    """Whether the kubelet lives (its lease was renewed since), and the node is Ready and free of taints."""
    try:
        node = json.loads(kubectl(layout, "get", "node", NODE, "--output=json"))
        lease = json.loads(
            kubectl(layout, "get", "lease", NODE, "--namespace=kube-node-lease", "--output=json")
        )
    except CommandError:
        return False
    if datetime.fromisoformat(lease["spec"]["renewTime"]) < alive_since:
        return False
    conditions = {c["type"]: c["status"] for c in node.get("status", {}).get("conditions", [])}
    return conditions.get("Ready") == "True" and not node["spec"].get("taints")


def exists(layout: Layout, kind: str, name: str, namespace: str | None = None) -> bool:
    """Whether an object is there."""
    where = ("--namespace", namespace) if namespace else ()
    return bool(kubectl(layout, "get", kind, name, *where, "--ignore-not-found", "--output=name").strip())


def make_buckets(layout: Layout) -> tuple[str, ...]:
    """Make the buckets that are missing, over S3 itself; returns their names."""
    missing = tuple(name for name in BUCKETS if not (layout.s3 / "data" / name).is_dir())
    if not missing:
        return ()
    client = boto3.client(
        "s3",
        endpoint_url=S3_ENDPOINT,
        region_name="us-east-1",
        aws_access_key_id=layout.s3_access_key.read_text().strip(),
        aws_secret_access_key=layout.s3_secret_key.read_text().strip(),
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 5}, proxies={}),
    )
    try:
        for name in missing:
            client.create_bucket(Bucket=name)
    except (BotoCoreError, ClientError) as error:
        raise CommandError(f"The S3 server would not make a bucket: {error}") from error
    return missing
