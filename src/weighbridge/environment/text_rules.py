"""Rules on single texts of an environment file, attached to the types of ``environment/types.py`` as annotations.

A rule looks at one text and nothing else, and returns complaints, each with what to write instead. A complaint quotes
the text only through ``secret_shapes.shown``.
"""

import fnmatch
import re
from collections.abc import Callable

from weighbridge.environment import kubernetes_syntax as kubernetes
from weighbridge.environment.secret_shapes import shown
from weighbridge.environment.text_rule import Check, Complaint, complain

MODEL_ID_PATTERN = r"^[a-zA-Z0-9][a-zA-Z0-9/_.-]*[a-zA-Z0-9]$"
MODEL_ID_LIMIT = 128
ENVIRONMENT_NAME_LIMIT = 30
VERSION_PATTERN = r"^[0-9]{1,2}\.[0-9]{1,2}(\.[0-9]{1,3})?$"
_IMAGE_PATTERN = (
    r"^((?P<host>[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?)*(:[0-9]{1,5})?)/)?"
    r"(?P<path>[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*)"
    r"(:(?P<tag>[\w][\w.-]{0,127}))?(?P<digest>@sha256:[0-9a-f]{64})?$"
)
_MEMORY_FLOOR = 128 * 2**20
_REQUIRED_FILES = ("config.json", "tokenizer.json")
_SHARDS = ("model.safetensors", "model-00001-of-00002.safetensors")


def accept(_: str) -> tuple[Complaint, ...]:
    """Any text that is not empty."""
    return ()


def _form(fits: Callable[[str], object], noun: str, remedy: str, code: str) -> Check:
    """Return a rule that asks for a form and nothing else."""

    def check(text: str) -> tuple[Complaint, ...]:
        return () if fits(text) else complain(f"{shown(text)} is not {noun}", remedy, code)

    return check


label_value = _form(
    kubernetes.is_label_value,
    "a Kubernetes label value",
    "write at most 63 letters, digits, hyphens, underscores and dots, with a letter or digit at both ends",
    "bad-label",
)
label_key = _form(
    kubernetes.is_label_key,
    "a Kubernetes label key",
    "write [prefix/]name, e.g. example.com/team; prefix a DNS name, name at most 63 characters",
    "bad-label",
)
version = _form(
    re.compile(VERSION_PATTERN).fullmatch,
    "a version of watsonx.ai software",
    'write it as IBM names it, in quotes: "5.2" or "5.2.1"',
    "bad-version",
)
parameter_name = _form(
    re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,99}").fullmatch,
    "a parameter's name",
    "write a name such as max_new_tokens",
    "bad-name",
)


def label(text: str) -> tuple[Complaint, ...]:
    """DNS-1123 label: namespaces and the environment's own name."""
    rule = "lower-case letters, digits and hyphens, at most 63"
    return () if kubernetes.is_label(text) else _no_name(text, rule, kubernetes.suggest_label(text))


def environment_name(text: str) -> tuple[Complaint, ...]:
    """DNS-1123 label of at most 30 characters: it becomes part of the names of claims, Jobs and ConfigMaps."""
    near = kubernetes.suggest_label(text, ENVIRONMENT_NAME_LIMIT)
    if not kubernetes.is_label(text):
        rule = f"lower-case letters, digits and hyphens, at most {ENVIRONMENT_NAME_LIMIT}"
        return _no_name(text, rule, near)
    if len(text) > ENVIRONMENT_NAME_LIMIT:
        what = f"{shown(text)} has {len(text)} characters; an environment's name has at most {ENVIRONMENT_NAME_LIMIT}"
        return complain(what, f'write a shorter name, e.g. "{near}"', "bad-name")
    return ()


def subdomain(text: str) -> tuple[Complaint, ...]:
    """DNS-1123 subdomain: claims, Secrets, service accounts, storage classes, custom resources."""
    rule = "lower-case letters, digits, hyphens and dots, starting and ending with a letter or digit"
    return () if kubernetes.is_subdomain(text) else _no_name(text, rule, kubernetes.suggest_subdomain(text))


def context_name(text: str) -> tuple[Complaint, ...]:
    """Kubeconfig puts no limits on a context's name (``oc login`` puts a user's full name into it); around it a space is a slip."""
    if text != text.strip() or not text.isprintable():
        what = f"{shown(text)} begins or ends with a space, or holds a control character"
        return complain(
            what, "write the context's name as `kubectl config get-contexts` prints it", "bad-name"
        )
    return ()


def volume_size(text: str) -> tuple[Complaint, ...]:
    """``auto``, or a quantity of bytes of at least 1 Mi."""
    return () if text == "auto" else _bytes(text, "300Gi", "write auto, or a quantity such as 300Gi")


def memory(text: str) -> tuple[Complaint, ...]:
    """A quantity of bytes; under 128Mi the mover may be killed for want of memory."""
    complaints = _bytes(text, "512Mi", "write a quantity such as 512Mi")
    value = kubernetes.quantity(text)
    if not complaints and value is not None and value < _MEMORY_FLOOR:
        what = f"{shown(text)} of memory is less than the mover is built for"
        return complain(what, "write 128Mi or more", "small-value", warning=True)
    return complaints


