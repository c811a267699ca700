"""Write ``docs/screen.txt``: what a plan and two applies print on a sandbox that holds nothing of ours yet.

make record            (then `make generate` draws docs/screen.svg from it)
"""

# ruff: noqa: INP001  (a script, not a package)

import re
import subprocess
import sys
from pathlib import Path

SCREEN = Path(__file__).with_name("screen.txt")
PROGRAM = Path(sys.executable).with_name("weighbridge")
CLAIMS = ("sandbox-tiny-llama-weights", "sandbox-all-minilm-l6-v2-weights")


def main() -> None:
    """Empty the environment, then record. ``CalledProcessError`` where a command fails."""
    emptied = ["destroy", "sandbox", "--yes", *(word for claim in CLAIMS for word in ("--weights", claim))]
    subprocess.run([PROGRAM, *emptied], check=True)
    text = ""
    for verb in ("plan", "apply", "apply"):
        done = subprocess.run(
            [PROGRAM, verb, "sandbox"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=True,
        )
        text += f"$ weighbridge {verb} sandbox\n{done.stdout}"
    SCREEN.write_text(re.sub(r"(w1\.[\w-]{12})[\w-]+", r"\1…", text), encoding="utf-8")


if __name__ == "__main__":
    main()
