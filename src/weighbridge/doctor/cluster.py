"""Judge this machine's tools, the API server, the namespace, clocks and Pulumi's state."""

import re
from collections.abc import Sequence

from weighbridge.core.finding import Finding, fail, ok, warn
from weighbridge.probing.probes import Object, RecordedState, Server, Tool
from weighbridge.probing.skew import judge_skew

TOOLS, CLUSTER, STATE = "tools", "cluster", "state"

OLDEST_MINOR = 29
"""Kubernetes 1.29 is the first version that obeys a Job's podReplacementPolicy without a feature gate (Kubernetes,
"Jobs"). An older one drops the field, and two movers may overlap for a moment. OpenShift 4.16 is 1.29.
"""


def judge_tool(tool: Tool) -> Finding:
    if tool.problem is not None:
        judge = fail if tool.needed else warn
        return judge(TOOLS, tool.name, tool.problem, tool.remedy)
    said = f"{tool.version} ({tool.place})" if tool.version and tool.place else tool.version or tool.place
    return ok(TOOLS, tool.name, said or "there")


def judge_server(server: Server) -> list[Finding]:
    found = [_version(server.version)]
    if server.user is not None:
        found.append(ok(CLUSTER, "login", server.user))
    if server.skew_seconds is not None:
        found.append(judge_skew(CLUSTER, "clock", server.skew_seconds, "this machine", "the API server"))
    return found


def _version(version: str) -> Finding:
    numbers = re.match(r"v?(\d+)\.(\d+)", version)
    if numbers and (int(numbers.group(1)), int(numbers.group(2))) < (1, OLDEST_MINOR):
        return warn(
            CLUSTER,
            "version",
            f"Kubernetes {version} ignores podReplacementPolicy of Jobs",
            f"1.{OLDEST_MINOR} or newer keeps two movers from overlapping after a node failed",
        )
    return ok(CLUSTER, "version", f"Kubernetes {version}")


def judge_namespace(name: str, found: Object | None) -> Finding:
    if found is None:
        return fail(
            CLUSTER,
            f"namespace {name}",
            "absent",
            "name the operands namespace of watsonx.ai (PROJECT_CPD_INST_OPERANDS) in cluster.namespace",
        )
    if found["metadata"].get("deletionTimestamp"):
        return fail(CLUSTER, f"namespace {name}", "is being deleted", "wait, or name another one")
    labels = found["metadata"].get("labels") or {}
    level = labels.get("pod-security.kubernetes.io/enforce")
    return ok(CLUSTER, f"namespace {name}", f"there; Pod Security {level or 'not set by label'}")


def judge_state(recorded: Sequence[RecordedState], backend: str, uid: str | None) -> list[Finding]:
    found = [ok(STATE, "backend", f"{backend} answers")]
    for state in recorded:
        name = f"stack {state.stack}"
        if not state.exists:
            found.append(ok(STATE, name, "not in it yet"))
        elif state.cluster_uid is None or uid is None:
            found.append(ok(STATE, name, "there; it names no cluster" if uid else "there"))
        elif state.cluster_uid != uid:
            found.append(
                fail(
                    STATE,
                    name,
                    f"belongs to the cluster with kube-system UID {state.cluster_uid}, not to this one ({uid})",
                    "correct cluster.context, or give this cluster's environment another name or state.backend",
                )
            )
        else:
            found.append(ok(STATE, name, "there, and of this cluster"))
    return found
