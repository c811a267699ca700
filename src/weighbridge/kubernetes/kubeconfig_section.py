"""One entry of a kubeconfig: its values by type, and its mistakes by file, context and field, each with what to do."""

import base64
from dataclasses import dataclass
from pathlib import Path

from weighbridge import trust
from weighbridge.errors import PreconditionError
from weighbridge.kubernetes.kubeconfig_fields import FATES, Refused
from weighbridge.kubernetes.kubeconfig_files import Entry
from weighbridge.kubernetes.kubeconfig_rules import header_flaw, passes


@dataclass(frozen=True, slots=True)
class Section:
    """The values of one entry, and the errors about them."""

    file: Path
    context: str
    section: str
    values: Entry

    def __post_init__(self) -> None:
        for key, value in self.values.items():
            fate = FATES.get(f"{self.section}.{key}")
            if isinstance(fate, Refused) and value:
                raise self.refused(key, f"is not supported: {fate.why}", fate.remedy)

    @property
    def where(self) -> str:
        return f"{self.file}, context {self.context!r}"

    def refused(self, key: str, what: str, remedy: str | None = None) -> PreconditionError:
        return PreconditionError(
            f"{self.where}: {self.section}.{key} {what}",
            remedy=remedy or f"correct it; see: kubectl config view --minify --context={self.context!r}",
            code="cluster-config",
        )

    def text(self, key: str) -> str | None:
        value = self.values.get(key)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise self.refused(key, "is no text", "write it in quotes")
        if not passes(value):
            raise self.refused(key, "holds a character that cannot be passed on (NUL, half of a pair)")
        return value

    def sent(self, key: str) -> str | None:
        """Return a value for a header, without the white space around it. It is never shown."""
        value = (self.text(key) or "").strip()
        if flaw := header_flaw(value):
            raise self.refused(
                key, f"holds {flaw}, which no header carries", "write the value alone, in one line"
            )
        return value or None

    def flag(self, key: str) -> bool:
        value = self.values.get(key)
        if value is not None and not isinstance(value, bool):
            raise self.refused(key, "is neither true nor false")
        return bool(value)

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.values.get(key) or []
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.refused(key, "is no list of texts")
        if any(not passes(item) for item in value):
            raise self.refused(key, "holds a character that cannot be passed on (NUL, half of a pair)")
        return tuple(value)

    def read(self, key: str, remedy: str | None = None) -> bytes:
        """Return the content of the file that ``key`` names."""
        file = str(self.values[key])
        try:
            return Path(file).read_bytes()
        except (OSError, ValueError) as error:  # ValueError: the path holds a NUL
            why = getattr(error, "strerror", None) or "it is no path"
            raise self.refused(key, f"{file} cannot be read: {why}", remedy) from error

    def pem(self, key: str) -> str | None:
        """Return the PEM blocks of ``KEY-data``, else of the file that ``KEY`` names."""
        data, file = self.text(f"{key}-data"), self.text(key)
        if data is not None:
            key = f"{key}-data"
            try:
                content = base64.b64decode("".join(data.split()), validate=True)
            except ValueError as error:  # also for characters that are not ASCII
                raise self.refused(key, "is not PEM in base64") from error
        elif file is not None:
            content = self.read(key)
        else:
            return None
        if found := trust.pem_blocks(content):
            return found
        raise self.refused(key, "holds no certificate or key in PEM (-----BEGIN …)")
