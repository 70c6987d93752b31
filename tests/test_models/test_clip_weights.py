"""Nothing is fetched; digests are those of files written here, and of open_clip's records."""

import hashlib

import pytest
import torch

from clamp.models import clip_weights as module
from clamp.models.clip_weights import find_weights, known_weights, read_weights

OPENAI = ('ViT-B-16-quickgelu', 'openai')


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch, tmp_path):
    """Caches of CLIP weights are empty."""
    monkeypatch.setenv('HOME', str(tmp_path / 'home'))
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_CACHE', str(tmp_path / 'hub'))


def hub_snapshot(tmp_path, blob: str):
    """OpenAI's ViT-B/16 in the hub's cache as the hub's client puts it there: a link to a file named ``blob``."""
    repository = tmp_path / 'hub/models--timm--vit_base_patch16_clip_224.openai'
    path = repository / 'snapshots/abc/open_clip_model.safetensors'
    for folder in (path.parent, repository / 'refs', repository / 'blobs'):
        folder.mkdir(parents=True)
    (repository / 'refs/main').write_text('abc')
    (repository / 'blobs' / blob).write_bytes(b'weights')
    path.symlink_to(repository / 'blobs' / blob)
    return path


def test_a_file_without_a_clip_is_refused(tmp_path):
    path = str(tmp_path / 'resnet50.pth')
    torch.save({'fc.weight': torch.zeros(2)}, path)
    with pytest.raises(ValueError, match=r'resnet50\.pth holds no CLIP'):
        read_weights(path)


def test_a_missing_file_is_named(tmp_path):
    for missing in (str(tmp_path / 'clip.pt'), 'clip.safetensors', 'weights/clip'):
        with pytest.raises(FileNotFoundError, match=missing):
            find_weights('ViT-B-16', missing)


def test_an_unknown_tag_lists_the_tags():
    with pytest.raises(ValueError, match=r"'opanai' is neither a file nor a tag of 'RN50-quickgelu'.* openai, yfcc15m"):
        find_weights('RN50-quickgelu', 'opanai')
    with pytest.raises(ValueError, match=r"'openai' is neither a file nor a tag of None\. Its tags: none"):
        find_weights(None, 'openai')


def test_offline_ends_at_once_and_says_what_to_fetch_and_where_it_goes(monkeypatch, tmp_path):
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_OFFLINE', True)
    monkeypatch.setattr(module, 'download_pretrained', lambda tag: pytest.fail('the network was tried'))
    monkeypatch.setattr('urllib.request.urlopen', lambda *_, **__: pytest.fail('the network was tried'))
    with pytest.raises(FileNotFoundError) as error:
        find_weights(*OPENAI)
    for part in (*OPENAI, 'open_clip_model.safetensors', '/ViT-B-16.pt', str(tmp_path / 'hub'), "pretrained='path/to"):
        assert part in str(error.value)


def test_a_dead_network_is_asked_once(monkeypatch):
    requests = []

    def refuse(request, timeout):
        requests.append(timeout)
        raise OSError('Name or service not known')

    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_OFFLINE', False)
    monkeypatch.setattr('urllib.request.urlopen', refuse)
    with pytest.raises(FileNotFoundError, match='network is out of reach'):
        find_weights(*OPENAI)
    assert requests == [5]


def test_with_a_network_the_tag_is_downloaded(monkeypatch):
    monkeypatch.setattr(module, 'network_answers', lambda: True)
    monkeypatch.setattr(module, 'download_pretrained', lambda tag: f'from {tag["hf_hub"]}')
    assert find_weights(*OPENAI) == 'from timm/vit_base_patch16_clip_224.openai/'


def test_cached_files_are_found_without_a_network(monkeypatch, tmp_path):
    monkeypatch.setattr(module, 'network_answers', lambda: pytest.fail('the network was tried'))
    monkeypatch.setattr(module, 'known_weights', lambda: {'ViT-B-16.pt': (hashlib.sha256(b'old').hexdigest(), True)})
    old = tmp_path / 'home/.cache/clip/ViT-B-16.pt'
    old.parent.mkdir(parents=True)
    old.write_bytes(b'old')
    assert find_weights(*OPENAI) == str(old)
    new = hub_snapshot(tmp_path, hashlib.sha256(b'weights').hexdigest())
    assert find_weights(*OPENAI) == str(new)


def test_open_clip_records_the_digests_of_openais_archives():
    known = known_weights()
    # as in OpenAI's own clip/clip.py
    assert known['RN50.pt'] == ('afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762', True)
    assert known['ViT-B-16.pt'] == ('5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f', True)
    assert {'RN101.pt', 'RN50x4.pt', 'ViT-B-32.pt', 'ViT-L-14.pt', 'ViT-L-14-336px.pt'} <= set(known)
    assert known['vit_b_16-laion400m_e32-55e67d44.pt'] == ('55e67d44', False)
    assert 'b16_400m.pt' not in known  # its address tells no digest


@pytest.mark.parametrize('name', ['RN50.pt', 'vit_b_16-laion400m_e32-55e67d44.pt'])
def test_another_file_of_a_known_name_is_refused(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(b'abc')  # the SHA-256 of which is in its standard
    with pytest.raises(ValueError, match=rf'{name} is not the file .* begins with ba7816bf and should'):
        find_weights(None, str(path))
    own = path.rename(tmp_path / 'own.pt')
    assert find_weights(None, str(own)) == str(own)


def test_a_damaged_file_in_the_cache_of_the_hub_is_refused(tmp_path):
    path = hub_snapshot(tmp_path, 'f' * 64)
    with pytest.raises(ValueError, match='cut short or another model: delete it and fetch it again'):
        find_weights(*OPENAI)
    with pytest.raises(ValueError, match='should begin with ffffffff'):
        find_weights(None, str(path))


def test_a_file_is_hashed_once_and_again_when_it_changed(monkeypatch, tmp_path):
    path = tmp_path / 'known.pt'
    monkeypatch.setattr(module, 'known_weights', lambda: {'known.pt': (hashlib.sha256(b'abc').hexdigest()[:8], True)})
    hashed = []
    monkeypatch.setattr(module, 'sha_fileobj', lambda file: hashed.append(1) or hashlib.sha256(file.read()).digest())
    path.write_bytes(b'abc')
    for _ in range(3):
        find_weights(None, str(path))
    assert len(hashed) == 1
    path.write_bytes(b'ab')
    with pytest.raises(ValueError, match='cut short'):
        find_weights(None, str(path))
