"""What a person and a program read of a diagnosis."""

from pathlib import Path
from typing import Any, cast

from weighbridge.core.finding import Diagnosis, fail, not_looked_at, ok, warn
from weighbridge.domain.access import EVERYBODY, Rule
from weighbridge.messages import diagnosed_message
from weighbridge.screens import diagnosed_screen

RULE = Rule(group="", resource="pods", verbs=("list",), needed_by=EVERYBODY, why="because")
DIAGNOSIS = Diagnosis(
    environment="stage",
    where="context stage",
    user="jane",
    missing=(RULE,),
    findings=(
        ok("tools", "pulumi", "3.255.0"),
        fail("permissions", "list pods", "may not list pods", "ask for it", theirs=True),
        warn("tools", "rsync", "not on PATH", "install it"),
        not_looked_at("admission", "everything", "the cluster was not reached"),
    ),
)


def test_the_screen_groups_by_area_says_what_to_do_and_where_the_request_lies() -> None:
    assert diagnosed_screen(DIAGNOSIS, Path("var/doctor/stage-request.md")).splitlines() == [
        "Doctor for stage on context stage",
        "",
        "tools",
        "  ✓ pulumi: 3.255.0",
        "  ! rsync: not on PATH",
        "      → install it",
        "",
        "permissions",
        "  ✗ list pods: may not list pods",
        "      → ask for it",
        "",
        "admission",
        "  ! everything: not looked at, because the cluster was not reached",
        "",
        "1 ok, 2 warn, 1 fail.",
        "To be sent to the cluster's administrators: var/doctor/stage-request.md",
    ]


def test_the_message_holds_every_line_the_counts_and_the_rules() -> None:
    message = cast("dict[str, Any]", diagnosed_message(DIAGNOSIS, None))
    assert (message["type"], message["healthy"], message["ok"], message["warn"], message["fail"]) == (
        "diagnosed",
        False,
        1,
        2,
        1,
    )
    assert [item["level"] for item in message["findings"]] == ["ok", "fail", "warn", "warn"]
    assert [item["for_administrators"] for item in message["findings"]] == [False, True, False, False]
    assert message["missing_rules"][0]["resources"] == ["pods"]
    assert message["request"] is None


def test_the_exit_code_is_3_where_something_failed_and_0_for_warnings() -> None:
    assert DIAGNOSIS.exit_code == 3
    assert Diagnosis(environment="x", where=None, findings=DIAGNOSIS.findings[2:]).exit_code == 0
