"""What bytes are is told of any bytes."""

from hypothesis import example, given
from hypothesis import strategies as st

from weighbridge.domain.model.kinds import sniffed
from weighbridge.domain.model.looked_at import Peek


@given(
    content=st.binary(max_size=300)
    | st.text(alphabet="(c]lidISVTUX\n'\\\\abq01.", max_size=60).map(str.encode),
    whole=st.booleans(),
)
@example(content=b"S'\\q'\n.", whole=True)
def test_no_content_stops_the_look_at_it(content: bytes, whole: bool) -> None:
    assert sniffed(Peek(content, content[-64:], whole=whole)) is None or content


def test_the_words_of_a_vocabulary_are_no_pickle() -> None:
    for words in (b"cat\ndog\ntable\n", b"cos\nsin\ntan\n", b"item\nitems\n"):
        assert sniffed(Peek(words, whole=True)) is None
