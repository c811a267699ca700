"""Messages as Pulumi 3.255, pulumi-kubernetes 4.26 and Kubernetes 1.34 wrote them, and what a user is told."""

import pytest
from pulumi.automation import CommandResult

from weighbridge.domain.stacks import ClusterIdentity, Stack, StackSpec
from weighbridge.engines.pulumi.errors import CommandFailedError, sentence, translate
from weighbridge.engines.pulumi.events import Diagnostic
from weighbridge.engines.pulumi.provider_messages import encode
from weighbridge.errors import (
    DefectError,
    ForbiddenError,
    InterruptedByUserError,
    PreconditionError,
    StepFailedError,
    WeighbridgeError,
)

SPEC = StackSpec(
    environment="stage",
    cluster=ClusterIdentity(uid="u", namespace="cpd-instance"),
    stack=Stack(name="storage", plugin="kubernetes", declare="nowhere:declare"),
    manifests=(),
)


def told(text: str, *, warning: str = "", stderr: str = "", hidden: tuple[str, ...] = ()) -> WeighbridgeError:
    heard = [Diagnostic("warning", warning, "a")] if warning else []
    heard += [Diagnostic("error", text, "stage-tiny-weights")] if text else []
    return translate(CommandFailedError(CommandResult(stdout="", stderr=stderr, code=1)), heard, SPEC, hidden)


CASES: list[tuple[str, str, type[WeighbridgeError], str, list[str]]] = [
    (
        "a lock tells who, where and since when",
        "",
        PreconditionError,
        "stack-locked",
        [
            "root",
            "ci-runner-7",
            "4711",
            "2026-11-21T10:00:00Z",
            "file:///s/.pulumi/locks/organization/weighbridge-storage/stage/5d.json",
        ],
    ),
    (
        "an API server that refuses a right names the rule to ask for",
        (
            'Preview failed: persistentvolumeclaims "a" is forbidden: User "system:serviceaccount:x:y" cannot patch resource '
            '"persistentvolumeclaims" in API group "" in the namespace "cpd-instance"'
        ),
        ForbiddenError,
        "cluster-forbidden",
        [
            "`system:serviceaccount:x:y` may not patch persistentvolumeclaims a in namespace cpd-instance",
            "verbs: [patch], resourceNames: [a]",
            "Role `weights`",
        ],
    ),
    (
        "a webhook is named with its words",
        'admission webhook "policy.example.com" denied the request: storage class gold is reserved',
        PreconditionError,
        "admission-denied",
        ["policy.example.com", "gold is reserved", "stage-tiny-weights"],
    ),
    (
        "an admission policy is named with its words",
        "ValidatingAdmissionPolicy 'claims' with binding 'claims' denied request: at most 1Ti",
        PreconditionError,
        "admission-denied",
        ["claims", "at most 1Ti"],
    ),
    (
        "a quota tells what is used and what is allowed",
        'persistentvolumeclaims "a" is forbidden: exceeded quota: q, requested: requests.storage=3Gi, used: 0, limited: 1Gi',
        PreconditionError,
        "admission-denied",
        ["exceeded quota", "requested: requests.storage=3Gi", "limited: 1Gi"],
    ),
    (
        "a field conflict names the field and its holder",
        (
            'Server-Side Apply field conflict detected. Apply failed with 1 conflict: conflict with "argocd-controller" using v1: '
            ".spec.resources.requests.storage"
        ),
        PreconditionError,
        "field-conflict",
        ["argocd-controller", ".spec.resources.requests.storage"],
    ),
    (
        "an invalid object is told in the API server's words",
        (
            'PersistentVolumeClaim "a" is invalid: spec.resources.requests.storage: Forbidden: field can not be less than '
            "status.capacity"
        ),
        PreconditionError,
        "object-invalid",
        ["`a`", "can not be less than status.capacity"],
    ),
    (
        "a replacement of a claim says what would be lost",
        (
            'unable to replace resource "urn:pulumi:dev::weighbridge-storage::kubernetes:core/v1:PersistentVolumeClaim::a"\n'
            "as it is currently marked for protection. To unprotect the resource, remove the `protect` flag"
        ),
        PreconditionError,
        "claim-replacement",
        ["`a`", "delete its weights", "storage class"],
    ),
    (
        "what is protected and no claim is called by its kind",
        (
            'unable to replace resource "urn:pulumi:dev::weighbridge-pools::kubernetes:core/v1:ConfigMap::pool-a"\n'
            "as it is currently marked for protection. To unprotect the resource, remove the `protect` flag"
        ),
        PreconditionError,
        "protected-replacement",
        ["ConfigMap `pool-a`", "protected"],
    ),
    (
        "an unreachable cluster is worth another try",
        "failed to read resource state due to unreachable cluster. If the cluster was deleted, you can remove this resource",
        StepFailedError,
        "cluster-unreachable",
        ["did not answer", "again"],
    ),
    (
        "the server that holds the state is not called the cluster",
        (
            "could not list bucket: blob (code=Unknown): operation error S3: ListObjectsV2, https response error StatusCode: 0, "
            'request send failed, Get "https://s3.example.com/state": dial tcp 10.0.0.1:443: connect: connection refused'
        ),
        StepFailedError,
        "state-unreachable",
        ["server that holds the state", "does not answer"],
    ),
    (
        "a missing plugin says where it comes from",
        "no resource plugin 'pulumi-resource-kubernetes-v4.26.0' found in the workspace or on your $PATH",
        PreconditionError,
        "plugin-missing",
        ["pulumi-resource-kubernetes", "pulumi plugin install resource kubernetes 4.26.0"],
    ),
    (
        "a defect of ours in a program is called one",
        "python inline source runtime error: stack storage is not the storage stack\nTraceback …",
        DefectError,
        "stack-program",
        ["is not the storage stack", "report"],
    ),
    (
        "a refused input names the property",
        (
            "weighbridge:index:Registrations resource 'cr': property entries[0].location.pvc_name value {<nil>} has a problem: "
            "None is no name of a PersistentVolumeClaim"
        ),
        PreconditionError,
        "property-invalid",
        ["entries[0].location.pvc_name", "no name of a PersistentVolumeClaim"],
    ),
    (
        "a cancelled update is an interruption",
        "update cancelled",
        InterruptedByUserError,
        "cancelled",
        ["state was saved"],
    ),
    (
        "what is not known is told without URNs",
        "creating urn:pulumi:dev::p::kubernetes:core/v1:PersistentVolumeClaim::a: 1 error occurred:\n\t* something new",
        StepFailedError,
        "pulumi-failed",
        ["something new", "`a`"],
    ),
]
LOCK = (
    "error: the stack is currently locked by 1 lock(s). Either wait for the other process(es) to end or delete the lock "
    "file with `pulumi cancel`.\n  file:///s/.pulumi/locks/organization/weighbridge-storage/stage/5d.json: created by "
    "root@ci-runner-7 (pid 4711) at 2026-11-21T10:00:00Z"
)


