"""Open a model's source with the trust, proxy and keys of its environment."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from weighbridge.core.events import Note
from weighbridge.environment.types import Model
from weighbridge.sources.interface import Around, OpenSource, Shared
from weighbridge.workshop import Workshop


@contextmanager
def opened_source(shop: Workshop, model: Model, shared: Shared) -> Iterator[OpenSource]:
    """Open it, and close it afterwards. ``shared``: what several sources use together, such as a client."""
    source = model.source.chosen
    around = Around(
        folder=shop.folder,
        values=shop.secrets.of_source(source.secrets),
        ca_bundle=shop.ca_bundle,
        proxy=shop.environment.proxy,
        cache=shop.var / "cache",
        say=lambda text: shop.observer(Note(text)),
        shared=shared,
    )
    with closing(source.open(around)) as place:
        yield place