def cpu(text: str) -> tuple[Complaint, ...]:
    """Cores: ``2``, ``0.5``, ``500m``."""
    value = kubernetes.quantity(text)
    if value is None:
        remedy = 'write cores or thousandths of a core: "2", "0.5" or "500m"'
        return complain(f"{shown(text)} is not a quantity of CPU", remedy, "bad-quantity")
    if not 0 < value <= 1024:  # noqa: PLR2004  (no node has more cores; bytes written by mistake have)
        what = f"{shown(text)} is not a sensible number of CPU cores"
        return complain(what, 'write e.g. "1" or "500m"', "bad-quantity")
    return ()


def image(text: str) -> tuple[Complaint, ...]:
    """An image reference (distribution's grammar: ``host/path:tag@sha256:…``); a digest is asked for, except from
    hosts that end in ``.local``, whose images are loaded onto nodes and never pulled.
    """
    match = re.match(_IMAGE_PATTERN, text)
    if match is None or len(text) > 512:  # noqa: PLR2004
        near = text.strip().removeprefix("docker://").removeprefix("https://").removeprefix("http://")
        near = near if re.match(_IMAGE_PATTERN, near) else "registry.example.com/ubi9/python-311@sha256:…"
        remedy = f"write host/path@sha256:<64 hex digits>, lower case, without a scheme: {near[:200]}"
        return complain(f"{shown(text)} is not an image reference", remedy, "bad-image")
    host = match["host"] or ""
    if match["digest"] or host.split(":")[0].endswith(".local"):
        return ()
    what = f"{shown(text)} names no digest: what it means can change between two runs"
    remedy = f"pin it: {host + '/' if host else ''}{match['path']}@sha256:<digest>"
    return complain(what, remedy, "unpinned-image", warning=True)


def model_id(text: str) -> tuple[Complaint, ...]:
    """IBM's pattern (of its own registration UI, watsonxai-shell), and safe as a folder's name on the volume."""
    parts = (part.strip("._-") for part in re.sub(r"[^a-zA-Z0-9/_.-]+", "-", text).split("/"))
    near = "/".join(part for part in parts if part)[:MODEL_ID_LIMIT].rstrip("._-/")
    offer = f"write {shown(near)}" if re.fullmatch(MODEL_ID_PATTERN, near) else "write e.g. example-13b"
    if not re.fullmatch(MODEL_ID_PATTERN, text):
        what = f"{shown(text)} is not a model id: letters, digits and / _ . - with a letter or digit at both ends, two characters or more"
        return complain(what, offer, "bad-model-id")
    if any(part.startswith(".") or part in {"", ".", ".."} for part in text.split("/")):
        what = f"{shown(text)} would become a folder outside its own place on the volume (an empty, hidden or .. segment)"
        return complain(what, offer, "bad-model-id")
    if len(text) > MODEL_ID_LIMIT:
        what = f"{shown(text)} has {len(text)} characters; a model id has at most {MODEL_ID_LIMIT}"
        return complain(what, offer, "bad-model-id")
    return ()


def glob(text: str) -> tuple[Complaint, ...]:
    """An fnmatch pattern on the path within the set; one that takes away what watsonx.ai needs is refused."""
    if text.startswith("/"):
        what = f"{shown(text)} starts with a slash and can never match: paths within a set are relative"
        return complain(what, f"write {shown(text.lstrip('/'))}", "bad-pattern")
    if len(text) > 256 or text.count("*") > 8:  # noqa: PLR2004  (fnmatch's time grows with the stars)
        what = "the pattern is too long or has too many stars"
        return complain(what, "write several shorter patterns", "bad-pattern")
    lost = [name for name in _REQUIRED_FILES if fnmatch.fnmatchcase(name, text)]
    if all(fnmatch.fnmatchcase(name, text) for name in _SHARDS):
        lost.append("*.safetensors")
    if lost:
        what = f"{shown(text)} leaves behind {', '.join(lost)}, which a custom foundation model needs"
        return complain(what, "write a narrower pattern, e.g. onnx/*", "bad-pattern")
    return ()


def path(text: str) -> tuple[Complaint, ...]:
    remedy = "write e.g. ca.pem, a file beside this one"
    if "-----BEGIN" in text:
        return complain("the content of a PEM file stands here; the file's path is due", remedy, "bad-path")
    if not text.isprintable() or len(text) > 1024:  # noqa: PLR2004
        return complain("this is not a path of a file", remedy, "bad-path")
    return ()


def _no_name(text: str, rule: str, near: str | None) -> tuple[Complaint, ...]:
    what = f"{shown(text)} is not a Kubernetes name ({rule})"
    remedy = f'write "{near}"' if near and near != text else "write e.g. example-name"
    return complain(what, remedy, "bad-name")


def _bytes(text: str, example: str, remedy: str) -> tuple[Complaint, ...]:
    value = kubernetes.quantity(text)
    if value is None:
        near = kubernetes.suggest_quantity(text)
        remedy = f"write {near}" if near else remedy
        return complain(f"{shown(text)} is not a Kubernetes quantity", remedy, "bad-quantity")
    if text.endswith("m"):
        return complain(f"{shown(text)} means thousandths of a byte", f"write {text[:-1]}Mi", "bad-quantity")
    if value < 2**20:
        remedy = f"name the unit: {text}Gi?" if text.isdecimal() and value > 0 else f"write e.g. {example}"
        return complain(f"{shown(text)} is less than 1 MiB", remedy, "bad-quantity")
    if value >= 2**60:
        what = f"{shown(text)} is more than any volume holds"
        return complain(what, f"write e.g. {example}", "bad-quantity")
    return ()
