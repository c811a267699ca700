"""The safetensors files of a model together: complete, in agreement with their index, and not twice.

Names of shards and indexes are those that transformers writes (``save_pretrained``:
``model-00001-of-00003.safetensors``, ``model.safetensors.index.json``). Without an index, a server reads every
safetensors file of the top directory.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from weighbridge.domain import human
from weighbridge.domain.model.flaws import Flaw, warning
from weighbridge.domain.model.kinds import is_sidecar, is_weights
from weighbridge.domain.model.looked_at import LookedAt
from weighbridge.domain.names import named, patterns, printable
from weighbridge.mover.safetensors_header import Header
from weighbridge.mover.shard_index import SUFFIX as INDEX_SUFFIX

_SHARD: Final = re.compile(r"(?P<stem>.+)-(?P<number>[0-9]{5})-of-(?P<count>[0-9]{5})\.safetensors")
_ADAPTER: Final = re.compile(r"adapter_model(-[0-9]{5}-of-[0-9]{5})?\.safetensors")
"""Names that PEFT gives to the weights of an adapter."""
_CONSOLIDATED: Final = re.compile(r"consolidated([-.].*)?\.safetensors")
"""Names in Mistral's own format, published beside the Hugging Face one."""
_FORMATS: Final = frozenset({"pt"})
_AGAIN: Final = "Finish the upload of the model, or correct `exclude:`"


def is_index(path: str) -> bool:
    return path.endswith(INDEX_SUFFIX) and not is_sidecar(path)


def judge_shards(seen: LookedAt) -> Iterator[Flaw]:
    for path in seen.no_indexes:
        yield Flaw(
            "source-bad-index",
            f"{path} is called a shard index and is none: no JSON object with a `weight_map` of file names",
            "Upload the model again, or leave the file behind with `exclude:`",
        )
    for path, weight_map in seen.indexes.items():
        yield from _index(path, weight_map, seen)
    top = [path for path in seen.sizes if is_weights(path) and "/" not in path]
    base = [path for path in top if not _ADAPTER.fullmatch(path)]
    indexed = {shard for path, found in seen.indexes.items() if "/" not in path for shard in found.values()}
    yield from _adapter(seen, top, base)
    yield from _no_tensors(seen, base)
    if not indexed:
        yield from _without_index(seen, base)
    else:
        yield from _beside_the_index(seen, base, indexed)
    yield from _formats(seen.headers)


def _index(path: str, weight_map: Mapping[str, str], seen: LookedAt) -> Iterator[Flaw]:
    """Yield flaws of an index. The mover refuses the same; here they are found before any byte moves."""
    absent = sorted({shard for shard in weight_map.values() if shard not in seen.sizes})
    if absent:
        yield Flaw(
            "source-missing-shards", f"{path} names shards that are not there: {named(absent)}", _AGAIN
        )
    wrong = [
        (name, shard)
        for name, shard in weight_map.items()
        if shard in seen.headers and name not in seen.headers[shard].tensors
    ]
    if wrong:
        name, shard = wrong[0]
        lies = next((other for other, header in seen.headers.items() if name in header.tensors), None)
        more = f" ({len(wrong)} tensors in all)" if len(wrong) > 1 else ""
        where = f"it lies in {lies}" if lies else "no file holds it"
        yield Flaw(
            "source-index-contradicts",
            f"{path} places tensor {printable(name)} in {printable(shard)}, which does not hold it: {where}{more}",
            "Upload index and shards of one and the same model again",
        )


def _adapter(seen: LookedAt, top: Sequence[str], base: Sequence[str]) -> Iterator[Flaw]:
    adapters = [path for path in top if path not in base]
    declared = "adapter_config.json" in seen.sizes
    pretending = bool(base) and all(_only_lora(seen.headers.get(path)) for path in base)
    if pretending or ((adapters or declared) and not base):
        yield Flaw(
            "source-adapter",
            f"{named(adapters or base or ['adapter_config.json'])}: an adapter (LoRA, say), which is no model without the weights that it adapts",
            "Merge it into its base model (PEFT: merge_and_unload) and upload the whole",
        )
    elif adapters or declared:
        found = [*adapters, *(["adapter_config.json"] if declared else [])]
        yield warning(
            "source-adapter",
            f"{named(found)}: an adapter lies beside the model's own weights, and is not part of what is registered",
            f"Leave it behind with `exclude: {patterns(['adapter_*'])}`, or merge it",
        )


