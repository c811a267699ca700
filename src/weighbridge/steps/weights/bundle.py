"""Everything that the playbooks need for one model: objects as files, and the variables that name them."""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from weighbridge.domain import naming
from weighbridge.domain.claims import claim_of
from weighbridge.domain.digest import Json, canonical_json, digest
from weighbridge.domain.quantity import MIB
from weighbridge.domain.weights import Receipt, SourceFile, SourceListing, sub_path_of
from weighbridge.environment.types import Environment, Model, Route
from weighbridge.errors import InputError
from weighbridge.manifests.contexts import (
    MoverJobContext,
    OrderContext,
    PodSettings,
    ReceiptsContext,
    RsyncPodContext,
)
from weighbridge.manifests.mover_archive import mover_archive
from weighbridge.manifests.pods import pod_settings
from weighbridge.manifests.render import Object, render, to_yaml
from weighbridge.manifests.resources import share_dir
from weighbridge.manifests.surroundings import Surroundings

Verb: TypeAlias = str
VERBS: tuple[Verb, ...] = ("fetch", "publish", "verify")

ORDER_ANNOTATION = "weighbridge.dev/order"
"""Digest of a Job's order. A later run follows a Job that still works on the same order."""

SPOOL_BYTES = 2048 * MIB
RETRIES = 3
KEEP_SECONDS = 3600

_SLOWEST_BYTES_PER_SECOND = 4 * MIB
_SLOWEST_FILES_PER_SECOND = 20
"""Each file is requested, fetched, flushed to the disk and read back separately."""
_DEADLINE_FLOOR_SECONDS = 1800
_LARGEST_ORDER_BYTES = (1 << 20) - 16_384
"""A ConfigMap holds 1 MiB in all (Kubernetes, "ConfigMaps"), counted as plain bytes, not as base64. Leave some room."""
SENT_FILE_BYTES = len(',"sha256":""') + 64
"""Bytes that the sender adds for each file when it completes a publishing order (``publication.py``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsBundle:
    """One model's objects and variables. They hold references to credentials, never the secrets."""

    model_id: str
    slug: str
    files: Mapping[str, tuple[Object, ...]]
    """File name → its documents, in the order in which they are applied."""
    variables: Object
    """Content of ``vars.yml``, without ``weights_dir``."""


def render_weights(
    environment: Environment, model: Model, listing: SourceListing, around: Surroundings | None = None
) -> WeightsBundle:
    """Return all that brings ``listing`` in, by every route that can carry it (``refused_routes``), and verifies it."""
    order: dict[str, Json] = {
        "model_id": model.id,
        "sub_path": sub_path_of(model.id, listing.fingerprint),
        "fingerprint": listing.fingerprint,
        "source": model.source.chosen.order,
        "files": [_row(file) for file in listing.files],
    }
    extent = (len(listing.files), listing.total_bytes)
    return _Bundling(environment, model, around or Surroundings(), extent).bundle(order, VERBS)


def refused_routes(
    environment: Environment, model: Model, listing: SourceListing, around: Surroundings
) -> dict[Route, str]:
    """Return the routes whose order is too small for ``listing``, and why. For a fetch, the mover can list the source
    again itself. A push needs the list of files, because its order says what was sent of each file.
    """
    order: dict[str, Json] = {"files": [_row(file) for file in listing.files]}
    extent = (len(listing.files), listing.total_bytes)
    bundling = _Bundling(environment, model, around, extent)
    if bundling.fits(order, "publish"):
        return {}
    why = f"{extent[0]} files are too many for its order, which says of each what was sent (1 MiB in all holds some thousand)"
    return {Route.PUSH: why}


def require_a_route(
    environment: Environment, model: Model, listing: SourceListing, around: Surroundings
) -> None:
    """Raise ``InputError`` if none of the model's routes can carry it."""
    refused = refused_routes(environment, model, listing, around)
    if any(route not in refused for route in model.routes):
        return
    said = "; ".join(f"{route.value}: {refused[route]}" for route in model.routes)
    raise InputError(
        f"no route can bring in {model.id}: {said}",
        remedy="add the route `fetch`, where the source can be reached from pods, or leave files that serving does not need behind "
        "with `exclude:`",
        code="too-many-files",
    )


def render_verification(
    environment: Environment, model: Model, receipt: Receipt, around: Surroundings | None = None
) -> WeightsBundle:
    """Return what verifying a published set needs. The list of files is in the receipt on the volume."""
    order: dict[str, Json] = {
        "model_id": model.id,
        "sub_path": receipt.sub_path,
        "fingerprint": receipt.fingerprint,
        "source": model.source.chosen.order,
        "files": [],
        "expect_set_digest": receipt.set_digest,
    }
    extent = (receipt.files, receipt.total_bytes)
    return _Bundling(environment, model, around or Surroundings(), extent).bundle(order, ("verify",))


