"""What runs in a process of ours that was forked after Pulumi's gRPC was used, before it becomes another program."""

import subprocess
import sys

PROGRAM = """
import os
import weighbridge.engines
import grpc
from concurrent.futures import ThreadPoolExecutor

server = grpc.server(ThreadPoolExecutor(2))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
    grpc.channel_ready_future(channel).result(20)
server.stop(None).wait(20)
reading, writing = os.pipe()
if os.fork() == 0:
    os.write(writing, str(len(os.listdir("/proc/self/task"))).encode())
    os._exit(0)
os.wait()
print(os.read(reading, 10).decode())
"""


def test_a_forked_process_has_no_thread_of_grpc_that_could_kill_it() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120, check=True
    )
    assert ran.stdout.strip() == "1"
