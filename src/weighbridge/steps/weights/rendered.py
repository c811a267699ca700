"""What ``render`` writes for the weights: every object that the playbooks apply, and their variables."""

from pathlib import Path

from weighbridge.core.step import Rendered, World
from weighbridge.domain.facts import Facts
from weighbridge.domain.naming import slug
from weighbridge.domain.weights import LISTING
from weighbridge.manifests.resources import share_dir
from weighbridge.manifests.surroundings import SURROUNDINGS
from weighbridge.steps.weights.bundle import render_weights, weights_texts


def rendered_weights(world: World, facts: Facts, out: Path) -> Rendered:
    """Return one folder for each model, and the command that runs its playbook by hand."""
    files: dict[str, str] = {}
    usage: list[str] = []
    around = world.port(SURROUNDINGS)
    for model in world.environment.models:
        folder = f"weights/{slug(model.id)}"
        bundle = render_weights(world.environment, model, facts.known(LISTING, model.id), around)
        texts = weights_texts(out / folder, bundle)
        files |= {f"{folder}/{name}": text for name, text in texts.items()}
        playbook = share_dir("playbooks") / "sync_weights.yml"
        usage.append(f"ansible-playbook {playbook} -e @{out / folder / 'vars.yml'}")
    return Rendered(files=files, usage=tuple(usage))
