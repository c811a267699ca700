"""Engines that we run: each knows its tool, but no stack or playbook by name."""

import os

# gRPC (which Pulumi's engine uses to talk to us) starts a thread in every process that we fork. Such a process becomes
# ansible-playbook a moment later, and sometimes died of that thread. Set this before gRPC is imported.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
