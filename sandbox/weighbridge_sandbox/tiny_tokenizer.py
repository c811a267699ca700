"""A byte-level BPE tokenizer of 300 tokens, the same bytes every time: nothing about it is trained."""

import json
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

UNK, BOS, EOS = 0, 1, 2
SPECIAL = ("<unk>", "<s>", "</s>")
SIZE = 300

# 300 less three special tokens and the 256 bytes; Ġ is a space, in byte-level BPE's spelling.
MERGES = """
t h|i n|e r|a n|o n|r e|e s|th e|in g|o r|Ġ the|Ġ a|a t|e n|i t|Ġ t|o u|a l|Ġ o|an d|Ġ and|Ġ w|i s|l e|Ġ in|Ġ s|i on|
a r|Ġ b|Ġ c|Ġ f|e d|Ġ m|Ġ p|Ġ i|Ġ d|o m|Ġ h|u n|l l|u r
"""

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ bos_token + message['role'] + '\\n' + message['content'] + eos_token + '\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ bos_token + 'assistant\\n' }}{% endif %}"
)


def build() -> Tokenizer:
    """The tokenizer: ids 0 to 2 are <unk>, <s>, </s>, then the bytes, then the merges."""
    merges: list[tuple[str, str]] = []
    for pair in MERGES.replace("\n", "").split("|"):
        left, right = pair.split(" ")
        merges.append((left, right))
    tokens = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet()), *("".join(pair) for pair in merges)]
    tokenizer = Tokenizer(
        models.BPE(
            vocab={token: number for number, token in enumerate(tokens)},
            merges=merges,
            unk_token=SPECIAL[UNK],
        )
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(SPECIAL))
    return tokenizer


def write(folder: Path) -> None:
    """Write tokenizer.json, tokenizer_config.json and special_tokens_map.json."""
    (folder / "tokenizer.json").write_text(build().to_str(pretty=True) + "\n", encoding="utf-8")
    special = dict(zip(("unk_token", "bos_token", "eos_token"), SPECIAL, strict=True))
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2) + "\n", encoding="utf-8")
    config = {
        **special,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": 4096,
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
