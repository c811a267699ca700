"""Rules on single texts of an environment file, attached to the types of ``environment/types.py`` as annotations.

A rule looks at one text and nothing else, and returns complaints, each with what to write instead. A complaint quotes
the text only through ``secret_shapes.shown``.
"""

import fnmatch
import re

from weighbridge.environment import kubernetes_syntax as kubernetes
from weighbridge.environment.secret_shapes import shown
from weighbridge.environment.text_rule import Complaint

MODEL_ID_PATTERN = r"^[a-zA-Z0-9][a-zA-Z0-9/_.-]*[a-zA-Z0-9]$"
MODEL_ID_LIMIT = 128
ENVIRONMENT_NAME_LIMIT = 30
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


def label(text: str) -> tuple[Complaint, ...]:
    """DNS-1123 label: namespaces and the environment's own name."""
    if kubernetes.is_label(text):
        return ()
    return (
        _name_complaint(
            text, "lower-case letters, digits and hyphens, at most 63", kubernetes.suggest_label(text)
        ),
    )


def environment_name(text: str) -> tuple[Complaint, ...]:
    """DNS-1123 label of at most 30 characters: it becomes part of the names of claims, Jobs and ConfigMaps."""
    if not kubernetes.is_label(text):
        rule = f"lower-case letters, digits and hyphens, at most {ENVIRONMENT_NAME_LIMIT}"
        return (_name_complaint(text, rule, kubernetes.suggest_label(text, ENVIRONMENT_NAME_LIMIT)),)
    if len(text) > ENVIRONMENT_NAME_LIMIT:
        what = f"{shown(text)} has {len(text)} characters; an environment's name has at most {ENVIRONMENT_NAME_LIMIT}"
        return (
            Complaint(
                what,
                f'write a shorter name, e.g. "{kubernetes.suggest_label(text, ENVIRONMENT_NAME_LIMIT)}"',
                "bad-name",
            ),
        )
    return ()


def subdomain(text: str) -> tuple[Complaint, ...]:
    """DNS-1123 subdomain: claims, Secrets, service accounts, storage classes, custom resources."""
    if kubernetes.is_subdomain(text):
        return ()
    rule = "lower-case letters, digits, hyphens and dots, starting and ending with a letter or digit"
    return (_name_complaint(text, rule, kubernetes.suggest_subdomain(text)),)


def context_name(text: str) -> tuple[Complaint, ...]:
    """Kubeconfig puts no limits on a context's name (``oc login`` puts a user's full name into it); around it a space is a slip."""
    if text != text.strip() or not text.isprintable():
        return (
            Complaint(
                f"{shown(text)} begins or ends with a space, or holds a control character",
                "write the context's name as `kubectl config get-contexts` prints it",
                "bad-name",
            ),
        )
    return ()


def label_value(text: str) -> tuple[Complaint, ...]:
    if kubernetes.is_label_value(text):
        return ()
    what = f"{shown(text)} is not a Kubernetes label value"
    return (
        Complaint(
            what,
            "write at most 63 letters, digits, hyphens, underscores and dots, with a letter or digit at both ends",
            "bad-label",
        ),
    )


def label_key(text: str) -> tuple[Complaint, ...]:
    if kubernetes.is_label_key(text):
        return ()
    what = f"{shown(text)} is not a Kubernetes label key"
    return (
        Complaint(
            what,
            "write [prefix/]name, e.g. example.com/team; prefix a DNS name, name at most 63 characters",
            "bad-label",
        ),
    )


def volume_size(text: str) -> tuple[Complaint, ...]:
    """``auto``, or a quantity of bytes of at least 1 Mi."""
    return () if text == "auto" else _bytes(text, 2**20, "300Gi", "write auto, or a quantity such as 300Gi")


def memory(text: str) -> tuple[Complaint, ...]:
    """A quantity of bytes; under 128Mi the mover may be killed for want of memory."""
    complaints = _bytes(text, 2**20, "512Mi", "write a quantity such as 512Mi")
    value = kubernetes.quantity(text)
    if not complaints and value is not None and value < _MEMORY_FLOOR:
        return (
            Complaint(
                f"{shown(text)} of memory is less than the mover is built for",
                "write 128Mi or more",
                "small-value",
                warning=True,
            ),
        )
    return complaints


def cpu(text: str) -> tuple[Complaint, ...]:
    """Cores: ``2``, ``0.5``, ``500m``."""
    value = kubernetes.quantity(text)
    if value is None:
        return (
            Complaint(
                f"{shown(text)} is not a quantity of CPU",
                'write cores or thousandths of a core: "2", "0.5" or "500m"',
                "bad-quantity",
            ),
        )
    if not 0 < value <= 1024:  # noqa: PLR2004  (no node has more cores; bytes written by mistake have)
        return (
            Complaint(
                f"{shown(text)} is not a sensible number of CPU cores",
                'write e.g. "1" or "500m"',
                "bad-quantity",
            ),
        )
    return ()


