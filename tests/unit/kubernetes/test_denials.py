"""One sentence of the API server, in the wrappings in which it comes back to us."""

import json

import pytest

from weighbridge.domain.access import Access
from weighbridge.kubernetes.denials import forbidden, parse_denial

SENTENCE = (
    'secrets "wb-stage-m-rsync" is forbidden: User "system:serviceaccount:cpd:wb" cannot create resource "secrets" '
    'in API group "" in the namespace "cpd"'
)
ACCESS = Access(verb="create", group="", resource="secrets", name="wb-stage-m-rsync", namespace="cpd")


@pytest.mark.parametrize(
    "text",
    [
        SENTENCE,
        f"error: update failed\n  * creation of resource failed: {SENTENCE}",
        json.dumps({"message": SENTENCE}),
        json.dumps({"outer": json.dumps({"message": SENTENCE})}),
        f"Error from server (Forbidden): {SENTENCE}: RBAC: role.rbac.authorization.k8s.io not found",
    ],
    ids=["plain", "pulumi", "ansible", "escaped-twice", "kubectl"],
)
def test_a_denial_is_recognised_in_every_wrapping(text: str) -> None:
    denial = parse_denial(text)
    assert denial is not None
    assert (denial.user, denial.access) == ("system:serviceaccount:cpd:wb", ACCESS)


def test_it_names_the_rule_its_purpose_and_the_role_that_holds_it() -> None:
    error = forbidden(SENTENCE)
    assert error is not None
    assert error.exit_code == 3
    assert (
        "may not create secrets wb-stage-m-rsync in namespace cpd (the rsync daemon's password" in error.what
    )
    assert error.remedy is not None
    assert (
        '{apiGroups: [""], resources: [secrets], verbs: [create], resourceNames: [wb-stage-m-rsync]}'
        in error.remedy
    )
    assert "Role `weights`" in error.remedy


@pytest.mark.parametrize(
    ("text", "access", "holder"),
    [
        (
            ('namespaces "kube-system" is forbidden: User "u" cannot get resource "namespaces" in API group "" in the '
            'namespace "kube-system"'),
            Access(verb="get", group="", resource="namespaces", name="kube-system"),
            "the ClusterRole",
        ),
        (
            ('pods "wb-s-m-rsync" is forbidden: User "u" cannot create resource "pods/portforward" in API group "" in the '
            'namespace "n"'),
            Access(
                verb="create", group="", resource="pods", subresource="portforward", name="wb-s-m-rsync", namespace="n"
            ),
            "Role `weights`",
        ),
        (
            'pods is forbidden: User "u" cannot list resource "pods" in API group "" in the namespace "n"',
            Access(verb="list", group="", resource="pods", namespace="n"),
            "Role `weights`",
        ),
        (
            'configmaps is forbidden: User "u" cannot create resource "configmaps" in API group "" in the namespace "n"',
            Access(verb="create", group="", resource="configmaps", namespace="n"),
            "Role `switch`",
        ),
        (
            ('watsonxaiifm.watsonxaiifm.cpd.ibm.com "watsonxaiifm-cr" is forbidden: User "u" cannot patch resource '
            '"watsonxaiifm" in API group "watsonxaiifm.cpd.ibm.com" in the namespace "n"'),
            Access(
                verb="patch",
                group="watsonxaiifm.cpd.ibm.com",
                resource="watsonxaiifm",
                name="watsonxaiifm-cr",
                namespace="n",
            ),
            "Role `switch`",
        ),
    ],
)  # fmt: skip
def test_scopes_subresources_and_groups(text: str, access: Access, holder: str) -> None:
    denial, error = parse_denial(text), forbidden(text)
    assert denial is not None
    assert denial.access == access
    assert error is not None
    assert holder in str(error)


def test_what_weighbridge_never_asks_for_is_told_all_the_same() -> None:
    error = forbidden(
        'nodes "n1" is forbidden: User "u" cannot delete resource "nodes" in API group "" at the cluster scope'
    )
    assert error is not None
    assert "resources: [nodes], verbs: [delete], resourceNames: [n1]" in str(error)
    assert "weighbridge rbac" not in str(error)


@pytest.mark.parametrize(
    "text",
    [
        'persistentvolumeclaims "a" is forbidden: exceeded quota: q, requested: requests.storage=3Gi, used: 0, limited: 1Gi',
        'pods "x" is forbidden: violates PodSecurity "restricted:latest": privileged',
        "Forbidden",
        "",
    ],
)
def test_other_refusals_are_none(text: str) -> None:
    assert parse_denial(text) is None
    assert forbidden(text) is None
