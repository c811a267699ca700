import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from weighbridge.domain.naming import claim_name, is_ours, job_name, object_labels, receipt_key, slug
from weighbridge.environment.kubernetes_syntax import is_label

MODEL_IDS = st.from_regex(r"\A[a-zA-Z0-9][a-zA-Z0-9/_.-]{0,126}[a-zA-Z0-9]\Z")
ENVIRONMENTS = st.from_regex(r"\A[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?\Z")
KINDS = st.sampled_from(["fetch", "publish", "verify", "rsync", "credentials"])


@given(MODEL_IDS)
def test_a_slug_is_a_short_dns_label(model_id: str) -> None:
    assert is_label(slug(model_id))
    assert len(slug(model_id)) <= 47


@given(MODEL_IDS)
def test_a_slug_keeps_an_id_that_is_one_already(model_id: str) -> None:
    again = slug(model_id)
    assert slug(again) == again or len(again) > 40


@given(MODEL_IDS, MODEL_IDS)
def test_ids_that_differ_only_in_what_a_name_cannot_hold_stay_apart(one: str, other: str) -> None:
    assert (slug(one) == slug(other)) == (one == other)


@pytest.mark.parametrize(
    ("model_id", "expected"),
    [
        ("tiny-llama", "tiny-llama"),
        ("all-minilm-l6-v2", "all-minilm-l6-v2"),
        ("Example/Model_1", "example-model-1-ee9aa5"),
    ],
)
def test_slugs_read_like_their_ids(model_id: str, expected: str) -> None:
    assert slug(model_id) == expected


@given(ENVIRONMENTS, MODEL_IDS, KINDS)
def test_every_name_is_a_dns_label_and_keeps_its_kind(environment: str, model_id: str, kind: str) -> None:
    assert is_label(claim_name(environment, model_id))
    assert is_label(job_name(environment, model_id, kind))
    assert job_name(environment, model_id, kind).endswith(f"-{kind}")


@given(ENVIRONMENTS, MODEL_IDS, ENVIRONMENTS, MODEL_IDS, KINDS, KINDS)
@example("team-a", "prod-llama", "team-a-prod", "llama", "fetch", "fetch")
@example("a" * 30, "b" * 60, "a" * 30, "b" * 59, "rsync", "rsync")
def test_short_lived_names_of_two_environments_never_meet(  # noqa: PLR0913, PLR0917
    one: str, model: str, other: str, its: str, kind: str, its_kind: str
) -> None:
    same = (one, model, kind) == (other, its, its_kind)
    assert (job_name(one, model, kind) == job_name(other, its, its_kind)) == same


def test_what_is_ours_carries_our_label_and_the_environment_s() -> None:
    ours = object_labels("stage", "m")
    assert is_ours({"metadata": {"labels": {**ours, "more": "x"}}}, "stage")
    for labels in ({}, None, object_labels("prod"), {"weighbridge.dev/environment": "stage"}):
        assert not is_ours({"metadata": {"labels": labels}}, "stage")


def test_usual_names_are_the_documented_ones() -> None:
    assert claim_name("stage", "example-13b") == "stage-example-13b-weights"
    assert job_name("stage", "example-13b", "fetch") == "wb-stage-example-13b-8651a6d33e-fetch"
    assert receipt_key("ibm/example_13b") == "ibm_example_13b"
    assert object_labels("stage", "example-13b") == {
        "app.kubernetes.io/managed-by": "weighbridge",
        "weighbridge.dev/environment": "stage",
        "weighbridge.dev/model": "example-13b",
    }