def weights_texts(folder: Path, bundle: WeightsBundle) -> dict[str, str]:
    """Return the files of ``bundle``, as file name → text. The variables name ``folder``, where the files will lie."""
    texts = {
        name: "".join(to_yaml(document) for document in documents) for name, documents in bundle.files.items()
    }
    variables: Object = {"weights_dir": str(folder.resolve()), **bundle.variables}
    comment = "Variables of playbooks/sync_weights.yml and playbooks/verify_weights.yml. References only, no secret."
    return {**texts, "vars.yml": to_yaml(variables, comment=comment)}


def write_weights(folder: Path, bundle: WeightsBundle) -> Path:
    """Write ``bundle`` into ``folder`` and return the folder. Create it if it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in weights_texts(folder, bundle).items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def _row(file: SourceFile) -> dict[str, Json]:
    known: dict[str, Json] = {} if file.sha256 is None else {"sha256": file.sha256}
    return {"path": file.path, "size": file.size, "etag": file.etag, **known}


def _unattested(order: Mapping[str, Json]) -> dict[str, Json]:
    """Return the order without digests: the sender adds the digests of what it sent (``publication.py``)."""
    files = order["files"]
    rows = [row for row in files if isinstance(row, dict)] if isinstance(files, list) else []
    return {**order, "files": [{key: row[key] for key in row if key != "sha256"} for row in rows]}


def credentials_secret(environment: Environment, model: Model) -> str | None:
    """Return the name of the Secret with the source's keys, existing or to be made; ``None`` if no keys are needed."""
    secrets = model.source.chosen.secrets
    if not secrets.needed:
        return None
    return secrets.existing or naming.job_name(environment.name, model.id, "credentials")


def deadline_seconds(total_bytes: int, files: int = 0) -> int:
    """Return how long a Job may take in all: half an hour, plus the bytes at 4 MiB/s and the files at 20/s. A stalled
    transfer ends much earlier by itself.
    """
    return (
        _DEADLINE_FLOOR_SECONDS
        + total_bytes // _SLOWEST_BYTES_PER_SECOND
        + files // _SLOWEST_FILES_PER_SECOND
    )


