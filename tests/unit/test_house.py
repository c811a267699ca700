"""What must not change while the house is rebuilt: digests, names, records in the cluster, declarations, words of ``--json``.

``tests/golden/house`` holds it as data. The upper part of this module computes the same from the code, one function a file;
these functions follow the code when it moves, the files stay as they are (``tools/record_house``).
"""

import argparse
import contextlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from support.house import HOUSE, INPUTS, Data, House, Opened, environments, listing, receipt, said, source
from support.json_differences import differences
from support.probes import WAY, FakeProbes, ProbePorts
from support.stack_mocks import Declared, declared
from support.world import World
from support.world import environment as two_models
from weighbridge import cli, errors
from weighbridge.core.declared import PREVIEW
from weighbridge.core.finding import Diagnosis
from weighbridge.core.plan import Plan
from weighbridge.doctor.examine import examine
from weighbridge.domain import lease, naming
from weighbridge.domain.access import Access
from weighbridge.domain.claims import claim_of
from weighbridge.domain.receipts import from_json, to_json
from weighbridge.domain.stacks import (
    ClusterIdentity,
    Op,
    PropertyChange,
    ResourceChange,
    StackPreview,
    StackSpec,
)
from weighbridge.domain.weights import sub_path_of
from weighbridge.engines.pulumi.stacks import project_name, run_program
from weighbridge.environment.types import Environment, Model
from weighbridge.errors import ForbiddenError, PreconditionError, StepFailedError
from weighbridge.manifests.render import render_claim, render_entries
from weighbridge.manifests.surroundings import Surroundings
from weighbridge.mover.layout import layout_of
from weighbridge.mover.order import parse_order
from weighbridge.mover.receipts import parse_receipt
from weighbridge.permissions import permissions
from weighbridge.probing.probes import PodReport
from weighbridge.steps.registration.stack import REGISTRATION
from weighbridge.steps.registration.step import STATE, RegistrationStep
from weighbridge.steps.storage.stack import STORAGE
from weighbridge.steps.weights.bundle import WeightsBundle, render_verification, render_weights
from weighbridge.watsonx.entries import PlannedEntry
from weighbridge.watsonx.entry import Entry
from weighbridge.watsonx.reconciled import Baseline, Mark
from weighbridge.watsonx.record import parse_intents, settled

# -- what the code gives: these functions know its modules ------------------------------------------------------------


def computed_fingerprints() -> Data:
    """A listing's rows → its fingerprint, and where a model's set of it lies on the volume."""
    found = {}
    for name in INPUTS["listings"]:
        fingerprint = listing(name).fingerprint
        ids = ("plain", "Example/Model_13b")
        paths = {model_id: sub_path_of(model_id, fingerprint) for model_id in ids}
        found[name] = {"fingerprint": fingerprint, "sub_path": paths}
    return found


def computed_steps() -> Data:
    """The steps of plans: before the first apply, after it, and after damage, an edit from outside and a change of the source."""

    def told(plan: Plan) -> Data:
        return [
            {
                "kind": planned.value.kind,
                "key": planned.key,
                "as_json": planned.value.as_json(),
                "title": planned.value.title,
                "pending": planned.pending,
            }
            for planned in plan.steps
        ]

    found = {}
    for environment in environments():
        world = House(environment)
        first = environment.models[0].id
        fresh = told(world.session().plan())
        world.session().apply()
        unchanged = told(world.session().plan())
        world.flipped[first] = ("config.json",)
        world.session().verify()
        damaged = told(world.session().plan())
        world.sources[first] = listing("small, one ETag changed")
        changed = told(world.session().plan())
        world.session().apply()
        world.entries[-1]["tags"] = ["edited"]
        edited = told(world.session().plan())
        found[environment.name] = {
            "before the first apply": fresh,
            "after it": unchanged,
            "the first model damaged": damaged,
            "its source changed": changed,
            "our last entry edited": edited,
        }
    return found