def image(text: str) -> tuple[Complaint, ...]:
    """An image reference (distribution's grammar: ``host/path:tag@sha256:…``); a digest is asked for, except from
    hosts that end in ``.local``, whose images are loaded onto nodes and never pulled.
    """
    match = re.match(_IMAGE_PATTERN, text)
    if match is None or len(text) > 512:  # noqa: PLR2004
        what = f"{shown(text)} is not an image reference"
        near = text.strip().removeprefix("docker://").removeprefix("https://").removeprefix("http://")
        near = near if re.match(_IMAGE_PATTERN, near) else "registry.example.com/ubi9/python-311@sha256:…"
        return (
            Complaint(
                what,
                f"write host/path@sha256:<64 hex digits>, lower case, without a scheme: {near[:200]}",
                "bad-image",
            ),
        )
    host = match["host"] or ""
    if match["digest"] or host.split(":")[0].endswith(".local"):
        return ()
    what = f"{shown(text)} names no digest: what it means can change between two runs"
    return (
        Complaint(
            what,
            f"pin it: {match['host'] + '/' if host else ''}{match['path']}@sha256:<digest>",
            "unpinned-image",
            warning=True,
        ),
    )


def version(text: str) -> tuple[Complaint, ...]:
    if re.fullmatch(r"[0-9]{1,2}\.[0-9]{1,2}(\.[0-9]{1,3})?", text):
        return ()
    return (
        Complaint(
            f"{shown(text)} is not a version of watsonx.ai software",
            'write it as IBM names it, in quotes: "5.2" or "5.2.1"',
            "bad-version",
        ),
    )


def model_id(text: str) -> tuple[Complaint, ...]:
    """IBM's pattern (of its own registration UI, watsonxai-shell), and safe as a folder's name on the volume."""
    near = "/".join(
        part.strip("._-")
        for part in re.split(r"/+", re.sub(r"[^a-zA-Z0-9/_.-]+", "-", text))
        if part.strip("._-")
    )
    near = near[:MODEL_ID_LIMIT].rstrip("._-/")
    offer = f"write {shown(near)}" if re.fullmatch(MODEL_ID_PATTERN, near) else "write e.g. example-13b"
    if not re.fullmatch(MODEL_ID_PATTERN, text):
        what = f"{shown(text)} is not a model id: letters, digits and / _ . - with a letter or digit at both ends, two characters or more"
        return (Complaint(what, offer, "bad-model-id"),)
    if any(part.startswith(".") or part in {"", ".", ".."} for part in text.split("/")):
        what = f"{shown(text)} would become a folder outside its own place on the volume (an empty, hidden or .. segment)"
        return (Complaint(what, offer, "bad-model-id"),)
    if len(text) > MODEL_ID_LIMIT:
        return (
            Complaint(
                f"{shown(text)} has {len(text)} characters; a model id has at most {MODEL_ID_LIMIT}",
                offer,
                "bad-model-id",
            ),
        )
    return ()


def glob(text: str) -> tuple[Complaint, ...]:
    """An fnmatch pattern on the path within the set; one that takes away what watsonx.ai needs is refused."""
    if text.startswith("/"):
        return (
            Complaint(
                f"{shown(text)} starts with a slash and can never match: paths within a set are relative",
                f"write {shown(text.lstrip('/'))}",
                "bad-pattern",
            ),
        )
    if len(text) > 256 or text.count("*") > 8:  # noqa: PLR2004  (fnmatch's time grows with the stars)
        return (
            Complaint(
                "the pattern is too long or has too many stars",
                "write several shorter patterns",
                "bad-pattern",
            ),
        )
    lost = [name for name in _REQUIRED_FILES if fnmatch.fnmatchcase(name, text)]
    if all(fnmatch.fnmatchcase(name, text) for name in _SHARDS):
        lost.append("*.safetensors")
    if lost:
        return (
            Complaint(
                f"{shown(text)} leaves behind {', '.join(lost)}, which a custom foundation model needs",
                "write a narrower pattern, e.g. onnx/*",
                "bad-pattern",
            ),
        )
    return ()


def path(text: str) -> tuple[Complaint, ...]:
    if "-----BEGIN" in text:
        return (
            Complaint(
                "the content of a PEM file stands here; the file's path is due",
                "write e.g. ca.pem, a file beside this one",
                "bad-path",
            ),
        )
    if not text.isprintable() or len(text) > 1024:  # noqa: PLR2004
        return (
            Complaint(
                "this is not a path of a file", "write e.g. ca.pem, a file beside this one", "bad-path"
            ),
        )
    return ()


def parameter_name(text: str) -> tuple[Complaint, ...]:
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]{0,99}", text):
        return ()
    return (
        Complaint(
            f"{shown(text)} is not a parameter's name", "write a name such as max_new_tokens", "bad-name"
        ),
    )


def _name_complaint(text: str, rule: str, near: str | None) -> Complaint:
    return Complaint(
        f"{shown(text)} is not a Kubernetes name ({rule})",
        f'write "{near}"' if near and near != text else "write e.g. example-name",
        "bad-name",
    )


def _bytes(text: str, floor: int, example: str, remedy: str) -> tuple[Complaint, ...]:
    value = kubernetes.quantity(text)
    if value is None:
        near = kubernetes.suggest_quantity(text)
        return (
            Complaint(
                f"{shown(text)} is not a Kubernetes quantity",
                f"write {near}" if near else remedy,
                "bad-quantity",
            ),
        )
    if text.endswith("m"):
        near = text[:-1] + "Mi"
        return (Complaint(f"{shown(text)} means thousandths of a byte", f"write {near}", "bad-quantity"),)
    if value < floor:
        remedy = f"name the unit: {text}Gi?" if text.isdecimal() and value > 0 else f"write e.g. {example}"
        return (Complaint(f"{shown(text)} is less than {floor // 2**20} MiB", remedy, "bad-quantity"),)
    if value >= 2**60:
        return (
            Complaint(
                f"{shown(text)} is more than any volume holds", f"write e.g. {example}", "bad-quantity"
            ),
        )
    return ()