@pytest.mark.parametrize(
    ("text", "kind", "code", "parts"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_what_a_user_is_told(text: str, kind: type[WeighbridgeError], code: str, parts: list[str]) -> None:
    found = told(text, stderr="" if text else LOCK)
    assert (type(found), found.code) == (kind, code)
    for part in parts:
        assert part in str(found)
    assert "urn:pulumi" not in str(found)
    assert found.remedy


@pytest.mark.parametrize(
    "stderr", ["error: getting stack configuration: get stack secrets manager: incorrect passphrase"]
)
def test_a_wrong_passphrase_points_at_the_key_of_the_environment_file(stderr: str) -> None:
    found = told("", stderr=stderr)
    assert (type(found), found.code) == (PreconditionError, "state-passphrase")
    assert "state.passphrase" in str(found)


def test_only_an_unreachable_cluster_is_transient() -> None:
    found = told("failed to read resource state due to unreachable cluster.")
    assert isinstance(found, StepFailedError)
    assert found.transient
    unknown = told("something new")
    assert isinstance(unknown, StepFailedError)
    assert not unknown.transient


def test_a_missing_context_is_found_in_the_providers_warning() -> None:
    found = told(
        "failed to read resource state due to unreachable cluster.",
        warning="configured Kubernetes cluster is unreachable: invalid configuration: [context was not found for specified "
        "context: stage-admin, cluster has no server defined]",
    )
    assert found.code == "context-missing"
    assert "`stage-admin`" in str(found)


@pytest.mark.parametrize(
    "kind", [PreconditionError, StepFailedError, DefectError], ids=lambda kind: kind.__name__
)
def test_our_providers_own_failures_arrive_as_they_were_raised(kind: type[WeighbridgeError]) -> None:
    raised = kind(
        "m1 is registered already\n  live    {}\n  wanted  {}",
        remedy="adopt it: --adopt m1",
        code="entry-foreign",
    )
    found = told(f"Preview failed: {encode(raised)}\n\n")
    assert (type(found), found.what, found.remedy, found.code) == (
        kind,
        raised.what,
        raised.remedy,
        raised.code,
    )


def test_a_secret_that_a_message_quotes_is_not_repeated() -> None:
    found = told("cannot sign with planted-secret", stderr="planted-secret again", hidden=("planted-secret",))
    assert "planted" not in str(found)
    assert "[secret]" in str(found)


def test_a_killed_cli_is_called_killed() -> None:
    found = translate(CommandFailedError(CommandResult(stdout="", stderr="", code=137)), [], SPEC)
    assert isinstance(found, StepFailedError)
    assert (found.code, found.transient) == ("pulumi-killed", True)
    assert "signal 9" in str(found)


def test_a_plugin_that_was_killed_is_named_and_no_bug_is_to_be_reported() -> None:
    error = told(
        ": error reading from server: EOF",
        stderr=(
            "Detected that /usr/bin/pulumi-resource-weighbridge exited prematurely.\n"
            "       This is *always* a bug in the provider. Please report the issue to the provider author as appropriate."
        ),
    )
    assert isinstance(error, StepFailedError)
    assert (error.code, error.transient) == ("plugin-died", True)
    assert "pulumi-resource-weighbridge" in error.what
    assert "bug" not in str(error)


def test_a_long_message_is_cut() -> None:
    assert len(sentence("x" * 5000)) < 1300