def computed_receipts() -> Data:
    """A receipt → its text in the ConfigMap, and whether that text is read back as the same receipt."""
    found = {}
    for name in INPUTS["receipts"]:
        text = to_json(receipt(name))
        found[name] = {"text": text, "is_read_back": from_json(text) == receipt(name)}
    return found


def computed_stacks() -> Data:
    """What each stack program declares, as Pulumi's engine is asked for it."""

    def told(spec: StackSpec) -> Data:
        project = project_name(spec.stack)
        seen = declared(lambda: run_program(spec), project, spec.environment)
        resources = {name: _resource(seen, name) for name in sorted(seen.requests)}
        return {
            "project": project,
            "stack": spec.environment,
            "resources": resources,
            "exports": seen.exports,
        }

    return {
        environment.name: {spec.name: told(spec) for spec in _specs(environment)}
        for environment in environments()
    }


def _specs(environment: Environment) -> Iterator[StackSpec]:
    cluster = environment.cluster
    identity = ClusterIdentity(
        uid="uid-of-kube-system",
        namespace=cluster.namespace,
        context=cluster.context,
        in_cluster=cluster.in_cluster,
    )
    claims = [render_claim(environment, model, source(environment, model)) for model in environment.models]
    places = {
        model.id: (
            claim_of(environment, model),
            sub_path_of(model.id, source(environment, model).fingerprint),
        )
        for model in environment.models
    }
    ours = tuple(claim for claim in claims if claim is not None)
    if ours:
        yield StackSpec(environment=environment.name, cluster=identity, stack=STORAGE, manifests=ours)
    yield StackSpec(
        environment=environment.name,
        cluster=identity,
        stack=REGISTRATION,
        manifests=tuple(render_entries(environment, places)),
        settings={"custom_resource": cluster.custom_resource, "adopt": [environment.models[0].id]},
    )


def _resource(seen: Declared, name: str) -> Data:
    request = seen.requests[name]
    return {
        "type": request.type,
        "urn": seen.urns[name],
        "custom": request.custom,
        "protect": request.protect,
        "retain_on_delete": request.retainOnDelete,
        "provider": request.provider,
        "inputs": seen.inputs(name),
    }


def computed_names() -> Data:
    """Names and labels of objects, by environment and model id."""
    kinds = ("fetch", "publish", "verify", "rsync", "credentials")
    return [
        {
            "environment": environment,
            "model_id": model_id,
            "slug": naming.slug(model_id),
            "claim": naming.claim_name(environment, model_id),
            "jobs": {kind: naming.job_name(environment, model_id, kind) for kind in kinds},
            "receipts": naming.receipts_name(environment),
            "intents": naming.intents_name(environment),
            "account": naming.account_name(environment),
            "lease": naming.lease_name(environment),
            "receipt_key": naming.receipt_key(model_id),
            "labels": naming.object_labels(environment),
            "model_labels": naming.object_labels(environment, model_id),
        }
        for environment, model_id in INPUTS["names"]
    ]


def computed_cli() -> Data:
    """Verbs, their options, and exit codes."""
    classes = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.WeighbridgeError)
    ]
    return {
        "verbs": {
            verb: {
                "/".join(action.option_strings) or action.dest: _option(action) for action in parser._actions
            }
            for verb, parser in cli.verbs_of(cli.parser()).items()
        },
        "exit_codes": {
            "errors": {kind.__name__: kind.exit_code for kind in classes},
            "OK": errors.OK,
            "DEFECT": errors.DEFECT,
            "CHANGES_PENDING": errors.CHANGES_PENDING,
            "INTERRUPTED": errors.INTERRUPTED,
        },
    }


def _option(action: argparse.Action) -> Data:
    default = None if action.default is argparse.SUPPRESS else action.default
    return {
        "metavar": action.metavar,
        "default": default,
        "choices": None if action.choices is None else [*action.choices],
        "takes_value": action.nargs != 0,
        "may_be_repeated": isinstance(action, argparse._AppendAction),
        "required": action.required,
    }


