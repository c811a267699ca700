from dataclasses import fields
from pathlib import Path
from typing import Any, cast

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError, meta

from weighbridge.domain.digest import Json
from weighbridge.domain.weights import SourceListing
from weighbridge.environment.types import Environment
from weighbridge.errors import DefectError, PreconditionError
from weighbridge.manifests import contexts
from weighbridge.manifests.contexts import Context, OrderContext, ReceiptsContext
from weighbridge.manifests.render import (
    jinja,
    render,
    render_claim,
    render_entries,
    render_registration,
    to_yaml,
)
from weighbridge.manifests.resources import share_dir

CRD = Path(__file__).parents[3] / "sandbox" / "weighbridge_sandbox" / "crd"
CONTEXTS = cast("tuple[type[Context], ...]", contexts.Context.__args__)
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
DOCUMENTS = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)


@pytest.mark.parametrize("context", CONTEXTS, ids=lambda context: context.template)
def test_a_template_uses_exactly_the_fields_of_its_context(context: type[Context]) -> None:
    source = (share_dir("templates") / context.template).read_text()
    used = meta.find_undeclared_variables(jinja().parse(source))
    assert used == {field.name for field in fields(context)}


def test_every_template_has_a_context() -> None:
    templates = {path.name for path in share_dir("templates").glob("*.j2") if not path.name.startswith("_")}
    assert templates == {context.template for context in CONTEXTS}


def test_an_unknown_name_in_a_template_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        jinja().from_string("{{ absent | tojson }}").render()


def labelled(labels: Any) -> Any:
    found = render(ReceiptsContext(name="n", namespace="ns", labels=labels))
    return cast("dict[str, Any]", found["metadata"])["labels"]


@given(DOCUMENTS)
def test_no_value_changes_a_manifests_structure(value: Json) -> None:
    """Whatever stands in a value, quotes, colons, line ends, braces, control characters, comes out as it went in."""
    assert labelled({"key": value}) == {"key": value}


@given(DOCUMENTS)
def test_what_is_written_is_read_as_it_was(value: Json) -> None:
    assert yaml.safe_load(to_yaml(value)) == value


def test_an_object_that_is_no_object_is_our_defect() -> None:
    with pytest.raises(DefectError):
        labelled({"key": float("nan")})


def test_the_claim_grows_and_does_not_shrink(environment: Environment, listing: SourceListing) -> None:
    model = environment.models[0]
    claim = cast("dict[str, Any]", render_claim(environment, model, listing))
    assert claim["spec"]["resources"]["requests"]["storage"] == "78112Mi"
    held = cast("dict[str, Any]", render_claim(environment, model, listing, 100 * 1024**3))
    assert held["spec"]["resources"]["requests"]["storage"] == "100Gi"


def test_a_size_that_is_too_small_is_refused(environment: Environment, listing: SourceListing) -> None:
    model = environment.models[0]
    small = model.model_copy(update={"storage": model.storage.model_copy(update={"size": "70Gi"})})
    with pytest.raises(PreconditionError):
        render_claim(environment, small, listing)


def test_somebody_elses_claim_is_not_declared(environment: Environment, listing: SourceListing) -> None:
    assert render_claim(environment, environment.models[1], listing) is None


def test_entries_come_in_the_files_order_and_only_where_the_weights_have_a_place(
    environment: Environment,
) -> None:
    places = {"plain": ("their-claim", "plain/1"), "Example/Model_13b": ("c", "s")}
    assert [entry["model_id"] for entry in render_entries(environment, places)] == [
        "Example/Model_13b",
        "plain",
    ]
    assert render_entries(environment, {}) == []


def test_an_entry_has_ibms_keys_and_keeps_types(environment: Environment) -> None:
    spec = cast("dict[str, Any]", render_registration(environment, {"Example/Model_13b": ("c", "s")})["spec"])
    (entry,) = spec["custom_foundation_models"]
    assert entry["location"] == {"pvc_name": "c", "sub_path": "s"}
    assert entry["functions"] == ["embedding"]
    parameters = {item["name"]: item for item in entry["parameters"]}
    assert parameters["max_new_tokens"] == {"name": "max_new_tokens", "default": 2048, "min": 20, "max": 4096}
    assert parameters["temperature"]["default"] == 1e-05
    assert parameters["chat_template"]["default"] == "{{ x }}\n{% raw %}: 'a' # \"b\""


def test_texts_of_an_order_are_kept_to_the_byte() -> None:
    text = '{"a": "ü\\n"}\n\n  indented: [\n'
    found = render(
        OrderContext(name="n", namespace="ns", labels={}, texts={"order.json": text}, archive="eA==")
    )
    assert cast("dict[str, Any]", found["data"])["order.json"] == text


def test_folders_are_found_in_a_checkout(tmp_path: Path) -> None:
    assert (share_dir("playbooks") / "sync_weights.yml").is_file()
    assert (share_dir("collections") / "ansible_collections/weighbridge/byom/roles/weights").is_dir()
    with pytest.raises(DefectError):
        share_dir(str(tmp_path / "absent"))


def test_our_entries_pass_the_schema_of_the_resource(environment: Environment) -> None:
    """A resource with our entries and the one key that the schema requires (`license`) is accepted."""
    crd = yaml.safe_load((CRD / "watsonxaiifm.yaml").read_text())
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    rendered = cast("dict[str, Any]", render_registration(environment, {"plain": ("c", "s")}))
    rendered["spec"]["license"] = {"accept": True}
    jsonschema.validate(rendered, schema)
