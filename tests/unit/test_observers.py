"""Events as people see them."""

import io

from rich.console import Console

from weighbridge.domain.events import FileVerified
from weighbridge.observers import Bars


def test_a_file_name_that_looks_like_markup_is_shown_as_it_is() -> None:
    stream = io.StringIO()
    bars = Bars(Console(file=stream, width=120), verbose=True)

    bars(FileVerified("one", "odd[/b]/config[1].json", 10, "a" * 64))
    bars.close()

    assert "odd[/b]/config[1].json" in stream.getvalue()