def computed_messages() -> Data:
    """Every message of ``--json``, as commands print it over a world in memory, with the exit code."""
    stage, accepted, dev = environments()
    return {
        **_of_files(),
        **_of_usual_days(Opened(House(stage))),
        **_of_trouble(Opened(House(stage))),
        **_of_failures(Opened(House(accepted)), Opened(World(dev))),
        **_of_doctor(House(stage)),
    }


def _of_files() -> Mapping[str, Data]:
    """Verbs that need a file and nothing else."""
    file = json.dumps(INPUTS["environments"]["stage"], indent=2)
    faulty = "\n".join(INPUTS["faulty_file"])
    rbac = ("rbac", "stage.yaml", "--out", "out", "--json")
    return {
        "checked": said("check", "stage.yaml", "--json", file=file),
        "error: a faulty file": said("check", "stage.yaml", "--json", file=faulty),
        "error: no such environment": said("check", "nowhere", "--json"),
        "rbac: an account of its own": said(*rbac, file=file),
        "rbac: a group": said(*rbac, "--group", "model-team", file=file),
        "error: no account": said(*rbac, "--service-account", "tools", file=file),
    }


def _of_usual_days(opened: Opened) -> Mapping[str, Data]:
    """From an empty cluster to damage and its repair."""
    opened.note("rendered", "render", "--out", "out")
    opened.note("status: nothing there", "status")
    opened.note("error: never published", "verify")
    opened.note("plan: everything to do", "plan", "--expect-no-changes")
    opened.note("applied: for the first time", "apply")
    opened.note("applied: unchanged", "apply")
    opened.note("plan: nothing to do", "plan", "--expect-no-changes")
    opened.note("verified: sound", "verify")
    opened.note("status: in place", "status")
    opened.world.flipped["plain"] = ("config.json", "tokenizer.json")
    opened.note("verified: damaged", "verify")
    opened.note("plan: damaged", "plan")
    opened.note("status: damaged", "status")
    opened.note("applied: repaired", "apply")
    opened.note("error: an unknown model", "plan", "--adopt", "nobody")
    opened.note("error: nobody to ask", "destroy")
    opened.note("destroyed: registrations", "destroy", "--yes")
    return opened.told


def _of_trouble(opened: Opened) -> Mapping[str, Data]:
    """What others do, a lost state, a lost Lease, an interruption."""
    world = opened.world
    world.session().apply()
    world.unreadable["plain"] = StepFailedError("the API server is away", remedy="wait", code="away")
    opened.note("verified: not read", "verify")
    world.entries[1]["tags"] = ["edited"]
    world.warnings = ("it is kept by Argo CD",)
    world.other_run = "`apply` of jo@laptop"
    opened.note("status: an entry edited, another run", "status")
    opened.note("plan: an entry edited, another run", "plan")
    opened.note("error: another run", "apply")
    opened.note("applied: taken over", "apply", "--take-over")
    world.declared.clear()
    opened.note("plan: the state lost", "plan")
    opened.note("error: a destroy without its state", "destroy", "--yes")
    opened.note("applied: the state taken back", "apply")
    opened.instead = SimpleNamespace(plan=lambda _adopt: _differing(world.session().plan()))
    opened.note("plan: with differences", "plan")
    opened.instead = None
    world.reconciled = False
    world.interrupting = True
    opened.note("error: interrupted", "apply")
    world.loses_during = "await"
    opened.note("error: the Lease lost", "apply")
    return opened.told


def _of_failures(opened: Opened, empty: Opened) -> Mapping[str, Data]:
    """Models that do not arrive, claims that are to be deleted, and one that is not there."""
    world = opened.world
    broken, refused, _ = (model.id for model in world.environment.models)
    world.broken[broken] = PreconditionError("the disk is gone")
    world.refused[refused] = PreconditionError("no image", remedy="mirror it", code="image-not-pulled")
    opened.note("applied: two of three failed", "apply")
    world.broken.clear()
    world.refused.clear()
    opened.note("applied: mended", "apply")
    claims = [claim_of(world.environment, model) for model in world.environment.models]
    opened.note("error: a claim not named", "destroy", "--yes", "--weights", claims[0])
    named = [word for claim in claims for word in ("--weights", claim)]
    opened.note("destroyed: weights as well", "destroy", "--yes", *named)
    empty.note("error: no claim", "plan")
    return {**opened.told, **empty.told}


