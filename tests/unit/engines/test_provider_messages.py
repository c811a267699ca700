import pytest

from weighbridge.engines.pulumi.provider_messages import decode, encode
from weighbridge.errors import (
    DefectError,
    InputError,
    Place,
    PreconditionError,
    StepFailedError,
    WeighbridgeError,
)


@pytest.mark.parametrize(
    "error",
    [
        PreconditionError(
            "x is registered\n  live    {}\n  wanted  {}", remedy="adopt it", code="entry-foreign"
        ),
        StepFailedError("it failed", code="operator-failed"),
        InputError("bad id", remedy="write a better one", code="import-id"),
        DefectError("broke down"),
    ],
)
def test_a_failure_comes_back_from_whatever_the_engine_makes_of_it(error: WeighbridgeError) -> None:
    shown = encode(error).replace("\n", "\n    ")
    first_line = encode(error).split("\n")[0]
    text = f"~ x update; error: Preview failed: {first_line}\n ~ x 1 error\nDiagnostics:\n  weighbridge:index:Registrations (x):\n    error: Preview failed: {shown}\n\nResources:\n  1 errored"
    back = decode(text)
    assert back is not None
    assert type(back) is type(error)
    assert (back.code, back.remedy) == (error.code, error.remedy)
    assert back.what.split() == error.what.split()


def test_a_place_is_kept_in_words() -> None:
    assert "models[0].id" in encode(InputError("wrong", place=Place(key="models[0].id")))


def test_somebody_elses_failure_is_not_ours() -> None:
    assert decode("error: update failed") is None
