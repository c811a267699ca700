"""An Ansible action that does nothing but take notes, under the name of whichever action it stands in for.

Reads what to answer from ``answers.json`` of the folder ``STAND_INS`` (action → list of results, used up in turn), and adds a line
to ``asked`` there.
"""

import json
import os
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

from weighbridge.errors import VerificationError
from weighbridge.kubernetes.pod_watch import Ended


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible ships no types
    """Answers ``{"changed": True}`` where nothing else was prepared."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        folder = Path(os.environ["STAND_INS"])
        name, asked = self._task.action.rpartition(".")[2], json.loads(json.dumps(self._task.args))
        with (folder / "asked").open("a") as log:
            log.write(json.dumps([name, asked]) + "\n")
        answers = json.loads((folder / "answers.json").read_text())
        answer: dict[str, Any] = answers.get(name, []).pop(0) if answers.get(name) else {"changed": True}
        (folder / "answers.json").write_text(json.dumps(answers))
        if answer.get("exit_code"):
            error = VerificationError("the stand-in's own sentence")
            ended = Ended(None, answer["exit_code"], None, error, tuple(answer["files"]))
            answer["failed"] = not ended.accepted(asked["accept"], named=asked["accept_named"])
            answer["msg"] = error.what
        result.update(answer)
        return result
