"""What runs, with which arguments, and the process manager's configuration: pure text from a Layout."""

import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from weighbridge_sandbox.commands import SYSTEM_PATH
from weighbridge_sandbox.layout import (
    API_PORT,
    CONTROLLER_PORT,
    ETCD_PEER_PORT,
    ETCD_PORT,
    GATEWAY,
    NODE,
    S3_PORT,
    SCHEDULER_PORT,
    SERVICE_SUBNET,
    Layout,
)

# Modules of this package that run as processes of their own, once the API serves what they need.
STAND_INS = ("provisioner", "operator")


@dataclass(frozen=True)
class Process:
    """One supervised process; `at_once` false means that `up` starts it when what it needs is there."""

    name: str
    argv: tuple[str, ...]
    at_once: bool = True
    environment: Mapping[str, str] = field(default_factory=dict)


def processes(layout: Layout, python: str = sys.executable) -> tuple[Process, ...]:
    """All processes in the order they start."""
    programs, pki, configs = layout.bin, layout.pki, layout.configs
    own = {"KUBECONFIG": str(layout.kubeconfig), "WEIGHBRIDGE_SANDBOX_HOME": str(layout.home)}
    started_later = tuple(
        Process(name, (python, "-m", f"weighbridge_sandbox.{name}"), at_once=False, environment=own)
        for name in STAND_INS
    )
    return (
        Process("etcd", (str(programs / "etcd"), *etcd_arguments(layout))),
        Process("s3", ("/bin/sh", "-c", s3_script(layout))),
        Process("containerd", ("containerd", "--config", str(configs / "containerd.toml"))),
        Process("kube-apiserver", (str(programs / "kube-apiserver"), *apiserver_arguments(layout))),
        Process(
            "kube-controller-manager",
            (
                str(programs / "kube-controller-manager"),
                f"--kubeconfig={configs}/controller-manager.kubeconfig",
                f"--service-account-private-key-file={pki}/service-accounts.key",
                f"--root-ca-file={pki}/ca.crt",
                "--bind-address=127.0.0.1",
                f"--secure-port={CONTROLLER_PORT}",
                "--leader-elect=false",
                "--use-service-account-credentials",  # each controller with its own, narrow role
                "--pvclaimbinder-sync-period=5s",
            ),
        ),
        Process(
            "kube-scheduler",
            (
                str(programs / "kube-scheduler"),
                f"--kubeconfig={configs}/scheduler.kubeconfig",
                "--bind-address=127.0.0.1",
                f"--secure-port={SCHEDULER_PORT}",
                "--leader-elect=false",
            ),
        ),
        Process(
            "kubelet",
            (
                str(programs / "kubelet"),
                f"--config={configs}/kubelet.json",
                f"--kubeconfig={configs}/kubelet.kubeconfig",
                f"--root-dir={layout.kubelet}",
                f"--cert-dir={layout.kubelet}/pki",
                f"--hostname-override={NODE}",
                f"--node-ip={GATEWAY}",
            ),
            at_once=False,
        ),
        *started_later,
    )


def etcd_arguments(layout: Layout) -> tuple[str, ...]:
    """One member over mutual TLS. fsync is left out: a sandbox may lose its objects when the machine loses power."""
    return (
        "--name=sandbox",
        f"--data-dir={layout.etcd}",
        f"--listen-client-urls=https://127.0.0.1:{ETCD_PORT}",
        f"--advertise-client-urls=https://127.0.0.1:{ETCD_PORT}",
        f"--listen-peer-urls=http://127.0.0.1:{ETCD_PEER_PORT}",
        f"--initial-advertise-peer-urls=http://127.0.0.1:{ETCD_PEER_PORT}",
        f"--initial-cluster=sandbox=http://127.0.0.1:{ETCD_PEER_PORT}",
        "--client-cert-auth",
        f"--trusted-ca-file={layout.pki}/ca.crt",
        f"--cert-file={layout.pki}/etcd.crt",
        f"--key-file={layout.pki}/etcd.key",
        "--unsafe-no-fsync",
        "--auto-compaction-mode=periodic",
        "--auto-compaction-retention=1h",
        "--log-level=warn",
    )


