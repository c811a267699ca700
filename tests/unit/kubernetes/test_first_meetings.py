"""Threads that meet a type of the cluster's API for the first time at once: a crash of the process, once, in lightkube's
decoder, and a refusal to make the type a second time. Each attempt needs a process that has met nothing: it is forked from one
that has only imported.
"""

import subprocess
import sys

import pytest

_ATTEMPTS = 60
_PROGRAM = f"""
import os, sys, tempfile, threading, yaml
from weighbridge.kubernetes import client, kubeconfig
from lightkube.core.decoders import decode_list, decode_status

sys.setswitchinterval(1e-6)
row = {{"clusters": [{{"name": "a", "cluster": {{"server": "https://a"}}}}], "users": [{{"name": "u", "user": {{}}}}],
       "contexts": [{{"name": "c", "context": {{"cluster": "a", "user": "u"}}}}], "current-context": "c"}}
file = tempfile.NamedTemporaryFile("w", suffix=".yaml")
file.write(yaml.safe_dump(row))
file.flush()
ACTS = {{
    "kubeconfig": lambda: kubeconfig.kubeconfig(None, {{"KUBECONFIG": file.name}}),
    "list": lambda: decode_list(b'{{"items": [{{}}], "metadata": {{}}}}', client._resource(client.JOB)),
    "resource": lambda: client._resource(client.CONFIG_MAP),
    "refusal": lambda: decode_status(b'{{"code": 404}}'),
}}

def at_once(act):
    ready = threading.Barrier(8)
    failed = []

    def try_it():
        ready.wait()
        try:
            act()
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=try_it) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    return failed

for _ in range({_ATTEMPTS}):
    child = os.fork()
    if child == 0:
        failed = at_once(ACTS[sys.argv[1]])
        print(*map(repr, failed), file=sys.stderr, flush=True)
        os._exit(1 if failed else 0)
    _, status = os.waitpid(child, 0)
    if status:
        sys.exit(f"ended with {{os.waitstatus_to_exitcode(status)}}")
"""


@pytest.mark.parametrize("act", ["kubeconfig", "list", "resource", "refusal"])
def test_threads_may_meet_the_cluster_s_types_at_once(act: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", _PROGRAM, act], capture_output=True, text=True, check=False, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