def _differing(plan: Plan) -> Plan:
    """The plan, with what the fakes of the world never say."""
    diffs = (
        PropertyChange("spec.resources.requests.storage", "update", "1Gi", "2Gi"),
        PropertyChange('metadata.labels["a/b"]', "delete", {"x": 1}),
    )
    claim = ResourceChange("v1/PersistentVolumeClaim", "a", Op.UPDATE, diffs, drifted=True)
    changes = (claim, ResourceChange("v1/PersistentVolumeClaim", "b", Op.REPLACE))
    preview = StackPreview(stack=STORAGE.name, exists=True, changes=changes, unchanged=1, kept=("old",))
    entries = (
        PlannedEntry("theirs", "foreign"),
        PlannedEntry("a", "add"),
        PlannedEntry("u", "update", ("location.sub_path: a → b",)),
        PlannedEntry("r", "remove"),
    )
    plan.facts.put(PREVIEW, preview, preview.stack)
    plan.facts.put(STATE, replace(plan.facts.known(STATE), entries=entries))
    return replace(plan, message=RegistrationStep().message(plan.facts))


def _of_doctor(world: World) -> Mapping[str, Data]:
    environment = two_models("one", "two", routes=("fetch", "push"))

    def looked(probes: FakeProbes, *, pods: bool) -> Diagnosis:
        return examine(environment, ProbePorts(probes), pods=pods)

    def denied(access: Access) -> bool:
        return access.resource in {"secrets", "leases", "resourcequotas"} and access.verb != "get"

    forbidden = ForbiddenError(
        "`someone` may not list resourcequotas", remedy="ask", code="cluster-forbidden"
    )
    ill = FakeProbes(broken={"quotas": forbidden}, denied=denied)
    refused = PreconditionError("image x cannot be pulled", remedy="mirror it", code="image-not-pulled")
    reports = {"one": PodReport(stages=WAY, volume=True), "two": PodReport(error=refused)}
    away = PreconditionError("it is away", remedy="wait for it", code="cluster-unreachable")
    diagnoses = {
        "diagnosed: healthy": looked(FakeProbes(), pods=False),
        "diagnosed: from pods": looked(FakeProbes(pods=reports), pods=True),
        "diagnosed: permissions missing": looked(ill, pods=False),
        "diagnosed: no cluster": looked(FakeProbes(broken={"server": away}), pods=False),
    }
    opened = Opened(world)
    for name, opened.diagnosed in diagnoses.items():
        opened.note(name, "doctor")
    return opened.told


def computed_rbac() -> Data:
    """Every rule that an environment needs; neither their order nor that within a rule means anything."""
    return {
        environment.name: [
            {
                "group": rule.group,
                "resource": rule.resource,
                "subresource": rule.subresource,
                "verbs": sorted(rule.verbs),
                "names": sorted(rule.names),
                "namespaced": rule.namespaced,
                "roles": sorted(role.value for role in rule.needed_by),
                "optional": rule.optional,
                "why": rule.why,
            }
            for rule in permissions(environment)
        ]
        for environment in environments()
    }


def computed_orders() -> Data:
    """What movers are told and what playbooks are given, with the digests that tell whether a Job is at the same work."""
    return {
        environment.name: {model.id: _orders(environment, model) for model in environment.models}
        for environment in environments()
    }


