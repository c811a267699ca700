"""Engines that we drive: each knows its tool, and no stack or playbook by name."""

import os

# gRPC (Pulumi's engine talks to us with it) otherwise starts a thread of its own in every process that we fork, which is
# to become ansible-playbook a moment later: now and then the child died of it. To be said before gRPC is imported.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
