"""What the hub of Hugging Face has for open_clip's models, made up: the special tokens and the sizes are theirs."""

from types import SimpleNamespace

import open_clip
import pytest

from clamp.models.text_towers import tokens
from tests.tiny_texts import save_tokenizer

XLM_R = dict(model_type='xlm-roberta', vocab_size=250002, max_position_embeddings=514, pad_token_id=1)
NLLB = dict(
    model_type='m2m_100', vocab_size=256206, d_model=1024, encoder_attention_heads=16, decoder_attention_heads=16
)
TEXT_MODELS = {  # as their config.json on the hub
    'roberta-base': dict(model_type='roberta', vocab_size=50265, max_position_embeddings=514, pad_token_id=1),
    'xlm-roberta-base': XLM_R,
    'xlm-roberta-large': XLM_R
    | dict(hidden_size=1024, intermediate_size=4096, num_attention_heads=16, num_hidden_layers=24),
    'google/mt5-base': dict(model_type='mt5', vocab_size=250112, d_model=768, d_ff=2048, num_layers=12, num_heads=12),
    'google/mt5-xl': dict(model_type='mt5', vocab_size=250112, d_model=2048, d_ff=5120, num_layers=24, num_heads=32),
    'facebook/nllb-200-distilled-600M': NLLB
    | dict(encoder_layers=12, decoder_layers=12, encoder_ffn_dim=4096, decoder_ffn_dim=4096),
    'facebook/nllb-200-distilled-1.3B': NLLB
    | dict(encoder_layers=24, decoder_layers=24, encoder_ffn_dim=8192, decoder_ffn_dim=8192),
}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Have tokenizers that begin and end a text as theirs do, and text models of their sizes with random weights."""
    transformers = pytest.importorskip('transformers')

    def load_tokenizer(name, mode, options):
        if name is None:
            return load(name, mode, options)
        style = 'siglip' if 'SigLIP' in name else 'bert' if 'bert-base' in name else 't5' if 'mt5' in name else 'xlmr'
        return load(save_tokenizer(tmp_path / style, style), mode, options)

    load = tokens._load_tokenizer
    monkeypatch.setattr(tokens, '_load_tokenizer', load_tokenizer)
    monkeypatch.setattr('clamp.models.text_towers.hugging_face.find_text_files', lambda *args: None)
    configs = SimpleNamespace(from_pretrained=lambda name: transformers.AutoConfig.for_model(**TEXT_MODELS[name]))
    monkeypatch.setattr(open_clip.hf_model, 'AutoConfig', configs)