@dataclass(frozen=True, slots=True)
class _Bundling:
    environment: Environment
    model: Model
    around: Surroundings
    extent: tuple[int, int]
    """(number of files, bytes)."""

    def bundle(self, order: Mapping[str, Json], verbs: tuple[Verb, ...]) -> WeightsBundle:
        archive = base64.b64encode(self.around.mover or mover_archive()).decode()
        files: dict[str, tuple[Object, ...]] = {}
        jobs: dict[str, Json] = {}
        for verb in verbs:
            if verb == "publish" and not self.fits(order, verb):
                continue
            told = self._order(order if self.fits(order, verb) else self._unlisted(order, verb), verb)
            jobs[verb] = {"name": self._name(verb), "order": digest(told)}
            if verb == "fetch" and order["source"] is None:
                continue
            order_map = self._order_map(told, verb, archive)
            files[f"{verb}.yaml"] = (order_map, self._job(told, verb))
            if verb == "publish":
                files["push.yaml"] = (order_map, self._rsync_pod(told))
        receipts = render(
            ReceiptsContext(
                name=naming.receipts_name(self.environment.name),
                namespace=self.environment.cluster.namespace,
                labels=naming.object_labels(self.environment.name),
            )
        )
        files["receipts.yaml"] = (receipts,)
        return WeightsBundle(
            model_id=self.model.id,
            slug=naming.slug(self.model.id),
            files=files,
            variables=self._variables(order, jobs, tuple(files)),
        )

    def _name(self, kind: str) -> str:
        return naming.job_name(self.environment.name, self.model.id, kind)

    @property
    def _labels(self) -> dict[str, str]:
        return naming.object_labels(self.environment.name, self.model.id)

    @property
    def _pod(self) -> PodSettings:
        settings = pod_settings(self.environment)
        return replace(settings, labels={**settings.labels, **self._labels})

    @property
    def _deadline(self) -> int:
        return deadline_seconds(self.extent[1], self.extent[0])

    def _order(self, order: Mapping[str, Json], verb: Verb) -> Object:
        route = Route.PUSH if verb == "publish" else Route.FETCH
        told = _unattested(order) if verb == "publish" else order
        return {"schema": 1, **told, "route": route.value, "limits": {"deadline_seconds": self._deadline}}

    def _unlisted(self, order: Mapping[str, Json], verb: Verb) -> dict[str, Json]:
        """Return the order without its list of files. A fetching Job lists the source again and compares
        (``mover.order.Listed``). A verifying Job uses the receipt, once it is told which one.
        """
        if verb == "verify":
            return {**order, "files": []}
        listed: dict[str, Json] = {"count": self.extent[0], "exclude": list(self.model.exclude)}
        return {**order, "files": [], "listed": listed}

    def fits(self, order: Mapping[str, Json], verb: Verb) -> bool:
        """Return whether a ConfigMap holds the list of files and everything else, including what a push's sender adds."""
        texts = self._texts(self._order(order, verb), verb)
        size = sum(len(text.encode()) for text in texts.values()) + len(self.around.mover or mover_archive())
        size += self.extent[0] * SENT_FILE_BYTES if verb == "publish" else 0
        return size <= _LARGEST_ORDER_BYTES

    def _texts(self, told: Object, verb: Verb) -> dict[str, str]:
        texts = {"order.json": canonical_json(told).decode() + "\n"}
        if self.around.ca_pem is not None:
            texts["ca.pem"] = self.around.ca_pem
        if verb == "publish":
            texts["rsyncd.conf"] = (share_dir("templates") / "rsyncd.conf").read_text(encoding="utf-8")
        return texts

    def _order_map(self, told: Object, verb: Verb, archive: str) -> Object:
        return render(
            OrderContext(
                name=self._name(verb),
                namespace=self.environment.cluster.namespace,
                labels=self._labels,
                texts=self._texts(told, verb),
                archive=archive,
            )
        )

    def _annotations(self, told: Object) -> dict[str, str]:
        return {ORDER_ANNOTATION: digest(told)}

    def _job(self, told: Object, verb: Verb) -> Object:
        return render(
            MoverJobContext(
                name=self._name(verb),
                namespace=self.environment.cluster.namespace,
                labels=self._labels,
                annotations=self._annotations(told),
                verb=verb,
                pod=self._pod,
                claim=claim_of(self.environment, self.model),
                order=self._name(verb),
                credentials=credentials_secret(self.environment, self.model) if verb == "fetch" else None,
                trust=self.around.ca_pem is not None,
                deadline_seconds=self._deadline,
                retries=RETRIES,
                keep_seconds=KEEP_SECONDS,
            )
        )

    def _rsync_pod(self, told: Object) -> Object:
        return render(
            RsyncPodContext(
                name=self._name("rsync"),
                namespace=self.environment.cluster.namespace,
                annotations=self._annotations(told),
                pod=self._pod,
                claim=claim_of(self.environment, self.model),
                order=self._name("publish"),
                password=self._name("rsync"),
                deadline_seconds=self._deadline + self.environment.pods.start_seconds,
            )
        )

    def _former(self) -> Iterator[dict[str, str]]:
        """Yield kind and name of what an earlier version may have left, Jobs first."""

        def name(kind: str) -> str:
            return naming.former_job_name(self.environment.name, self.model.id, kind)

        yield from ({"kind": "Job", "name": name(verb)} for verb in VERBS)
        yield {"kind": "Pod", "name": name("rsync")}
        yield from ({"kind": "ConfigMap", "name": name(verb)} for verb in VERBS)
        yield from ({"kind": "Secret", "name": name(kind)} for kind in ("rsync", "credentials"))

    def _variables(
        self, order: Mapping[str, Json], jobs: Mapping[str, Json], names: tuple[str, ...]
    ) -> Object:
        cluster = self.environment.cluster
        context, in_cluster = cluster.reach("storage")  # whoever may make the claims moves the weights too
        source = self.model.source.chosen
        proxy, trust = self.environment.proxy, self.environment.trust
        files, total_bytes = self.extent
        return {
            "weights_environment": self.environment.name,
            "weights_model_id": self.model.id,
            "weights_slug": naming.slug(self.model.id),
            "weights_cluster": {
                "context": context,
                "in_cluster": in_cluster,
                "proxy": None if proxy is None else proxy.https,
                "uid": self.around.cluster_uid,
            },
            "weights_namespace": cluster.namespace,
            "weights_routes": [route.value for route in self.model.routes],
            "weights_claim": claim_of(self.environment, self.model),
            "weights_sub_path": order["sub_path"],
            "weights_fingerprint": order["fingerprint"],
            "weights_files": files,
            "weights_total_bytes": total_bytes,
            "weights_source": source.plain,
            "weights_source_folder": str(self.around.folder),
            "weights_credentials_secret": self._name("credentials") if source.secrets.references else None,
            "weights_ca_bundle": None if trust is None else str(self.around.folder / trust.ca_bundle),
            "weights_proxy": None if proxy is None else proxy.model_dump(mode="json", exclude_none=True),
            "weights_receipts": naming.receipts_name(self.environment.name),
            "weights_receipt_key": naming.receipt_key(self.model.id),
            "weights_jobs": dict(jobs),
            "weights_rsync_pod": self._name("rsync"),
            "weights_former": [dict[str, Json](row) for row in self._former()],
            "weights_manifests": {name.removesuffix(".yaml"): name for name in names},
            "weights_deadline_seconds": self._deadline,
            "weights_schedule_seconds": self.environment.pods.start_seconds,
            "weights_spool_bytes": SPOOL_BYTES,
        }
