"""What others do to a run: somebody who writes to the same volume, and a login helper that does not do its work."""

import hashlib
import json
import os
import shutil
import zlib
from dataclasses import dataclass
from pathlib import Path

import yaml

from faults.campaign.ground import MODEL, Ground
from support.estate import Estate
from weighbridge.domain.weights import SourceFile, SourceListing, sub_path_of
from weighbridge.mover.chunks import Extent, journal_header, journal_line
from weighbridge.mover.receipts import Row, SetReceipt, encode_receipt

_API = "client.authentication.k8s.io/v1"
_TOKEN_SECONDS = 2
"""What the helper says of every token: so often it is asked again."""
_HELPER = """\
#!/bin/sh
# A login helper; what it does is written beside it.
case "$(cat {mood})" in
    fails) echo "helper: the identity provider does not answer" >&2; exit 1 ;;
    hangs) exec sleep 600 ;;
    talks) echo "please log in at https://login.example.com"; exit 0 ;;
esac
exec sed "s/EXPIRES/$(date -u -d '+{seconds} seconds' +%Y-%m-%dT%H:%M:%SZ)/" {credential}
"""


# -- the volume ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Forgery:
    """A whole set of bytes that the source never held, under the name of the one that is to come."""

    listing: SourceListing
    volume: Path

    @property
    def place(self) -> str:
        return sub_path_of(MODEL, self.listing.fingerprint)

    @property
    def staging(self) -> Path:
        return self.volume / ".weighbridge/staging" / self.place

    def publish(self) -> bool:
        """Plant it as published, with a receipt that attests just these bytes. Whether nothing lay there yet."""
        rows = tuple(
            Row(file.path, file.size, hashlib.sha256(_bytes(file)).hexdigest(), file.etag)
            for file in self.listing.files
        )
        receipt = SetReceipt(
            model_id=MODEL,
            sub_path=self.place,
            fingerprint=self.listing.fingerprint,
            route="fetch",
            rows=rows,
            published_at="2026-01-01T00:00:00Z",
        )
        record = self.volume / ".weighbridge/receipts" / MODEL / f"{Path(self.place).name}.json"
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_bytes(encode_receipt(receipt))
        return self._planted(self.volume / self.place)

    def stage(self) -> bool:
        """Plant it as in flight and arrived to the last byte, with the journal of a fetch and the manifest of a push."""
        digests = {file.path: hashlib.sha256(_bytes(file)).hexdigest() for file in self.listing.files}
        manifest = [
            {"path": file.path, "size": file.size, "sha256": digests[file.path]}
            for file in self.listing.files
        ]
        journal = [journal_header(self.listing.fingerprint)] + [
            journal_line(file.path, Extent(0, file.size, zlib.crc32(_bytes(file))))
            for file in self.listing.files
        ]
        self.staging.parent.mkdir(parents=True, exist_ok=True)
        Path(f"{self.staging}.journal").write_bytes(b"".join(journal))
        Path(f"{self.staging}.manifest.json").write_text(json.dumps({"files": manifest}))
        return self._planted(self.staging)

    def lead_astray(self) -> bool:
        """Put a link to the set that is registered where the files in flight are to lie: who follows it overwrites them."""
        published = sorted((self.volume / MODEL).glob("*"), key=lambda one: one.stat().st_mtime)
        self.staging.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.staging.symlink_to(os.path.relpath([self.volume, *published][-1], self.staging.parent))
        except FileExistsError:
            return False
        return True

    def _planted(self, place: Path) -> bool:
        """Make it in full beside ``place`` first: a mover that is already at work there is another fault's matter."""
        made = self.volume / ".forged"
        shutil.rmtree(made, ignore_errors=True)
        for file in self.listing.files:
            path = made / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_bytes(file))
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            made.rename(place)
        except OSError:
            shutil.rmtree(made)
            return False
        return True


def forgery(ground: Ground, volume: Path) -> Forgery:
    """Of the set that the source holds now."""
    estate = ground.estate
    prefix = f"{estate.name}/{MODEL}/"
    pages = estate.s3.get_paginator("list_objects_v2").paginate(Bucket="models", Prefix=prefix)
    found = [
        SourceFile(item["Key"].removeprefix(prefix), item["Size"], item["ETag"].strip('"'))
        for page in pages
        for item in page["Contents"]
    ]
    return Forgery(listing=SourceListing(tuple(sorted(found))), volume=volume)


def _bytes(file: SourceFile) -> bytes:
    """Of its size, and of no version of the source."""
    return (b"forged " * (file.size // 7 + 1))[: file.size]


# -- the way to the cluster ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Helper:
    """A kubeconfig in which the environment's login comes from a program that can be made to fail."""

    folder: Path

    @property
    def variables(self) -> dict[str, str]:
        """What a run has to be started with to use it."""
        return {"KUBECONFIG": str(self.folder / "kubeconfig")}

    def becomes(self, mood: str) -> None:
        """``well``, ``fails``, ``hangs``, or ``talks``: it prints what is no credential."""
        written = self.folder / "mood.new"
        written.write_text(mood)
        written.rename(self._mood)

    def write(self, estate: Estate) -> None:
        """Made anew for each run: the login's token may be another since."""
        self.folder.mkdir(exist_ok=True)
        document = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
        name = estate.context(estate.name)
        user = next(one["context"]["user"] for one in document["contexts"] if one["name"] == name)
        login = next(one for one in document["users"] if one["name"] == user)
        credential, program = self.folder / "credential.json", self.folder / "login-helper"
        status = {"token": login["user"]["token"], "expirationTimestamp": "EXPIRES"}
        credential.write_text(json.dumps({"apiVersion": _API, "kind": "ExecCredential", "status": status}))
        program.write_text(_HELPER.format(mood=self._mood, credential=credential, seconds=_TOKEN_SECONDS))
        program.chmod(0o755)
        login["user"] = {"exec": {"apiVersion": _API, "command": str(program), "interactiveMode": "Never"}}
        (self.folder / "kubeconfig").write_text(yaml.safe_dump(document))
        self.becomes("well")

    @property
    def _mood(self) -> Path:
        return self.folder / "mood"


def helper(ground: Ground) -> Helper:
    return Helper(ground.folder / "helper")
