"""One tenant of the sandbox, as a user meets it: the console script, an environment file, kubectl's view of the cluster."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import boto3
import yaml
from botocore.config import Config
from pydantic import ValidationError

from weighbridge.domain.naming import claim_name, intents_name, receipts_name
from weighbridge.environment.sections import environment_type
from weighbridge.environment.types import Environment
from weighbridge.grants import render_grants
from weighbridge.kubernetes.client import CLAIM, CONFIG_MAP, LEASE, POD, WATSONX_IFM, Kind, Kube, connect
from weighbridge.steps import SECTIONS
from weighbridge_sandbox.grants import grant
from weighbridge_sandbox.layout import CONTEXT, S3_ENDPOINT, Layout
from weighbridge_sandbox.models import write_small_llama

CR = "watsonxaiifm-cr"
KEYS = {"access_key": {"env": "SANDBOX_S3_ACCESS_KEY"}, "secret_key": {"env": "SANDBOX_S3_SECRET_KEY"}}
VOLUME = Kind("", "v1", "PersistentVolume", "persistentvolumes", namespaced=False)
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Ran:
    """One finished command."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return self.out + self.err

    @property
    def json(self) -> dict[str, Any]:
        return cast("dict[str, Any]", json.loads(self.out))


@dataclass
class Estate:
    """A namespace, a folder of the bucket ``models`` and an environment of the same name.

    ``weighbridge`` runs under the login that ``granted`` hands out: what `weighbridge rbac` writes for the environment as it
    stands, and nothing more. ``kube`` is the administrator's, for looking and for playing others.
    """

    name: str
    layout: Layout
    folder: Path
    kube: Kube = field(init=False)
    environment: dict[str, Any] = field(init=False)
    held: bool = field(init=False, default=False)
    """While true, what was granted stays as it is: a test has taken something away."""
    _granted: dict[str, tuple[Any, ...]] = field(init=False, default_factory=dict)
    _last: Environment | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.kube = connect(context=CONTEXT)
        self.s3 = boto3.client(
            "s3",
            endpoint_url=S3_ENDPOINT,
            region_name="us-east-1",
            aws_access_key_id=os.environ["SANDBOX_S3_ACCESS_KEY"],
            aws_secret_access_key=os.environ["SANDBOX_S3_SECRET_KEY"],
            config=Config(s3={"addressing_style": "path"}),
        )
        self.environment = {
            "name": self.name,
            "cluster": {"context": self.context(self.name), "namespace": self.name},
            "platform": {"version": "5.2"},
            "state": {
                "backend": f"s3://weighbridge-state/{self.name}?endpoint={S3_ENDPOINT}&region=us-east-1&s3ForcePathStyle=true",
                "credentials": KEYS,
                "passphrase": {"env": "SANDBOX_PULUMI_PASSPHRASE"},
            },
            "pods": {"image": "weighbridge.local/mover:sandbox"},
            "models": [self.model("llama-fetch", "fetch"), self.model("llama-push", "push")],
        }

    def model(self, model_id: str, *routes: str, prefix: str = "llama") -> dict[str, Any]:
        """A model of this estate; both of the standard ones have the same source."""
        return {
            "id": model_id,
            "source": {
                "s3": {
                    "bucket": "models",
                    "prefix": f"{self.name}/{prefix}/",
                    "endpoint": S3_ENDPOINT,
                    "credentials": KEYS,
                }
            },
            "storage": {"storage_class": "sandbox-rwx"},
            "routes": list(routes),
            "parameters": {
                "max_new_tokens": {"default": 512, "min": 20, "max": 1024},
                "max_sequence_length": {"default": 2048, "min": 1025, "max": 4096},
            },
        }

    def fill(self) -> None:
        """Put a small Llama under the estate's prefix ``llama/``, with a nested folder and an empty file."""
        source = self.folder / "source"
        source.mkdir()
        write_small_llama(source)
        (source / "nested" / "deeper").mkdir(parents=True)
        (source / "nested" / "deeper" / "notes.txt").write_text("not weights\n")
        (source / "empty.txt").write_bytes(b"")
        self.upload(source, "llama")

    def upload(self, source: Path, prefix: str) -> None:
        for path in sorted(source.rglob("*")):
            if path.is_file():
                self.s3.upload_file(str(path), "models", f"{self.name}/{prefix}/{path.relative_to(source)}")

    def empty(self) -> None:
        """Remove what this estate has in the buckets."""
        for bucket, prefix in (("models", f"{self.name}/"), ("weighbridge-state", f"{self.name}/")):
            pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            for item in [item for page in pages for item in page.get("Contents", [])]:
                self.s3.delete_object(Bucket=bucket, Key=item["Key"])

    # -- the command line --------------------------------------------------------------------------------------------

    @staticmethod
    def context(name: str) -> str:
        """The login of an environment: each has its own, as each has its own Roles and policy."""
        return f"{name}-user"

    def granted(self, environment: dict[str, Any] | None = None) -> None:
        """The administrator's part for an environment of this estate, done again where its Roles or policy change. One that
        cannot be read, names another login or another namespace gets nothing: it is there to be refused.
        """
        document = environment or self.environment
        try:
            found = environment_type(SECTIONS).model_validate(document, strict=False)
        except ValidationError:
            return
        if (found.cluster.context, found.cluster.namespace) != (self.context(found.name), self.name):
            return
        if self.held:
            return
        self._last, documents = found, render_grants(found).documents
        if self._granted.get(found.name) != documents:
            grant(found)
            self._granted[found.name] = documents

    def regranted(self) -> None:
        """Once more what was granted last, whatever was done to it since."""
        if self._last is not None:
            grant(self._last)

    def written(self, **changes: Any) -> Path:
        """The environment file as it stands, with ``changes`` applied to its top level, and its login granted."""
        document = {**self.environment, **changes}
        cluster = document.get("cluster")
        if isinstance(cluster, dict) and cluster.get("context") == self.context(self.name):
            document["cluster"] = {**cluster, "context": self.context(str(document.get("name")))}
        file = self.folder / f"{self.name}.yaml"
        file.write_text(yaml.safe_dump(document, sort_keys=False))
        self.granted(document)
        return file

    def run(
        self,
        verb: str,
        *arguments: str,
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
        programs: Path = BIN,
        **changes: Any,
    ) -> Ran:
        """``weighbridge VERB FILE …`` with the environment file as it stands, ``changes`` applied to its top level."""
        where, file = cwd or self.folder, self.written(**changes)
        done = subprocess.run(
            [programs / "weighbridge", verb, str(file), *arguments],
            cwd=where,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=540,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def applied(self, *arguments: str, **changes: Any) -> dict[str, Any]:
        """``apply --json``, which has to succeed."""
        ran = self.run("apply", "--json", *arguments, **changes)
        assert ran.code == 0, ran.said
        return ran.json

    # -- what somebody with kubectl sees -----------------------------------------------------------------------------

    def cr(self) -> dict[str, Any]:
        found = self.kube.get(WATSONX_IFM, CR, self.name)
        assert found is not None
        return found

    def entries(self) -> list[dict[str, Any]]:
        return cast("list[dict[str, Any]]", self.cr()["spec"]["custom_foundation_models"])

    def theirs(self) -> dict[str, Any]:
        """The spec without our entries: what must never change."""
        spec = dict(self.cr()["spec"])
        ours = {model["id"] for model in self.environment["models"]}
        spec["custom_foundation_models"] = [
            entry for entry in spec["custom_foundation_models"] if entry["model_id"] not in ours
        ]
        return spec

    def pods_ever(self) -> set[str]:
        """UIDs of every pod that the namespace's events speak of: pods that came and went included."""
        events = self.kube.list(Kind("", "v1", "Event", "events"), self.name)
        return {
            event["involvedObject"].get("uid", "")
            for event in events
            if event["involvedObject"]["kind"] == "Pod"
        }

    def marks(self) -> dict[str, Any]:
        """What any write would change: versions of lasting objects, pods ever seen, every file on the volumes of ours."""
        volumes = [self.volume(model["id"]) for model in self.environment["models"]]
        return {
            "custom resource": self.cr()["metadata"]["resourceVersion"],
            "claims": self._versions(CLAIM),
            "records": {
                name: version
                for name, version in self._versions(CONFIG_MAP).items()
                if name in {receipts_name(self.name), intents_name(self.name)}
            },
            "pods": self.pods_ever(),
            "files": {
                str(path): (path.lstat().st_ino, path.lstat().st_ctime_ns)
                for volume in volumes
                for path in volume.rglob("*")
            },
        }

    def _versions(self, kind: Kind) -> dict[str, str]:
        found = (item["metadata"] for item in self.kube.list(kind, self.name))
        return {metadata["name"]: metadata["resourceVersion"] for metadata in found}

    def leftovers(self) -> list[str]:
        """Objects of ours that a finished run must not leave behind."""
        label = {"weighbridge.dev/environment": self.name}
        kinds = (POD, LEASE, Kind("batch", "v1", "Job", "jobs"), Kind("", "v1", "Secret", "secrets"))
        found = [
            f"{kind} {item['metadata']['name']}"
            for kind in kinds
            for item in self.kube.list(kind, self.name, labels=label)
        ]
        maps = [item["metadata"]["name"] for item in self.kube.list(CONFIG_MAP, self.name, labels=label)]
        lasting = {receipts_name(self.name), intents_name(self.name)}
        return found + [f"configmap {name}" for name in maps if name not in lasting]

    def receipt(self, model_id: str) -> str | None:
        """A model's receipt as the cluster holds it."""
        found = self.kube.get(CONFIG_MAP, receipts_name(self.name), self.name) or {}
        content: dict[str, str] = found.get("data") or {}
        return content.get(model_id)

    def forget_receipt(self, model_id: str) -> None:
        """As if nothing of this model had been published yet."""
        self.kube.merge(CONFIG_MAP, receipts_name(self.name), self.name, {"data": {model_id: None}})

    def volume(self, model_id: str) -> Path:
        """Where the sandbox's node mounts a model's volume."""
        claim = self.kube.get(CLAIM, claim_name(self.name, model_id), self.name)
        assert claim is not None
        volume = self.kube.get(VOLUME, claim["spec"]["volumeName"])
        assert volume is not None
        return Path((volume["spec"].get("local") or volume["spec"]["hostPath"])["path"])
