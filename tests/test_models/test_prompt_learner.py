import open_clip
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmpose.registry import MODELS

from clamp.models.prompt_learner import ImageCrossAttention, PromptEncoder, PromptLearner
from tests.repository import ROOT
from tests.tiny_models import NAMES, tiny_clip


def learner(**kwargs) -> PromptLearner:
    config = dict(text_encoder=tiny_clip(), cross_attention=dict(width=16, num_layers=1, num_heads=2)) | kwargs
    return PromptLearner(NAMES, **config)


def test_text_encoder_is_frozen_and_stays_in_evaluation_mode():
    prompts = learner().train()
    assert not any(parameter.requires_grad for parameter in prompts.text_encoder.parameters())
    assert not prompts.text_encoder.tower.training
    assert prompts.prompt_encoder.training


def test_shapes_and_gamma():
    prompts = learner(cross_attention=dict(width=16, num_layers=1, num_heads=2, init_gamma=0.0)).eval()
    embeds = prompts(torch.randn(2, 24), torch.randn(2, 24, 4, 4))
    assert embeds.shape == (2, 3, 24)
    # with gamma = 0 the image makes no difference
    torch.testing.assert_close(embeds, prompts.encode_prompts().expand(2, -1, -1))


def test_each_image_gets_its_own_prompts():
    prompts = learner(cross_attention=dict(width=16, num_layers=1, num_heads=2, init_gamma=1.0)).eval()
    global_embed, image_embeds = torch.randn(2, 24), torch.randn(2, 24, 4, 4)
    both = prompts(global_embed, image_embeds)
    torch.testing.assert_close(both[1:], prompts(global_embed[1:], image_embeds[1:]), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(both[0], both[1], atol=1e-3)


def test_prompt_encoder_lets_keypoints_see_each_other():
    with_encoder, without = learner(), learner(prompt_encoder=None)
    for prompts, mixes in ((with_encoder, True), (without, False)):
        prompts.context.grad = None
        output = prompts.encode_prompts()
        names = prompts.text_encoder.tokens
        prompts.text_encoder.tokens = names.clone()
        prompts.text_encoder.tokens[9] = 1000  # another word in the first name
        changed = (prompts.encode_prompts() - output).abs().amax(1) > 1e-6
        assert changed.tolist() == [True, mixes, mixes]


@torch.no_grad()
def test_names_and_new_texts_are_kept_beside_each_other():
    prompts = learner().eval()
    names, texts = prompts.encode_prompts(), prompts.encode_prompts(('hoof',))
    assert prompts.encode_prompts() is names
    assert prompts.encode_prompts(('hoof',)) is texts
    assert prompts.encode_prompts(('horn',)) is not texts


def test_prompts_are_kept_in_evaluation_and_renewed_with_the_weights():
    prompts = learner().eval()
    with torch.no_grad():
        first = prompts.encode_prompts()
        assert prompts.encode_prompts() is first
        prompts.context.mul_(2)  # in place, as an optimiser does; a constant added is lost in the layer norms
        second = prompts.encode_prompts()
        assert not torch.allclose(first, second)
        prompts.load_state_dict({key: value * 1.1 for key, value in prompts.state_dict().items()})
        third = prompts.encode_prompts()
        assert not torch.allclose(second, third)
        prompts.context.data.mul_(2)  # as weight averaging does, past autograd's eyes, before it sets the mode
        assert not torch.allclose(third, prompts.eval().encode_prompts())
    assert prompts.encode_prompts().requires_grad  # with gradients on, nothing is taken from the cache
    assert prompts.train().encode_prompts().requires_grad


def test_prompts_are_float32_under_autocast_too():
    prompts = learner().eval()
    with torch.no_grad():
        single = prompts.encode_prompts()
        with torch.autocast('cpu', torch.bfloat16):
            assert prompts.encode_prompts() is single
    with torch.autocast('cpu', torch.bfloat16):
        torch.testing.assert_close(prompts.train().encode_prompts(), single, atol=1e-5, rtol=1e-5)


def test_trainable_matrix_in_place_of_the_text_encoder():
    prompts = learner(text_encoder=None, embed_dim=24)
    assert prompts.context.shape == (3, 24)
    prompts(torch.randn(2, 24), torch.randn(2, 24, 4, 4)).sum().backward()
    assert prompts.context.grad is not None
    with pytest.raises(ValueError, match='embed_dim'):
        learner(text_encoder=None)


@pytest.mark.parametrize(
    ('name', 'parts'),
    [('trainable-matrix', {'context'}), ('trainable-matrix_refined', {'context', 'prompt_encoder', 'cross_attention'})],
)
def test_the_matrix_of_table_8_is_the_prompts(name, parts):
    path = ROOT / f'configs/ap10k/clamp_vitb_{name}.py'
    prompts = MODELS.build(Config.fromfile(path).model.head.prompt_learner).eval()
    assert {parameter.split('.')[0] for parameter, _ in prompts.named_parameters()} == parts
    assert prompts.context.shape == (17, 512)
    embeds = prompts(torch.randn(2, 512), torch.randn(2, 512, 2, 2))
    assert torch.equal(embeds, prompts.context.expand(2, -1, -1)) == (parts == {'context'})


def test_no_cross_attention():
    prompts = learner(cross_attention=None).eval()
    embeds = prompts(torch.randn(2, 24), torch.randn(2, 24, 4, 4))
    torch.testing.assert_close(embeds[0], embeds[1])


@pytest.mark.parametrize('training', [False, True])
def test_a_trained_name_asked_for_as_a_text_is_the_trained_prompt(training):
    prompts = learner(cross_attention=dict(width=16, num_layers=2, num_heads=2, dropout=0.0, init_gamma=1.0))
    prompts.train(training)
    embeds = torch.randn(2, 24), torch.randn(2, 24, 4, 4)
    trained = prompts(*embeds)
    assert torch.equal(prompts(*embeds, ['nose', 'left eye', 'nose']), trained[:, [1, 0, 1]])
    # and so it is beside texts that are not known: these do not change what is
    mixed = prompts(*embeds, ['hoof', 'nose', 'left ear tip', 'left eye'])
    torch.testing.assert_close(mixed[:, [1, 3]], trained[:, [1, 0]], atol=1e-5, rtol=1e-4)
    assert not torch.allclose(mixed[:, 0], mixed[:, 2], atol=1e-3)


def test_the_answer_to_a_text_does_not_depend_on_the_others():
    prompts = learner(cross_attention=dict(width=16, num_layers=2, num_heads=2, init_gamma=1.0)).eval()
    embeds = torch.randn(2, 24), torch.randn(2, 24, 4, 4)
    alone = prompts(*embeds, ['hoof'])
    assert alone.shape == (2, 1, 24)
    torch.testing.assert_close(prompts(*embeds, ['left ear tip', 'hoof'])[:, 1:], alone, atol=1e-5, rtol=1e-4)


def test_a_text_is_encoded_as_a_name_would_be():
    """Without attention between prompts, a model that has the text among its names says the same."""
    parts = dict(prompt_encoder=None, cross_attention=None)
    prompts = learner(**parts)
    other = PromptLearner([*NAMES[:2], 'hoof of a long name'], text_encoder=tiny_clip(), **parts)
    other.load_state_dict(prompts.state_dict())
    embeds = torch.randn(1, 24), torch.randn(1, 24, 4, 4)
    expected = other(*embeds)[:, 2:]
    torch.testing.assert_close(prompts(*embeds, ['hoof of a long name']), expected, atol=1e-5, rtol=1e-4)


def test_a_matrix_knows_its_own_names_alone():
    prompts = learner(text_encoder=None, embed_dim=24).eval()
    embeds = torch.randn(1, 24), torch.randn(1, 24, 4, 4)
    assert torch.equal(prompts(*embeds, ['nose']), prompts(*embeds)[:, 1:2])
    with pytest.raises(ValueError, match=r"without a text encoder .* not 'hoof'"):
        prompts(*embeds, ['nose', 'hoof'])


def test_without_context_tokens_prompts_are_the_encoded_names():
    learner = PromptLearner(NAMES, tiny_clip(), num_context_tokens=0, prompt_encoder=None, cross_attention=None)
    assert learner.context.shape == (0, 32)
    tokens = open_clip.tokenizer.SimpleTokenizer(context_length=20)(NAMES)
    learner.text_encoder.tower.eval()
    torch.testing.assert_close(learner.encode_prompts(), learner.text_encoder.tower(tokens), atol=1e-5, rtol=1e-4)


def test_prompts_see_the_image_and_each_of_its_positions():
    prompts = learner(cross_attention=dict(width=16, num_layers=1, num_heads=2, init_gamma=1.0)).eval()
    embeds = [torch.randn(1, 24).requires_grad_(), torch.randn(1, 24, 2, 3).requires_grad_()]
    grads = torch.autograd.grad((prompts(*embeds) * torch.randn(3, 24)).sum(), embeds)
    assert all((grad.abs().amax(1) > 1e-6).all() for grad in grads)


def norm(weights: dict, name: str, x: torch.Tensor) -> torch.Tensor:
    return F.layer_norm(x, x.shape[-1:], weights[f'{name}.weight'], weights[f'{name}.bias'])


def linear(weights: dict, name: str, x: torch.Tensor) -> torch.Tensor:
    return F.linear(x, weights[f'{name}.weight'], weights[f'{name}.bias'])


def attend(weights: dict, name: str, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    """Four heads of four channels."""
    parts = zip(weights[f'{name}.in_proj_weight'].chunk(3), weights[f'{name}.in_proj_bias'].chunk(3))
    q, k, v = (F.linear(x, *part).unflatten(2, (4, 4)) for x, part in zip((queries, keys, keys), parts))
    shares = (torch.einsum('bqhc,bkhc->bhqk', q, k) / 4**0.5).softmax(-1)
    return linear(weights, f'{name}.out_proj', torch.einsum('bhqk,bkhc->bqhc', shares, v).flatten(2))


def test_cross_attention_is_the_released_decoder():
    """Norms first, GELU, queries from the text, keys and values from the image; written out."""
    ours = ImageCrossAttention(24, width=16, num_layers=2, num_heads=4, init_gamma=0.5).eval()
    weights, prompts, memory = ours.state_dict(), torch.randn(2, 3, 24), torch.randn(2, 5, 24)
    text = linear(weights, 'text_proj.1', norm(weights, 'text_proj.0', prompts))
    image = linear(weights, 'memory_proj.1', norm(weights, 'memory_proj.0', memory))
    image = norm(weights, 'memory_proj.2', image)
    for layer in ('layers.0', 'layers.1'):
        own = norm(weights, f'{layer}.norm1', text)
        text = text + attend(weights, f'{layer}.self_attn', own, own)
        text = text + attend(weights, f'{layer}.multihead_attn', norm(weights, f'{layer}.norm2', text), image)
        hidden = F.gelu(linear(weights, f'{layer}.linear1', norm(weights, f'{layer}.norm3', text)))
        text = text + linear(weights, f'{layer}.linear2', hidden)
    expected = prompts + 0.5 * linear(weights, 'out_proj.1', norm(weights, 'out_proj.0', text))
    torch.testing.assert_close(ours(prompts, memory), expected, atol=1e-5, rtol=1e-4)
    matrices = torch.cat([parameter.flatten() for parameter in ours.parameters() if parameter.ndim == 2])
    assert matrices.std().item() == pytest.approx(0.02, rel=0.05)


def test_prompt_encoder_is_clips_block_and_a_norm():
    """Eight heads of three channels, and CLIP's quick GELU."""
    ours, prompts = PromptEncoder(24, num_heads=8).eval(), torch.randn(3, 24)
    block = ours.transformer.resblocks[0]
    parts = zip(block.attn.in_proj_weight.chunk(3), block.attn.in_proj_bias.chunk(3))
    q, k, v = (F.linear(block.ln_1(prompts), *part).unflatten(1, (8, 3)).transpose(0, 1) for part in parts)
    attended = ((q @ k.mT / 3**0.5).softmax(-1) @ v).transpose(0, 1).flatten(1)
    expected = prompts + F.linear(attended, block.attn.out_proj.weight, block.attn.out_proj.bias)
    hidden = block.mlp.c_fc(block.ln_2(expected))
    expected = expected + block.mlp.c_proj(hidden * torch.sigmoid(1.702 * hidden))
    torch.testing.assert_close(ours(prompts), F.layer_norm(expected, (24,)), atol=1e-5, rtol=1e-4)


def test_context_and_gamma_start_as_released():
    prompts = learner(text_encoder=None, embed_dim=1024)
    assert prompts.context.std().item() == pytest.approx(0.88, rel=0.02)  # of a normal distribution cut off at 2
    assert prompts.cross_attention.gamma.unique().tolist() == [pytest.approx(1e-3)]
    assert PromptEncoder(24).transformer.resblocks[0].attn.num_heads == 8  # which is in no checkpoint
