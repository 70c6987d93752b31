"""The heads that are asked by name, from the kernel of a prompt to keypoints in an image."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmpose.models.utils.tta import flip_heatmaps
from mmpose.registry import MODELS

from clamp.keypoint_names import mirrored, spell_as
from tests.tiny_models import NAMES, D, K, features, msra_codec, packed_samples, samples, tiny_clip, tiny_head

HUNDRED = [f'{side} spot number {i}' for i in range(50) for side in ('left', 'right')]
LISTS = [
    pytest.param(['left hock'], id='one'),
    pytest.param(HUNDRED, id='hundred', marks=pytest.mark.slow),
    pytest.param(['nose', 'hoof', 'nose'], id='twice'),
    pytest.param(['tail tip', *NAMES[::-1]], id='others first'),
]


def head(**kwargs) -> torch.nn.Module:
    return MODELS.build(tiny_head(type='OpenVocabularyHead', **kwargs)).eval()


def estimator(kind: str = 'vit', **kwargs) -> torch.nn.Module:
    codec = msra_codec(kind)
    model = dict(
        type='OpenVocabularyEstimator',
        backbone=dict(type='CLIPBackbone', clip=tiny_clip(kind), input_size=codec['input_size']),
        head=tiny_head(kind, **dict(type='OpenVocabularyHead', decoder=codec) | kwargs),
        test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=True, output_heatmaps=True),
    )
    return MODELS.build(model).eval()


def predict(model: torch.nn.Module, kind: str, images: torch.Tensor) -> list:
    with torch.no_grad():
        return model.predict(images, packed_samples(kind, len(images)))


def test_heatmaps_by_hand():
    """A name trained on has a 1x1 convolution of its own, another one a mean of theirs, image by image."""
    model, feats = head(temperature=0.5), features()
    with torch.no_grad():
        model.score_map_weight.fill_(0.7)
        model.bias.fill_(-0.2)
        heatmaps = model(feats, ['nose', 'hoof'])
        score_map, prompts = model.compute_score_map(feats, ['nose', 'hoof'])
        known = model.compute_score_map(feats, NAMES)[1]
        maps = model.deconv_layers(feats[-1])
        for b in range(2):
            mean = known[b].mean(0)
            alike = [F.cosine_similarity(prompts[b, 1] - mean, each - mean, dim=0) for each in known[b]]
            shares = torch.stack([torch.exp(2 * cosine) for cosine in alike])
            hoof = sum(share / shares.sum() * own for share, own in zip(shares, model.kernels))
            expected = 0.7 * F.interpolate(score_map[b : b + 1], scale_factor=2, mode='bilinear')[0] - 0.2
            for p, kernel in enumerate((model.kernels[NAMES.index('nose')], hoof)):
                expected[p] += (kernel[:, None, None] * maps[b]).sum(0)
            torch.testing.assert_close(heatmaps[b], expected, atol=1e-6, rtol=1e-4)
    assert heatmaps.shape == (2, 2, 8, 8)
    assert model.deconv_layers[0].in_channels == 32  # no channel for the K score maps


@pytest.mark.parametrize('names', LISTS)
def test_the_answer_to_a_name_does_not_depend_on_the_list(names):
    model, feats = head(), features()
    with torch.no_grad():
        heatmaps = model(feats, names)
        assert heatmaps.shape == (2, len(names), 8, 8)
        for index in {0, len(names) // 2, len(names) - 1}:
            torch.testing.assert_close(heatmaps[:, index], model(feats, [names[index]])[:, 0], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(model(feats), model(feats, NAMES))


def test_losses_of_the_names_of_a_step():
    """The answers to the K names do not change with a name beside them: it only enters the mean, here with weight 0."""
    model, feats, batch = head(feature_loss=None), features(), samples()
    plain = model.loss(feats, batch)
    for sample in batch:
        sample.gt_fields = PixelData(heatmaps=torch.cat([sample.gt_fields.heatmaps, torch.rand(1, 8, 8)]))
        sample.gt_instance_labels.keypoint_weights = torch.tensor([[1.0, 1.0, 0.0, 0.0]])
        sample.set_metainfo(dict(keypoint_names=[*NAMES, 'between the nose and the left eye']))
    runs = []
    model.prompt_learner.text_encoder.register_forward_hook(lambda *args: runs.append(args[-1].shape))
    longer = model.loss(feats, batch)
    assert runs == [(4, D)]  # the text encoder's, for all names and all images
    assert list(plain) == ['loss_kpt', 'loss_spatial']
    for name, loss in plain.items():
        torch.testing.assert_close(longer[name], loss * 3 / 4)


def test_what_is_not_there_takes_no_part_in_the_feature_loss():
    model, feats, batch = head(), features(), samples()
    before = model.loss(feats, batch)
    for sample in batch:  # the last keypoint is unlabelled in these
        sample.gt_fields.heatmaps[2] = 0
        sample.gt_instance_labels.keypoint_weights[:] = 1
    after = model.loss(feats, batch)
    torch.testing.assert_close(after['loss_feature'], before['loss_feature'])
    assert after['loss_kpt'] != before['loss_kpt']


def test_every_part_gets_a_gradient():
    model = head().train()
    feats = tuple(feat.requires_grad_() for feat in features())
    sum(model.loss(feats, samples()).values()).backward()
    parts = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in parts)


@pytest.mark.parametrize('head_type', ['OpenVocabularyHead', 'AskedCLAMPHead'])
@pytest.mark.parametrize('names', LISTS)
def test_flip_test_asks_the_mirror_image_for_the_mirrored_names(head_type, names):
    model, images = estimator(type=head_type), torch.randn(2, 3, 32, 32)
    model.head.set_keypoint_names(names)
    found = predict(model, 'vit', images)
    assert [pose.pred_instances.keypoints.shape for pose in found] == [(1, len(names), 2)] * 2
    assert [pose.pred_instances.keypoint_scores.shape for pose in found] == [(1, len(names))] * 2
    with torch.no_grad():
        straight = model.head(model.extract_feat(images), names)
        mirror = model.head(model.extract_feat(images.flip(-1)), [mirrored(name) for name in names])
    expected = (straight + flip_heatmaps(mirror, flip_mode='heatmap', shift_heatmap=True)) / 2
    for pose, heatmaps in zip(found, expected):
        torch.testing.assert_close(pose.pred_fields.heatmaps, heatmaps, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize('told', [False, True])
def test_sides_that_words_do_not_tell(told):
    """Of the config's names, the data set's flip pairs, [1, 0, 2], tell; of others, what the head is told."""
    names, mirrors = ['Auge links', 'Auge rechts', 'Schwanz'], ['Auge rechts', 'Auge links', 'Schwanz']
    images = torch.randn(2, 3, 32, 32)
    model = estimator(type='OpenVocabularyHead', test_names=None if told else names)
    if told:
        names, mirrors = names[::-1], mirrors[::-1]  # in another order than the data set's pairs
        model.head.set_keypoint_names(names, mirrors)
    found = predict(model, 'vit', images)
    with torch.no_grad():
        straight = model.head(model.extract_feat(images), names)
        mirror = model.head(model.extract_feat(images.flip(-1)), mirrors)
    expected = (straight + flip_heatmaps(mirror, flip_mode='heatmap', shift_heatmap=True)) / 2
    for pose, heatmaps in zip(found, expected):
        torch.testing.assert_close(pose.pred_fields.heatmaps, heatmaps, atol=1e-5, rtol=1e-4)


def test_flip_test_is_mmposes_where_the_pairs_are_complete(kind):
    names = ['left eye', 'right eye', 'nose']
    learner = tiny_head(kind)['prompt_learner'] | dict(keypoint_names=names)
    model, images = estimator(kind, prompt_learner=learner), torch.randn(2, 3, *msra_codec(kind)['input_size'])
    found, theirs = predict(model, kind, images), packed_samples(kind, 2)  # flip_indices [1, 0, 2]
    with torch.no_grad():
        theirs = MODELS.get('TopdownHeatmapEstimator').predict(model, images, theirs)
    for pose, their in zip(found, theirs):
        torch.testing.assert_close(pose.pred_fields.heatmaps, their.pred_fields.heatmaps, atol=1e-6, rtol=1e-4)


def test_clamp_as_it_is_answers_other_names_with_its_score_map():
    model, feats = MODELS.build(tiny_head(type='AskedCLAMPHead')).eval(), features()
    with torch.no_grad():
        own = super(type(model), model).forward(feats)
        torch.testing.assert_close(model(feats), own)
        heatmaps = model(feats, ['hoof', *NAMES[::-1]])
        torch.testing.assert_close(heatmaps[:, 1:], own.flip(1))
        score_map = model.compute_score_map(feats, ['hoof'])[0]
    torch.testing.assert_close(heatmaps[:, :1], F.interpolate(score_map, scale_factor=2, mode='bilinear'))


def test_test_names_are_asked_for_from_the_start():
    names = ['left hock', 'nose']
    assert head(test_names=names)(features()).shape == (2, 2, 8, 8)
    assert head(test_names=names).prompt_learner.keypoint_names == NAMES


def test_names_trained_on_are_known_in_any_case():
    model = head(test_names=['Hoof', 'LEFT EYE'])
    assert model.asked_names == ['Hoof', 'left eye']
    model.set_keypoint_names(['Nose', ' right  back paw ', 'NOSES'])
    assert model.asked_names == ['nose', 'right back paw', 'NOSES']


def test_one_hot_names_answer_their_own_alone():
    learner = dict(type='PromptLearner', keypoint_names=NAMES, text_encoder=None, embed_dim=D)
    model = head(prompt_learner=learner)
    assert model(features(), NAMES[:1]).shape == (2, 1, 8, 8)
    with pytest.raises(ValueError, match="knows its own keypoint names alone, not 'hoof'"):
        model.set_keypoint_names(['nose', 'hoof'])


@pytest.mark.parametrize(
    ('names', 'message'),
    [
        ([], 'at least one name'),
        ('nose', 'a list of at least one name'),
        (['nose', ''], "'' is no name of a keypoint"),
        (['nose', 3], '3 is no name of a keypoint'),
        (['hoof ' * 30], 'takes between|tokens'),
    ],
)
def test_wrong_lists_of_names_are_refused_and_change_nothing(names, message):
    model = head()
    with pytest.raises(ValueError, match=message):
        model.set_keypoint_names(names)
    assert model(features()).shape == (2, K, 8, 8)


def test_deconvolutions_of_the_score_map_are_refused():
    with pytest.raises(ValueError, match="upsample='deconv', but it can be 'bilinear' alone"):
        head(upsample='deconv')


def test_mirrored_names():
    assert mirrored('left front paw') == 'right front paw'
    assert mirrored('tip of the Right ear') == 'tip of the Left ear'
    assert mirrored('between the left eye and the right ear') == 'between the right eye and the left ear'
    assert mirrored('nose') == 'nose'
    assert (mirrored('left_eye'), mirrored('paw_Right')) == ('right_eye', 'paw_Left')
    assert [mirrored(name) for name in ('L_F_Paw', 'eyeR', 'lefteye', 'r hip')] == [
        'R_F_Paw',
        'eyeL',
        'righteye',
        'l hip',
    ]
    assert [mirrored(name) for name in ('Rear', 'all', 'collar')] == ['Rear', 'all', 'collar']


def test_names_trained_on_are_known_however_they_are_spelt():
    assert spell_as(['left eye', 'nose'], ['Left_Eye', 'NOSE', 'left  eye', 'hoof']) == [
        'left eye',
        'nose',
        'left eye',
        'hoof',
    ]
    assert spell_as(['left_eye', 'Nose Tip'], ['left eye', 'Left_Eye', 'left_eye', 'nose tip']) == [
        'left_eye',
        'left_eye',
        'left_eye',
        'Nose Tip',
    ]


def test_a_new_name_teaches_the_kernels_and_the_prompts():
    free = head()
    embeds, wanted = torch.randn(1, 4, D, requires_grad=True), torch.randn(8)
    value = (free.compute_kernels(embeds)[0, 3] * wanted).sum()
    by_kernel, by_prompt = torch.autograd.grad(value, [free.kernels, embeds])
    prompts = embeds.detach()[0]
    mean = prompts[:3].mean(0)
    shares = (F.cosine_similarity(prompts[:3] - mean, prompts[3] - mean, dim=-1) / 0.25).softmax(0)
    torch.testing.assert_close(by_kernel, shares[:, None] * wanted)
    assert (by_prompt.abs().amax(-1) > 0).all()