def _only_lora(header: Header | None) -> bool:
    """Return whether every tensor is an adapter's, by PEFT's names."""
    return header is not None and bool(header.tensors) and all(".lora_" in name for name in header.tensors)


def _no_tensors(seen: LookedAt, base: Sequence[str]) -> Iterator[Flaw]:
    if (
        base
        and all(path in seen.headers for path in base)
        and not any(seen.headers[path].tensors for path in base)
    ):
        yield Flaw(
            "source-no-tensors",
            f"{named(base)}: sound safetensors files that hold no tensor",
            "Upload the model's weights",
        )


def _groups(paths: Sequence[str]) -> dict[tuple[str, int], dict[int, str]]:
    """Return shards by (stem, count), then by number."""
    groups: dict[tuple[str, int], dict[int, str]] = defaultdict(dict)
    for path in paths:
        if found := _SHARD.fullmatch(path):
            groups[found["stem"], int(found["count"])][int(found["number"])] = path
    return groups


def _without_index(seen: LookedAt, base: Sequence[str]) -> Iterator[Flaw]:
    groups = _groups(base)
    for (stem, count), shards in groups.items():
        missing = [
            f"{stem}-{number:05d}-of-{count:05d}.safetensors"
            for number in range(1, min(count, 1000) + 1)
            if number not in shards
        ]
        if missing:
            yield Flaw(
                "source-missing-shards",
                f"of the {count} shards that their own names speak of, {named(missing)} {'are' if len(missing) > 1 else 'is'} not there",
                _AGAIN,
            )
    stems = {stem for stem, _ in groups}
    if len(groups) > len(stems):
        yield Flaw(
            "source-two-sets",
            f"{named(sorted(path for shards in groups.values() for path in shards.values()))}: shards of two uploads, and no index"
            " that says which are meant",
            "Remove those of the earlier one, or leave them behind with `exclude:`",
        )
    elif groups:
        yield warning(
            "source-no-index",
            f"{named(sorted(next(iter(groups.values())).values()))}: shards without {next(iter(stems))}{INDEX_SUFFIX}",
            "Upload the index too: servers on transformers do not start without it",
        )
    yield from _twice(seen, [path for path in base if path in seen.headers])


def _twice(seen: LookedAt, paths: Sequence[str]) -> Iterator[Flaw]:
    """Yield a flaw for tensors in two files. Without an index all files are read, so a tensor may be in only one."""
    holder: dict[str, str] = {}
    doubled: dict[str, str] = {}
    for path in paths:
        for tensor in seen.headers[path].tensors:
            if tensor in holder:
                doubled.setdefault(path, tensor)
            holder.setdefault(tensor, path)
    also = [
        path for path in paths if _CONSOLIDATED.fullmatch(path) and path not in doubled and len(paths) > 1
    ]
    if doubled or also:
        found = [*doubled, *also]
        yield _surplus(seen, found, "hold what other files of the top directory hold as well")


def _beside_the_index(seen: LookedAt, base: Sequence[str], indexed: set[str]) -> Iterator[Flaw]:
    surplus = [path for path in base if path not in indexed]
    if surplus:
        yield _surplus(
            seen, surplus, "are named by no index, so the weights are there twice or from an earlier upload"
        )


def _surplus(seen: LookedAt, paths: Sequence[str], how: str) -> Flaw:
    size = human.size(sum(seen.sizes[path] for path in paths))
    return warning(
        "source-weights-twice",
        f"{named(paths)} {how}: {size} that are moved and kept all the same",
        f"Leave them behind with `exclude: {patterns(paths)}`, unless the server is to read just these",
    )


def _formats(headers: Mapping[str, Header]) -> Iterator[Flaw]:
    """Yield flaws of ``format`` in headers' metadata. It says which framework wrote the file; transformers reads
    ``pt`` and no format as PyTorch's.
    """
    foreign: dict[str, list[str]] = defaultdict(list)
    for path, header in headers.items():
        if (written := header.metadata.get("format", "pt")) not in _FORMATS:
            foreign[written].append(path)
    for written, paths in foreign.items():
        yield warning(
            "source-other-framework",
            f"{named(paths)}: written for another framework (format: {printable(written[:40])}), not for PyTorch (pt)",
            "Convert the model, unless you know that the server reads it: layouts and quantization may differ",
        )
