"""Every field of a kubeconfig that Kubernetes documents (kubernetes.io, "kubeconfig (v1)" and "Client
Authentication"), and how it is treated: honoured by our own client and in the kubeconfig of children, or refused by
name. No documented field is ignored silently. Undocumented fields are ignored, as kubectl does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias


@dataclass(frozen=True, slots=True)
class Honoured:
    how: str


@dataclass(frozen=True, slots=True)
class Refused:
    why: str
    remedy: str


Fate: TypeAlias = Honoured | Refused

_TOO_NARROW = Refused(
    "Ansible's Kubernetes client cannot ask for it, so playbooks would act as somebody else than plans",
    "impersonate by as and as-groups alone, or use a login of its own",
)
_API: Final = "client.authentication.k8s.io/"

FATES: Final[Mapping[str, Fate]] = {
    "context.cluster": Honoured("names the cluster"),
    "context.user": Honoured("names the user; without it requests are anonymous"),
    "context.namespace": Honoured("never counts: the environment file names its namespace"),
    "context.extensions": Honoured("means nothing to a client"),
    "cluster.server": Honoured("where requests go; a user or a password in it is refused"),
    "cluster.tls-server-name": Honoured("the name that the certificate must have, and SNI"),
    "cluster.insecure-skip-tls-verify": Honoured("the certificate is not looked at"),
    "cluster.certificate-authority": Honoured("its PEM blocks are trusted alone, as kubectl does"),
    "cluster.certificate-authority-data": Honoured("likewise, and before the file"),
    "cluster.proxy-url": Honoured("an http(s) proxy; goes before every other setting, as in kubectl"),
    "cluster.disable-compression": Honoured("answers are asked for uncompressed"),
    "cluster.extensions": Honoured(
        "what login helpers are told (client.authentication.k8s.io/exec); the rest means nothing"
    ),
    "user.client-certificate": Honoured("shown to the server"),
    "user.client-certificate-data": Honoured("likewise, and before the file; never written to a disk"),
    "user.client-key": Honoured("of the certificate"),
    "user.client-key-data": Honoured("likewise, and before the file; never written to a disk"),
    "user.token": Honoured("bearer token"),
    "user.tokenFile": Honoured("read again when it changes; goes before token"),
    "user.username": Honoured("basic authentication"),
    "user.password": Honoured("basic authentication; ASCII, as Ansible's client writes the rest otherwise"),
    "user.as": Honoured("impersonated user"),
    "user.as-groups": Honoured(
        "impersonated groups; none with a comma, which Ansible's client takes for two"
    ),
    "user.as-uid": _TOO_NARROW,
    "user.as-user-extra": _TOO_NARROW,
    "user.auth-provider": Refused(
        "Kubernetes took it out in 1.26 (providers gcp and azure) or keeps it for oidc alone",
        "use the provider's login helper: kubectl oidc-login, kubelogin or gke-gcloud-auth-plugin under exec",
    ),
    "user.exec": Honoured(
        "a login helper, with a deadline wherever it is started; a token or username goes before it"
    ),
    "user.extensions": Honoured("means nothing to a client"),
    "exec.apiVersion": Honoured("client.authentication.k8s.io/v1 and v1beta1"),
    "exec.command": Honoured(
        "a program on PATH, or a path, relative to the folder of the file that names it"
    ),
    "exec.args": Honoured("its arguments"),
    "exec.env": Honoured("further variables"),
    "exec.installHint": Honoured("said where the program is missing"),
    "exec.provideClusterInfo": Honoured("the cluster in KUBERNETES_EXEC_INFO"),
    "exec.interactiveMode": Honoured(
        "Never and IfAvailable; no helper is given a terminal, so Always is refused"
    ),
    "status.token": Honoured("bearer token"),
    "status.clientCertificateData": Honoured("shown to the server; never written to a disk"),
    "status.clientKeyData": Honoured("its key; never written to a disk"),
    "status.expirationTimestamp": Honoured("the helper is asked again afterwards, and after a 401"),
}
"""Section and key → how the field is treated."""

EXEC_VERSIONS: Final[Mapping[str, Fate]] = {
    f"{_API}v1": Honoured("current"),
    f"{_API}v1beta1": Honoured("older helpers"),
    f"{_API}v1alpha1": Refused(
        "Kubernetes took it out in 1.24",
        "renew the login helper, and write v1 or v1beta1 (for Amazon: aws eks update-kubeconfig)",
    ),
}
