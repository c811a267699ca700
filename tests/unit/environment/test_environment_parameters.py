"""Rules on parameters, on trees as a file gives them: each case a parameters mapping in YAML and what is said of it."""

import pytest

from weighbridge.environment.parameter_rules import KNOWN_VERSIONS, Version, check_parameters
from weighbridge.environment.yaml_tree import parse_yaml


def said(text: str, version: Version | None = (5, 2)) -> list[tuple[str, str]]:
    """Return (``error``/``warning`` and path, message) of each finding."""
    return [
        (
            f"{'warning' if finding.warning else 'error'} {'.'.join(str(part) for part in finding.path)}",
            finding.what,
        )
        for finding in check_parameters(parse_yaml(text), version)
    ]


@pytest.mark.parametrize("version", [*KNOWN_VERSIONS[:4], None])
def test_ibms_own_defaults_with_room_for_a_prompt_are_fine(version: Version | None) -> None:
    text = """
    dtype: {default: float16, options: [float16, bfloat16]}
    max_batch_size: {default: 256, min: 16, max: 512}
    max_concurrent_requests: {default: 1024, min: 512, max: 2048}
    max_sequence_length: {default: 4096, min: 4096, max: 8192}
    max_new_tokens: {default: 2048, min: 20, max: 4095}
    """
    assert said(text, version) == []


@pytest.mark.parametrize(
    ("text", "where", "fragment"),
    [
        ("{max_new_tokens: {default: 100, max: 50}}", "error max_new_tokens.default", "above max 50"),
        ("{foo_bar_baz: {default: 10, min: 20}}", "error foo_bar_baz.default", "below min 20"),
        ("{max_new_tokens: {default: 30, min: 40, max: 20}}", "error max_new_tokens.min", "above max 20"),
        ("{max_new_tokens: {default: 19}}", "error max_new_tokens.default", "lower bound of max_new_tokens, 20"),
        ("{max_batch_size: {default: 1, min: 0}, max_concurrent_requests: {default: 1}}", "error max_batch_size.min", "lower bound"),
        ("{max_new_tokens: {default: 256.0}}", "error max_new_tokens.default", "whole number"),
        ("{max_new_tokens: {default: true}}", "error max_new_tokens.default", "whole number"),
        ('{max_new_tokens: {default: "256"}}', "error max_new_tokens.default", "whole number"),
        ("{dtype: {default: float32}}", "error dtype.default", "float16 or bfloat16"),
        ("{dtype: {default: float16, options: [float16, float64]}}", "error dtype.options.1", "float16 or bfloat16"),
        ("{dtype: {default: float16, options: [bfloat16]}}", "error dtype.default", "not among the options"),
        ("{dtype: {default: float16, max: 3}}", "error dtype.max", "is for numbers"),
        ("{other_thing: {default: 1, options: [1, true]}}", "error other_thing.options.1", "true or false"),
        ('{other_thing: {default: 1, options: [1, "1"]}}', "error other_thing.options.1", "is text"),
        ("{other_thing: {default: 1, options: []}}", "error other_thing.options", "empty"),
        ("{other_thing: {default: 1, options: [1, 1]}}", "error other_thing.options.1", "stands twice"),
        ("{max_batch_sizes: {default: 1}}", "error max_batch_sizes", "not a parameter that IBM documents"),
        ("{max-batch-size: {default: 1}}", "error max-batch-size", "not a parameter that IBM documents"),
        ("{other_thing: {default: 1}}", "warning other_thing", "not among the parameters"),
        ("{enable_lora: {default: true}}", "warning enable_lora", "of a deployment"),
        (
            "{max_batch_size: {default: 256}, max_concurrent_requests: {default: 64}}",
            "error max_concurrent_requests.default",
            "less than default 256 of max_batch_size",
        ),
        (
            "{max_batch_size: {default: 2, max: 512}, max_concurrent_requests: {default: 64, max: 128}}",
            "error max_concurrent_requests.max",
            "less than max 512",
        ),
        (
            "{max_sequence_length: {default: 2048}, max_new_tokens: {default: 2048}}",
            "error max_sequence_length.default",
            "not greater than default 2048",
        ),
        (
            "{max_sequence_length: {default: 2048, max: 4096}, max_new_tokens: {default: 20, max: 4096}}",
            "warning max_sequence_length.max",
            "not greater",
        ),
        ("{max_batch_size: {default: 2048}}", "warning max_batch_size.default", "platform's default of 1024"),
        ("{max_new_tokens: {default: 4096}}", "warning max_new_tokens.default", "platform's default of 2048"),
    ],
)  # fmt: skip
def test_a_broken_rule_is_named_where_it_is_broken(text: str, where: str, fragment: str) -> None:
    doubts = {"warning other_thing", "warning foo_bar_baz"} - {where}
    found = [(place, what) for place, what in said(text) if place not in doubts]
    assert [place for place, _ in found] == [where]
    assert fragment in found[0][1]


@pytest.mark.parametrize(
    ("name", "version", "replacement"),
    [
        ("max_batch_size", (5, 3), "max_num_seqs"),
        ("max_batch_size", (5, 4), "max_num_seqs"),
        ("max_concurrent_requests", (5, 4), "max_num_seqs"),
        ("max_sequence_length", (5, 3), "max_model_length"),
        ("max_num_seqs", (4, 8), "max_batch_size"),
        ("max_model_length", (5, 2), "max_sequence_length"),
    ],
)
def test_a_parameter_of_another_version_names_its_replacement(
    name: str, version: Version, replacement: str
) -> None:
    (finding,) = check_parameters(parse_yaml(f"{{{name}: {{default: 1024}}}}"), version)
    assert finding.warning
    assert replacement in finding.remedy


@pytest.mark.parametrize(
    ("name", "version"), [("max_num_seqs", (5, 3)), ("max_batch_size", (5, 0)), ("max_model_length", (5, 4))]
)
def test_a_parameter_of_its_own_version_is_taken_in_silence(name: str, version: Version) -> None:
    assert said(f"{{{name}: {{default: 64}}}}", version) == []