def _orders(environment: Environment, model: Model) -> Data:
    around = Surroundings(
        folder=Path("/home/user/environments"),
        cluster_uid="uid-of-kube-system",
        ca_pem=None if environment.trust is None else "-----BEGIN CERTIFICATE-----\n",
        mover=b"the mover",
    )
    bundle = render_weights(environment, model, source(environment, model), around)
    published = receipt("verified")
    verification = render_verification(environment, model, published, around)
    told = _texts(bundle)
    place = layout_of(parse_order(json.loads(told["fetch.yaml"]["order.json"])))
    return {
        "sync": {"variables": _variables(bundle), "objects": told},
        "verify": {"variables": _variables(verification), "objects": _texts(verification)},
        "on_the_volume": {
            "published": place.published,
            "staging": place.staging,
            "journal": place.journal,
            "manifest": place.manifest,
            "verified": place.verified,
            "receipt": place.receipt,
            "lock": place.lock,
        },
    }


def _variables(bundle: WeightsBundle) -> Data:
    """Less those by which a playbook opens the source: they are between it and its plugins, and lie nowhere."""
    inside = re.compile(r"weights_(source|credentials)(_|$)")
    return {name: value for name, value in bundle.variables.items() if not inside.match(name)}


def _texts(bundle: WeightsBundle) -> Data:
    """Of each file with an order: its text, and the digest that the Job or pod beside it carries."""
    found = {}
    for name, objects in bundle.files.items():
        if len(objects) > 1:
            config_map, work = (cast("dict[str, Any]", item) for item in objects)
            found[name] = {
                "config_map": config_map["metadata"]["name"],
                "order.json": config_map["data"]["order.json"],
                "work": f"{work['kind']} {work['metadata']['name']}",
                "annotations": work["metadata"]["annotations"],
            }
    return found


def computed_records() -> Data:
    """Where an environment's records lie in its namespace: the Lease's annotations, the ConfigMaps' keys."""
    return {environment.name: _records(environment) for environment in environments()}


def _records(environment: Environment) -> Data:
    process = lease.Process(user="u", host="h", machine=None, boot=None, namespace=None, pid=1, started=None)
    holder = lease.Holder(run="r", verb="apply", since="2026-01-02T03:04:05+00:00", process=process)
    mark = Mark(
        "uid", None, Baseline("", running=False, completion=None, status_written_at=None, exact=False)
    )
    entries = [Entry.of({"model_id": model.id}) for model in environment.models]
    bundles = [render_weights(environment, model, source(environment, model)) for model in environment.models]
    [receipts] = {json.dumps(bundle.files["receipts.yaml"], sort_keys=True) for bundle in bundles}
    keys = [bundle.variables["weights_receipt_key"] for bundle in bundles]
    return {
        "lease": {
            "name": naming.lease_name(environment.name),
            "annotations": sorted(lease.annotations_of(holder, lease.Notes(), "another run")),
        },
        "receipts": {"objects": json.loads(receipts), "keys": keys},
        "intents": {
            "name": naming.intents_name(environment.name),
            "keys": sorted(settled(entries, mark).data()),
        },
    }


def computed_left_behind() -> Data:
    """What is read of the records that a run of fb15824 left in a cluster (``left_behind`` of the inputs)."""
    left = INPUTS["left_behind"]
    record = lease.parse_lease(left["lease"])
    assert record.holder is not None
    receipts = {}
    for key, text in left["receipts"].items():
        with contextlib.suppress(ValueError):
            receipts[key] = asdict(from_json(text)) | {"damaged": list(from_json(text).damaged)}
    volume = parse_receipt(left["receipt_on_the_volume"].encode())
    return {
        "lease": {
            "identity": record.identity,
            "words": record.words,
            "duration": record.duration,
            "renewed": record.renewed,
            "transitions": record.transitions,
            "gave_way": record.gave_way,
            "holder": {
                "run": record.holder.run,
                "verb": record.holder.verb,
                "process": asdict(record.holder.process),
            },
            "work": [
                {"stack": work.stack, "run": work.run, "process": asdict(work.process)}
                for work in record.notes.work
            ],
            "weights": sorted(record.notes.weights),
        },
        "intents": {name: _intents(data) for name, data in left["intents"].items()},
        "receipts": receipts,
        "receipt_on_the_volume": {
            "model_id": volume.model_id,
            "fingerprint": volume.fingerprint,
            "set_digest": volume.set_digest,
            "total_bytes": volume.total_bytes,
            "rows": [[row.path, row.size, row.sha256, row.etag] for row in volume.rows],
        },
    }


