import open_clip
import pytest
import torch

from clamp.models.prompt_learner import CLIPTextEncoder, PromptLearner, tokenize
from tests.conftest import NAMES, random_clip, tiny_clip

SOT, EOT = 49406, 49407


def learner(**kwargs) -> PromptLearner:
    config = dict(text_encoder=tiny_clip(), cross_attention=dict(width=16, num_layers=1, num_heads=2)) | kwargs
    return PromptLearner(NAMES, **config)


def test_tokens_by_hand():
    tokens, eot = tokenize(['left eye', 'nose'], 2, 77)
    left, eye, nose = 1823, 3272, 8231
    vocabulary = open_clip.tokenizer.SimpleTokenizer().encoder
    assert [vocabulary[word + '</w>'] for word in ('left', 'eye', 'nose')] == [left, eye, nose]
    assert tokens.tolist() == [[SOT, 0, 0, left, eye, EOT], [SOT, 0, 0, nose, EOT, 0]]
    assert eot.tolist() == [5, 4]


def test_name_too_long_is_named():
    with pytest.raises(ValueError, match="'nose nose nose nose' makes a prompt of 9 tokens"):
        tokenize(['left eye', 'nose nose nose nose'], 3, 8)
    with pytest.raises(ValueError, match="''"):
        tokenize([''], 3, 8)


@pytest.mark.parametrize('quick_gelu', [False, True])
def test_truncated_encoder_is_open_clips_text_encoder(quick_gelu):
    """With the embeddings of real words as context, the prompt is a sentence that open_clip can encode itself."""
    clip = tiny_clip(quick_gelu=quick_gelu)
    encoder = CLIPTextEncoder(clip, NAMES, num_context_tokens=3)
    reference = random_clip(clip)
    state_dict = open_clip.model.convert_to_custom_text_state_dict(reference.state_dict())
    state_dict = {key.removeprefix('text.'): value for key, value in state_dict.items() if key.startswith('text.')}
    encoder.tower.load_state_dict(state_dict)
    assert encoder.tokens.shape == (3, 8)  # [SOT] 3 context, 3 of 'right back paw' [EOT], not 20

    words = open_clip.tokenizer.SimpleTokenizer(context_length=20)
    context = reference.token_embedding(words(['a photo of'])[0, 1:4])
    expected = reference.encode_text(words([f'a photo of {name}' for name in NAMES]))
    torch.testing.assert_close(encoder(context), expected, atol=1e-4, rtol=1e-4)


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
        prompts.text_encoder.tokens[0, 9] = 1000  # another word in the first name
        changed = (prompts.encode_prompts() - output).abs().amax(1) > 1e-6
        assert changed.tolist() == [True, mixes, mixes]


def test_prompts_are_kept_in_evaluation_and_renewed_with_the_weights():
    prompts = learner().eval()
    with torch.no_grad():
        first = prompts.encode_prompts()
        assert prompts.encode_prompts() is first
        prompts.context.add_(1)  # as an optimiser does
        second = prompts.encode_prompts()
        assert not torch.allclose(first, second)
        prompts.load_state_dict({key: value * 1.1 for key, value in prompts.state_dict().items()})
        third = prompts.encode_prompts()
        assert not torch.allclose(second, third)
        prompts.context.data.mul_(2)  # as weight averaging does, past autograd's eyes, before it sets the mode
        assert not torch.allclose(third, prompts.eval().encode_prompts())
    assert prompts.encode_prompts().requires_grad  # with gradients on, nothing is taken from the cache
    assert prompts.train().encode_prompts().requires_grad


def test_prompts_are_renewed_when_the_precision_changes():
    prompts = learner().eval()
    with torch.no_grad():
        single = prompts.encode_prompts()
        with torch.autocast('cpu', torch.bfloat16):
            assert prompts.encode_prompts() is not single
        torch.testing.assert_close(prompts.encode_prompts(), single)


def test_text_encoders_with_another_tokenizer_are_refused():
    with pytest.raises(ValueError, match=r'ViT-B-16-SigLIP does not read .* tokenizer'):
        learner(text_encoder=dict(model_name='ViT-B-16-SigLIP'))


def test_trainable_matrix_in_place_of_the_text_encoder():
    prompts = learner(text_encoder=None, embed_dim=24)
    assert prompts.context.shape == (3, 24)
    prompts(torch.randn(2, 24), torch.randn(2, 24, 4, 4)).sum().backward()
    assert prompts.context.grad is not None
    with pytest.raises(ValueError, match='embed_dim'):
        learner(text_encoder=None)


def test_no_cross_attention():
    prompts = learner(cross_attention=None).eval()
    embeds = prompts(torch.randn(2, 24), torch.randn(2, 24, 4, 4))
    torch.testing.assert_close(embeds[0], embeds[1])
