"""What is refused after looking: exit 3, one clear sentence, nothing touched."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.estate import CR, Estate, Ran
from weighbridge.kubernetes.client import CLAIM, WATSONX_IFM
from weighbridge_sandbox.models import write_small_llama

pytestmark = pytest.mark.sandbox

Environment = dict[str, Any]


def _set(path: str, value: Any) -> Callable[[Environment], None]:
    """An edit of the environment at a dotted path; integers index lists."""

    def edit(environment: Environment) -> None:
        *parents, last = path.split(".")
        at: Any = environment
        for part in parents:
            at = at[int(part)] if part.isdigit() else at[part]
        at[last] = value

    return edit


SOURCE = "models.0.source.s3"
# By `plan`, which is where all of them are found; `apply` plans first, which two of them show for all.
PLAN, BOTH = ("plan",), ("plan", "apply")
REFUSED = [
    pytest.param(_set(f"{SOURCE}.bucket", "no-such-bucket"), "no-such-bucket", PLAN, id="absent-bucket"),
    pytest.param(_set(f"{SOURCE}.prefix", "no/such/prefix/"), "no/such/prefix", PLAN, id="absent-prefix"),
    pytest.param(
        _set(f"{SOURCE}.credentials.secret_key", {"env": "WRONG_SECRET"}),
        "secret key",
        BOTH,
        id="wrong-secret-key",
    ),
    pytest.param(
        _set(f"{SOURCE}.credentials.access_key", {"env": "WRONG_SECRET"}),
        "does not know",
        PLAN,
        id="wrong-access-key",
    ),
    pytest.param(
        _set(f"{SOURCE}.credentials.secret_key", {"env": "NOT_SET_ANYWHERE"}),
        "NOT_SET_ANYWHERE",
        PLAN,
        id="unset-variable",
    ),
    pytest.param(
        _set(f"{SOURCE}.endpoint", "http://127.0.0.1:9"), "127.0.0.1:9", PLAN, id="unreachable-source"
    ),
    pytest.param(_set("cluster.context", "no-such-context"), "no-such-context", PLAN, id="absent-context"),
    pytest.param(
        _set("cluster.namespace", "no-such-namespace"), "no-such-namespace", PLAN, id="absent-namespace"
    ),
    pytest.param(_set("cluster.custom_resource", "no-such-cr"), "no-such-cr", PLAN, id="absent-cr"),
    pytest.param(
        _set("models.0.storage.storage_class", "no-such-class"),
        "sandbox-rwx",
        BOTH,
        id="absent-storage-class",
    ),
    pytest.param(
        _set("models.0.storage", {"existing_pvc": "no-such-claim"}), "no-such-claim", PLAN, id="absent-claim"
    ),
    pytest.param(_set("models.0.storage.size", "1Mi"), "1Mi", PLAN, id="too-small"),
]


@pytest.fixture(autouse=True)
def _wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WRONG_SECRET", "thisisnotthesecretofanybody")


@pytest.fixture
def one(estate: Estate) -> Iterator[Estate]:
    """The estate with one model; whatever a test did to its environment is undone."""
    before = estate.environment
    estate.environment = copy.deepcopy({**before, "models": [before["models"][0]]})
    yield estate
    estate.environment = before


@pytest.mark.parametrize(("edit", "named", "verbs"), REFUSED)
def test_refused_with_3_and_nothing_touched(
    one: Estate, edit: Callable[[Environment], None], named: str, verbs: tuple[str, ...]
) -> None:
    before = one.cr()["metadata"]["resourceVersion"]
    edit(one.environment)

    for verb in verbs:
        ran = one.run(verb)
        assert ran.code == 3, ran.said
        assert named in ran.err
        assert "Traceback" not in ran.said

    assert one.cr()["metadata"]["resourceVersion"] == before
    assert one.kube.list(CLAIM, one.name, labels={"weighbridge.dev/environment": one.name}) == []


def test_an_unreachable_cluster_is_named(one: Estate, tmp_path: Path) -> None:
    text = one.layout.kubeconfig.read_text().replace(":27443", ":9")
    (tmp_path / "kubeconfig").write_text(text)

    ran = one.run("plan", env={"KUBECONFIG": str(tmp_path / "kubeconfig")})

    assert ran.code == 3, ran.said
    assert "does not answer" in ran.err


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json", ".safetensors"])
def test_a_source_without_a_required_file_is_refused(one: Estate, tmp_path: Path, missing: str) -> None:
    write_small_llama(tmp_path)
    for path in list(tmp_path.iterdir()):
        if (
            path.name.endswith(missing)
            and "tokenizer_config" not in path.name
            and not path.name.startswith("generation_")
        ):
            path.unlink()
    prefix = f"without-{missing.strip('.').replace('.', '-')}"
    one.upload(tmp_path, prefix)
    _set(f"{SOURCE}.prefix", f"{one.name}/{prefix}/")(one.environment)

    ran = one.run("plan")

    assert ran.code == 3, ran.said
    assert missing in ran.err


def test_pickles_are_refused_with_the_line_that_leaves_them_behind(one: Estate, tmp_path: Path) -> None:
    write_small_llama(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    one.upload(tmp_path, "pickled")
    _set(f"{SOURCE}.prefix", f"{one.name}/pickled/")(one.environment)

    ran = one.run("plan")
    assert ran.code == 3, ran.said
    assert "pytorch_model.bin" in ran.err
    assert "exclude" in ran.err

    one.environment["models"][0]["exclude"] = ["*.bin"]
    assert one.run("plan").code == 0


def _refused_underway(ran: Ran, *named: str) -> None:
    assert ran.code == 3, ran.said
    for text in named:
        assert text in ran.said
    assert "Traceback" not in ran.said


@pytest.mark.parametrize("route", [pytest.param("fetch", marks=pytest.mark.nightly), "push"])
def test_an_image_that_cannot_be_pulled_is_named(one: Estate, route: str) -> None:
    one.environment["name"] = f"img-{route}"
    one.environment["models"][0]["routes"] = [route]
    one.environment["pods"] = {"image": "registry.invalid/nobody/nothing:1"}
    before = one.theirs()
    try:
        _refused_underway(one.run("apply"), "registry.invalid/nobody/nothing:1")
        assert one.theirs() == before
        assert [entry["model_id"] for entry in one.entries()] == ["team-a-summarizer", "team-b-translator"]
    finally:
        one.run("destroy", "--yes", "--weights", f"img-{route}-llama-fetch-weights")


def test_a_claim_that_stays_pending_is_explained(one: Estate) -> None:
    one.environment["name"] = "pending"
    one.environment["models"][0]["storage"] = {"storage_class": "sandbox-pending"}
    one.environment["pods"]["start_seconds"] = 20
    try:
        _refused_underway(
            one.run("apply"),
            "pending-llama-fetch-weights",
            "Pending",
        )
    finally:
        one.run("destroy", "--yes", "--weights", "pending-llama-fetch-weights")


@pytest.mark.parametrize(
    ("name", "spec", "said"),
    [  # a name each: a claim that is deleted is there until its finalizer lets it go
        ("block", {"accessModes": ["ReadWriteMany"], "volumeMode": "Block"}, "raw block device"),
        ("read-only", {"accessModes": ["ReadOnlyMany"]}, "can only be read"),
        (
            "small",
            {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Mi"}}},
            "has 1.00 MiB",
        ),
    ],
)
def test_a_claim_that_can_hold_no_weights_is_refused_by_plan(
    one: Estate, name: str, spec: dict[str, Any], said: str
) -> None:
    one.environment["models"][0]["storage"] = {"existing_pvc": name}
    asked = {"storageClassName": "sandbox-pending", "resources": {"requests": {"storage": "1Gi"}}, **spec}
    one.kube.create(CLAIM, {"metadata": {"name": name, "namespace": one.name}, "spec": asked})
    try:
        ran = one.run("plan")
        assert ran.code == 3, ran.said
        assert said in ran.err
        assert "models[0].storage.existing_pvc" in ran.err
    finally:
        one.kube.delete(CLAIM, name, one.name)


def test_somebody_elses_entry_of_our_id_is_refused_with_both_shown_and_adopted_when_asked(
    one: Estate,
) -> None:
    theirs = {
        "model_id": "llama-fetch",
        "location": {"pvc_name": "team-a-models", "sub_path": "summarizer"},
        "tags": ["somebody"],
    }
    one.kube.json_patch(
        WATSONX_IFM,
        CR,
        one.name,
        [{"op": "add", "path": "/spec/custom_foundation_models/-", "value": theirs}],
    )
    try:
        for verb in ("plan", "apply"):
            ran = one.run(verb)
            assert ran.code == 3, ran.said
            assert "somebody" in ran.err
            assert f"{one.name}-llama-fetch-weights" in ran.err
        assert theirs in one.entries()

        adopted = one.run("apply", "--adopt", "llama-fetch")
        assert adopted.code == 0, adopted.said
        entry = next(entry for entry in one.entries() if entry["model_id"] == "llama-fetch")
        assert entry["location"]["pvc_name"] == f"{one.name}-llama-fetch-weights"
        assert one.run("plan", "--expect-no-changes").code == 0
    finally:
        one.run("destroy", "--yes", "--weights", f"{one.name}-llama-fetch-weights")


def test_one_model_of_two_that_fails_leaves_the_other_registered(estate: Estate) -> None:
    estate.environment = copy.deepcopy(estate.environment)
    estate.environment["name"] = "halves"
    estate.environment["models"][1]["storage"] = {"storage_class": "sandbox-pending"}
    estate.environment["pods"]["start_seconds"] = 20
    try:
        ran = estate.run("apply")
        assert ran.code == 4, ran.said
        assert [entry["model_id"] for entry in estate.entries()] == [
            "team-a-summarizer",
            "team-b-translator",
            "llama-fetch",
        ]
    finally:
        estate.run(
            "destroy",
            "--yes",
            "--weights",
            "halves-llama-fetch-weights",
            "--weights",
            "halves-llama-push-weights",
        )
