"""``weighbridge size``: what the models of an environment need, from their sources."""

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from weighbridge.core.port import Port
from weighbridge.domain.digest import Json
from weighbridge.domain.human import count
from weighbridge.domain.model.settings import LENGTHS
from weighbridge.domain.sizing import needed_bytes
from weighbridge.environment.types import Model
from weighbridge.errors import InputError, PreconditionError
from weighbridge.mover.safetensors_header import Header
from weighbridge.opening import opened_source
from weighbridge.sizing.memory import (
    USUAL_GPU_GB,
    Hardware,
    adapter_gb,
    dividing,
    hardware,
    mig_partition_gb,
)
from weighbridge.sizing.parameters import Shape, cache_bytes, counted, reckoned, shape_of
from weighbridge.sizing.precision import Precision, precision_held, precision_of
from weighbridge.sources.interface import Shared
from weighbridge.sources.looking import Measured, measured
from weighbridge.workshop import Workshop

MOST_GPUS: Final = 64
"""Beyond this, no number of GPUs is looked for that divides the attention heads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line says; ``None``: as the model has it."""

    precision: Precision | None = None
    parameters: int | None = None
    adapters_mb: tuple[int, ...] = ()
    gpu_gb: int = USUAL_GPU_GB
    tokens: int | None = None
    """Of one sequence, for the key and value cache."""
    sequences: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sized:
    """One model and what it needs."""

    model_id: str
    parameters: int
    parameters_from: str
    precision: Precision
    precision_from: str
    hardware: Hardware
    gpu_gb: int
    files_bytes: int
    claim_bytes: int
    """For two sets, as ``apply`` makes it."""
    cache_bytes: int | None
    """Of keys and values; ``None`` if the shape of the model is not known."""
    cache_for: str
    mig_gb: int | None
    """The least MIG partition; ``None`` if the model needs a whole GPU or more."""
    warnings: tuple[str, ...] = ()

    @property
    def specification(self) -> Mapping[str, Json]:
        """The body of ``POST /v2/hardware_specifications`` (IBM, "Creating customized hardware specifications"). GB are written
        as Gi, which is 7 % more: never less than the formula asks for.
        """
        found = self.hardware
        return {
            "name": f"weighbridge-{self.model_id}",
            "description": f"{self.parameters} parameters, {self.precision}",
            "nodes": {
                "cpu": {"units": str(found.cpus)},
                "mem": {"size": f"{found.memory_gb}Gi"},
                "gpu": {"num_gpu": found.gpus},
            },
        }


Measures = Callable[[Model], Measured]


def _measures(shop: Workshop) -> Measures:
    shared = shop.closes.enter_context(closing(Shared()))

    def measure(model: Model) -> Measured:
        with opened_source(shop, model, shared) as place:
            return measured(place, model.exclude)

    return measure


MEASURES: Final[Port[Measures]] = Port("measures", _measures)


def selected(models: tuple[Model, ...], named: str | None) -> tuple[Model, ...]:
    """Return the model that is named, or all. Raise ``InputError`` if there is none of that name."""
    found = tuple(model for model in models if named in {None, model.id})
    if not found:
        raise InputError(
            f"the environment has no model {named}",
            remedy=f"models: {', '.join(model.id for model in models)}",
            code="unknown-model",
        )
    return found


def size(model: Model, seen: Measured, asked: Asked) -> Sized:
    """Return what a model needs. Raise ``PreconditionError`` if its precision or its parameters cannot be told."""
    stored = _stored(seen)
    precision, precision_from = (asked.precision, "as asked") if asked.precision is not None else stored
    if precision is None:
        raise PreconditionError(
            f"{model.id}: config.json does not say in how many bits the parameters are stored",
            remedy=f"say it: --precision {'|'.join(Precision)}",
            code="size-unknown-precision",
        )
    parameters, parameters_from = _parameters(model, seen, asked, stored[0] or precision)
    shape = shape_of(seen.config)
    adapters = [adapter_gb(megabytes) for megabytes in asked.adapters_mb]
    found = hardware(parameters, precision, adapters, gpu_gb=asked.gpu_gb)
    tokens = asked.tokens or _registered(model) or 0
    cache = cache_bytes(shape, tokens=tokens, sequences=asked.sequences) if shape and tokens else None
    partition = mig_partition_gb(parameters)
    return Sized(
        model_id=model.id,
        parameters=parameters,
        parameters_from=parameters_from,
        precision=precision,
        precision_from=precision_from,
        hardware=found,
        gpu_gb=asked.gpu_gb,
        files_bytes=seen.listing.total_bytes,
        claim_bytes=needed_bytes(seen.listing.total_bytes, 0),
        cache_bytes=cache,
        cache_for=f"{count(tokens, 'token')} of {count(asked.sequences, 'sequence')}",
        mig_gb=partition if found.gpus == 1 and partition < asked.gpu_gb else None,
        warnings=(*_about_heads(shape, found.gpus), *_about_files(seen), *_about_quantization(precision)),
    )


def _stored(seen: Measured) -> tuple[Precision | None, str]:
    """Return the precision of the files, and what says it."""
    if (found := precision_of(seen.config)) is not None or "quantization_config" in seen.config:
        return found, "config.json"
    tensors = (tensor for header in seen.headers.values() for tensor in header.tensors.values())
    return precision_held(tensors), "most tensors"


def _parameters(model: Model, seen: Measured, asked: Asked, stored: Precision) -> tuple[int, str]:
    if asked.parameters is not None:
        return asked.parameters, "as asked"
    if (headers := _served(seen)) and not seen.left_out:
        tensors = (row for header in headers for row in header.tensors.items())
        files = count(len(headers), "safetensors file")
        return max(1, counted(tensors, stored)), f"counted in the headers of {files}"
    if (shape := shape_of(seen.config)) is not None:
        return reckoned(shape), "reckoned from config.json"
    raise PreconditionError(
        f"{model.id}: not all headers could be read, and config.json is of a kind whose parameters are not known",
        remedy="say them: --parameters NUMBER",
        code="size-unknown-parameters",
    )


def _served(seen: Measured) -> tuple[Header, ...]:
    """Return the headers of the files that a server loads: ``model*.safetensors``, if there are any, because a repository may
    hold the same weights a second time under other names.
    """
    usual = [header for path, header in seen.headers.items() if path.startswith("model")]
    return tuple(usual or seen.headers.values())


def _registered(model: Model) -> int | None:
    """Return the longest sequence by default, if the registration says it."""
    for name in LENGTHS:
        value = model.parameters[name].default if name in model.parameters else None
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return None


def _about_heads(shape: Shape | None, gpus: int) -> tuple[str, ...]:
    if shape is None or shape.heads % gpus == 0:
        return ()
    better = dividing(gpus, shape.heads, MOST_GPUS)
    remedy = f"take {better}" if better is not None else "take larger GPUs"
    return (
        f"{count(gpus, 'GPU')} cannot share {shape.heads} attention heads evenly, as servers do: {remedy}",
    )


def _about_files(seen: Measured) -> tuple[str, ...]:
    adapters = any(".lora_" in name for header in seen.headers.values() for name in header.tensors)
    return ("its files hold LoRA tensors: the base model has to be added",) if adapters else ()


def _about_quantization(precision: Precision) -> tuple[str, ...]:
    return (
        ("IBM's predefined hardware specifications cannot serve quantized models",)
        if precision.quantized
        else ()
    )