def apiserver_arguments(layout: Layout) -> tuple[str, ...]:
    """The API on the loopback only, with the beta policies that stand for OpenShift's constraints switched on."""
    pki = layout.pki
    return (
        "--bind-address=127.0.0.1",
        f"--secure-port={API_PORT}",
        f"--advertise-address={GATEWAY}",
        "--endpoint-reconciler-type=none",
        f"--etcd-servers=https://127.0.0.1:{ETCD_PORT}",
        f"--etcd-cafile={pki}/ca.crt",
        f"--etcd-certfile={pki}/apiserver-etcd.crt",
        f"--etcd-keyfile={pki}/apiserver-etcd.key",
        f"--tls-cert-file={pki}/apiserver.crt",
        f"--tls-private-key-file={pki}/apiserver.key",
        f"--client-ca-file={pki}/ca.crt",
        f"--kubelet-certificate-authority={pki}/ca.crt",
        f"--kubelet-client-certificate={pki}/apiserver-kubelet.crt",
        f"--kubelet-client-key={pki}/apiserver-kubelet.key",
        "--kubelet-preferred-address-types=Hostname",
        f"--service-account-key-file={pki}/service-accounts.pub",
        f"--service-account-signing-key-file={pki}/service-accounts.key",
        f"--service-account-issuer=https://127.0.0.1:{API_PORT}",
        f"--service-cluster-ip-range={SERVICE_SUBNET}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--feature-gates=MutatingAdmissionPolicy=true",
        "--runtime-config=admissionregistration.k8s.io/v1beta1=true",
        "--allow-privileged=true",
        "--profiling=false",
    )


def s3_script(layout: Layout) -> str:
    """A shell line that hands the credentials over in the environment: argv would show them to every user."""
    access, secret = (shlex.quote(str(path)) for path in (layout.s3_access_key, layout.s3_secret_key))
    server = shlex.join(
        [
            str(layout.bin / "versitygw"),
            f"--port={GATEWAY}:{S3_PORT}",
            "--region=us-east-1",
            "--quiet",
            "--keep-alive",
            "posix",
            str(layout.s3 / "data"),
        ]
    )
    return f'ROOT_ACCESS_KEY="$(cat {access})" ROOT_SECRET_KEY="$(cat {secret})" exec {server}'


def supervisor(layout: Layout, wanted: tuple[Process, ...]) -> str:
    """The configuration of supervisord. Children get SIGKILL when supervisord itself dies, and are restarted when they do.

    `%` is doubled, as supervisor expands it.
    """
    folder = layout.supervisor
    sections = [
        f"""[supervisord]
logfile={folder}/supervisord.log
logfile_maxbytes=5MB
logfile_backups=1
pidfile={folder}/supervisord.pid
childlogdir={layout.logs}
directory={layout.home}
umask=022
minfds=4096

[unix_http_server]
file={layout.supervisor_socket}
chmod=0600

[supervisorctl]
serverurl=unix://{layout.supervisor_socket}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""
    ]
    path = f"{layout.bin}:{SYSTEM_PATH}"
    for position, process in enumerate(wanted):
        environment = {"PATH": path, "HOME": str(layout.home), **process.environment}
        command = shlex.join(("setpriv", "--pdeathsig", "KILL", "--", *process.argv))
        pairs = ",".join(f'{name}="{value}"' for name, value in environment.items())
        sections.append(
            f"""[program:{process.name}]
command={command.replace("%", "%%")}
environment={pairs.replace("%", "%%")}
priority={10 * (position + 1)}
autostart={str(process.at_once).lower()}
autorestart=true
startsecs=1
startretries=30
stopasgroup=true
killasgroup=true
stopwaitsecs=10
redirect_stderr=true
stdout_logfile={layout.logs}/{process.name}.log
stdout_logfile_maxbytes=20MB
stdout_logfile_backups=1
"""
        )
    return "\n".join(sections)
