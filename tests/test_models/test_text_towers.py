"""Prompts of every kind of text tower against open_clip's own encoding; tokenizers are made here."""

import json
import re

import open_clip
import pytest
import torch
from open_clip.model import _build_text_tower

from clamp.models.clip import clip_config
from clamp.models.text_towers import (
    FullLengthTextEncoder,
    HuggingFaceTextEncoder,
    PackedTextEncoder,
    build_text_encoder,
    check_prompts,
    text_encoder_kind,
)
from clamp.models.text_towers.tokens import load_tokenizer, special_tokens, tokenize
from tests.tiny_models import NAMES, TEXT_CFG, random_clip, tiny_clip
from tests.tiny_texts import save_model, save_tokenizer

SOT, EOT = 49406, 49407


def text_clip(**text_cfg) -> dict:
    return tiny_clip() | dict(text_cfg=TEXT_CFG | text_cfg)


def reference_tower(encoder) -> torch.nn.Module:
    """open_clip's own tower with the same weights."""
    config = clip_config(encoder.clip)
    text_cfg = config['text_cfg'] | dict(hf_model_pretrained=False)
    tower = _build_text_tower(config['embed_dim'], text_cfg, config['quick_gelu']).eval()
    tower.load_state_dict(encoder.tower.state_dict())
    return tower


def assert_is_open_clips(encoder, names=NAMES) -> None:
    """With the embeddings of real words as context, a prompt is a sentence that open_clip can encode itself."""
    words = load_tokenizer(encoder.text_cfg)(['a photo of'])[0, encoder.start : encoder.start + 3]
    length = encoder.text_cfg.get('context_length', 77)
    sentences = load_tokenizer(encoder.text_cfg)([f'a photo of {name}' for name in names])[:, :length]
    expected = reference_tower(encoder)(sentences)
    torch.testing.assert_close(encoder(encoder.token_embedding(words)), expected, atol=1e-4, rtol=1e-4)


def test_tokens_by_hand():
    rows, start, pad = tokenize({}, ['left eye', 'nose'], 2)
    left, eye, nose = 1823, 3272, 8231
    vocabulary = open_clip.tokenizer.SimpleTokenizer().encoder
    assert [vocabulary[word + '</w>'] for word in ('left', 'eye', 'nose')] == [left, eye, nose]
    assert rows == [[SOT, 0, 0, left, eye, EOT], [SOT, 0, 0, nose, EOT]]
    assert (start, pad) == (1, 0)


def test_packed_prompts_by_hand():
    """[SOT] and two of context, then 'left eye' and 'nose' with their [EOT]: each sees the first three and itself."""
    tokens, positions, mask, ends = PackedTextEncoder.layout({}, ['left eye', 'nose'], 2).values()
    assert tokens.tolist() == [SOT, 0, 0, 1823, 3272, EOT, 8231, EOT]
    assert positions.tolist() == [0, 1, 2, 3, 4, 5, 3, 4]
    assert ends.tolist() == [5, 7]
    seen = [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4, 5], [0, 1, 2, 6], [0, 1, 2, 6, 7]]
    assert [(row == 0).nonzero()[:, 0].tolist() for row in mask] == seen
    assert mask[~(mask == 0)].unique().tolist() == [float('-inf')]


def test_name_too_long_is_named():
    with pytest.raises(ValueError, match="'nose nose nose nose' makes a prompt of 9 tokens"):
        tokenize(dict(context_length=8), ['left eye', 'nose nose nose nose'], 3)
    with pytest.raises(ValueError, match="''"):
        check_prompts(tiny_clip(), [''], 3)


@pytest.mark.parametrize('quick_gelu', [False, True])
def test_clips_own_encoder_is_packed_and_open_clips(quick_gelu):
    clip = tiny_clip(quick_gelu=quick_gelu)
    encoder = build_text_encoder(clip, NAMES, num_context_tokens=3)
    assert type(encoder) is PackedTextEncoder
    state_dict = open_clip.model.convert_to_custom_text_state_dict(random_clip(clip).state_dict())
    state_dict = {key.removeprefix('text.'): value for key, value in state_dict.items() if key.startswith('text.')}
    encoder.tower.load_state_dict(state_dict)
    assert encoder.tokens.shape == (4 + 3 + 2 + 4,)  # [SOT] 3 context, and the names with their [EOT], not 3 x 20
    assert_is_open_clips(encoder)


@pytest.mark.parametrize(
    'text_cfg',
    [
        dict(no_causal_mask=True),  # MobileCLIP2
        dict(no_causal_mask=True, pool_type='last', proj_bias=True, style='siglip'),  # SigLIP
        dict(no_causal_mask=True, pool_type='last', proj_type='none', style='siglip', width=24, heads=2),
        dict(no_causal_mask=True, pool_type='last', style='bert', tokenizer_kwargs=dict(strip_sep_token=True)),  # CLIPA
        dict(pool_type='last', style='siglip'),
        dict(pool_type='eos', eos_id=2, style='xlmr'),  # MetaCLIP 2
        dict(pool_type='eos', eos_id=1, style='t5'),
    ],
)
def test_every_transformer_of_open_clip(text_cfg, tmp_path):
    text_cfg = dict(text_cfg)
    if style := text_cfg.pop('style', None):
        pytest.importorskip('transformers')
        text_cfg |= dict(hf_tokenizer_name=save_tokenizer(tmp_path, style), vocab_size=32)
    encoder = build_text_encoder(text_clip(**text_cfg), NAMES, num_context_tokens=3)
    packed = text_cfg.get('pool_type') == 'eos'
    assert type(encoder) is (PackedTextEncoder if packed else FullLengthTextEncoder)
    assert_is_open_clips(encoder)