def _intents(data: Mapping[str, str]) -> Data:
    intents = parse_intents(data)
    assert intents.mark is not None
    return {
        "known": [entry.value() for entry in intents.known()],
        "models": {key: intent.entry.digest for key, intent in intents.models.items()},
        "pending": intents.pending,
        "written_at": intents.mark.written_at,
        "removed": sorted(intents.mark.removed),
        "is_written_back": intents.data() == data,
    }


# -- the comparison ---------------------------------------------------------------------------------------------------

COMPUTED: Mapping[str, Callable[[], Data]] = {
    "cli": computed_cli,
    "fingerprints": computed_fingerprints,
    "left_behind": computed_left_behind,
    "messages": computed_messages,
    "names": computed_names,
    "orders": computed_orders,
    "rbac": computed_rbac,
    "receipts": computed_receipts,
    "records": computed_records,
    "stacks": computed_stacks,
    "steps": computed_steps,
}
"""Name of a file of ``tests/golden/house`` → what the code gives now."""

GROWING = frozenset({"cli", "messages"})
"""Files whose objects may gain keys: what a reader knew stays as it was, and more may be said."""
SETS = frozenset({"rbac"})
"""Files whose lists are sets."""
MOST_LINES = 25
"""Of one file's differences in a report."""


@pytest.mark.parametrize("name", COMPUTED)
def test_what_was_recorded_still_holds(name: str) -> None:
    recorded = json.loads((HOUSE / f"{name}.json").read_text(encoding="utf-8"))
    found = json.loads(json.dumps(COMPUTED[name]()))
    told = [*differences(recorded, found, grows=name in GROWING, sets=name in SETS)]
    if told:
        lines = [f"{name}.json {line}" for line in told[:MOST_LINES]]
        pytest.fail("\n".join([f"{name}.json: {len(told)} differences", *lines]), pytrace=False)


def test_every_file_is_compared() -> None:
    assert {path.stem for path in HOUSE.glob("*.json")} == {*COMPUTED, "inputs"}


@pytest.mark.parametrize(
    ("recorded", "found", "expected"),
    [
        ({"a": [{"b": 1}]}, {"a": [{"b": 1, "new": 2}], "new": 3}, []),
        ({"a": {"b": 1}}, {"a": {}}, ["$.a.b is gone; it was 1"]),
        ({"a": [{"b/c": 1}]}, {"a": [{"b/c": 2}]}, ['$.a[0]["b/c"] was 1, is 2']),
        ({"a": [1, 2]}, {"a": [1]}, ["$.a[1] is gone; it was 2"]),
        ({"a": [1]}, {"a": [1, 2]}, ["$.a[1] is new: 2"]),
        ({"a": 1}, {"a": True}, ["$.a was 1, is true"]),
        ({"a": None}, {"a": "x"}, ['$.a was null, is "x"']),
        ({"a": {}}, {"a": []}, ["$.a was {}, is []"]),
        ("x" * 500 + "old", "x" * 500 + "new", [f'$ was "…{"x" * 40}old", is "…{"x" * 40}new"']),
    ],
)
def test_messages_may_grow_and_lose_nothing(recorded: Data, found: Data, expected: list[str]) -> None:
    assert [*differences(recorded, found, grows=True)] == expected


def test_elsewhere_nothing_may_be_added() -> None:
    assert [*differences({"a": {}}, {"a": {"b": 1}})] == ["$.a has a new key b: 1"]


def test_the_order_of_a_set_means_nothing() -> None:
    assert [*differences({"a": [1, 2, 2]}, {"a": [2, 1, 2]}, sets=True)] == []
    assert [*differences({"a": [1, 2]}, {"a": [2, 3]}, sets=True)] == ["$.a has no more 1", "$.a has a new 3"]