@pytest.mark.parametrize(
    ('style', 'config', 'options'),
    [
        ('bert', dict(), dict(hf_pooler_type='mean_pooler', hf_proj_type='linear')),
        ('bert', dict(), dict(hf_pooler_type='cls_pooler', hf_proj_type='mlp')),
        ('xlmr', dict(model_type='xlm-roberta', pad_token_id=0),
         dict(hf_pooler_type='mean_pooler', hf_proj_type='mlp')),
        ('t5', dict(model_type='mt5', d_model=32, d_kv=16, d_ff=64, num_layers=2, num_heads=2, pad_token_id=0),
         dict(hf_pooler_type='mean_pooler', hf_proj_type='mlp')),
        ('xlmr', dict(model_type='m2m_100', d_model=32, encoder_layers=2, encoder_attention_heads=2, encoder_ffn_dim=64,
                      decoder_layers=1, decoder_attention_heads=2, decoder_ffn_dim=64, pad_token_id=0),
         dict(hf_pooler_type='cls_pooler', hf_proj_type='linear')),
    ],
)  # fmt: skip
def test_text_models_of_hugging_face(style, config, options, tmp_path):
    pytest.importorskip('transformers')
    folder = save_model(tmp_path, style, **config)
    encoder = build_text_encoder(text_clip(hf_model_name=folder, **options), NAMES, num_context_tokens=3)
    assert type(encoder) is HuggingFaceTextEncoder
    assert encoder.width == 32
    assert encoder.tokens.shape[1] < 12  # masked attention: no padding up to the context length
    assert_is_open_clips(encoder)
    context = torch.randn(3, 32, requires_grad=True)
    encoder(context).sum().backward()
    assert context.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in encoder.parameters())


@pytest.mark.parametrize(('style', 'expected'), [('bert', (1, [2], 0)), ('t5', (0, [1], 0)), ('siglip', (0, [0], 0))])
def test_special_tokens_by_hand(style, expected, tmp_path):
    pytest.importorskip('transformers')
    assert special_tokens(dict(hf_tokenizer_name=save_tokenizer(tmp_path, style))) == expected


def test_which_encoder_for_which_model():
    kinds = {
        'ViT-B-16': PackedTextEncoder, 'ViT-H-14-worldwide': PackedTextEncoder, 'PE-Core-B-16': PackedTextEncoder,
        'MobileCLIP2-S0': FullLengthTextEncoder, 'ViT-B-16-SigLIP2': FullLengthTextEncoder,
        'ViT-L-14-CLIPA': FullLengthTextEncoder, 'roberta-ViT-B-32': HuggingFaceTextEncoder,
    }  # fmt: skip
    assert {name: text_encoder_kind(dict(model_name=name)) for name in kinds} == kinds
    with pytest.raises(ValueError, match='coca_ViT-B-32 is of no kind known here'):
        text_encoder_kind(dict(model_name='coca_ViT-B-32'))


def test_a_tokenizer_that_is_not_here_is_named_before_anything_is_built():
    pytest.importorskip('transformers')
    with pytest.raises(
        FileNotFoundError, match=r'timm/ViT-B-16-SigLIP2 is neither a folder here .*\n?.*hf download timm'
    ):
        check_prompts(dict(model_name='ViT-B-16-SigLIP2'), NAMES, 8)
    with pytest.raises(FileNotFoundError, match='roberta-base is neither'):
        build_text_encoder(dict(model_name='roberta-ViT-B-32'), NAMES, 8)


def test_a_tokenizer_of_ones_own_beside_a_name(tmp_path):
    pytest.importorskip('transformers')
    folder = save_tokenizer(tmp_path, 'siglip')
    check_prompts(dict(model_name='ViT-B-16-SigLIP2', text_cfg=dict(hf_tokenizer_name=folder)), NAMES, 8)


def test_a_folder_that_is_no_model(tmp_path):
    pytest.importorskip('transformers')
    (tmp_path / 'config.json').write_text(json.dumps({}))
    with pytest.raises(
        FileNotFoundError, match=re.escape(f'no tokenizer.json or tokenizer_config.json in the folder {tmp_path}')
    ):
        check_prompts(text_clip(hf_model_name=str(tmp_path)), NAMES, 3)


@pytest.mark.parametrize('model_type', ['distilbert', 'gpt2'])
def test_a_text_model_of_another_type_is_refused(model_type, tmp_path):
    transformers = pytest.importorskip('transformers')
    folder = save_tokenizer(tmp_path, 'bert')
    transformers.AutoConfig.for_model(model_type).save_pretrained(folder)
    message = rf"is a text model of type '{model_type}'.*inputs_embeds.*: bert, m2m_100, mt5, roberta, xlm-roberta\."
    with pytest.raises(ValueError, match=message):
        check_prompts(text_clip(hf_model_name=folder), NAMES, 3)


def test_without_transformers(monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'transformers', None)
    with pytest.raises(ValueError, match=r'needs the package transformers: pip install .*\[hf\]'):
        check_prompts(text_clip(hf_model_name='some/model'), NAMES, 3)
