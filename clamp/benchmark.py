"""What ``tools/benchmark.py`` measures: training steps, inference, the data pipeline, and all of it together.

Competitors take turns, round by round, so that whatever else the machine does meets all of them alike. Ratios are
taken within a round, and the median of the rounds counts.
"""

import json
import time
from collections.abc import Callable, Hashable
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from types import SimpleNamespace

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner, autocast
from mmpose.registry import DATASETS, MODELS
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.benchmark import Timer
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from .datasets.synthetic.sample import generate_sample
from .datasets.synthetic.species import SPECIES
from .models.clip import forget_weights

# One after the other, the options that change speed; 'off' has none of them and is float32, run operator by operator.
# amp is bfloat16 in training and, on a GPU, float16 in prediction, as tools/train.py and MMEngine's test loop have it
OPTIONS = dict(
    fused={'optim_wrapper.optimizer.fused': True},
    tf32={'default_hooks.matmul_precision.precision': 'high'},
    amp={'optim_wrapper.type': 'BFloat16OptimWrapper', 'test_cfg.fp16': True},
    compile={'default_hooks.compile.enable': True},
)
OFF = {'optim_wrapper.optimizer.fused': False, 'env_cfg.cudnn_benchmark': False}
SEED = 0


def make_images(root: Path, number: int, longer_side: int = 1000) -> None:
    """Write a small data set in AP-10K's layout, with images of its size: generated animals, enlarged, with the texture
    of photographs, which JPEG files are as long to decode as.

    Args:
        root (Path): The folder to fill.
        number (int): Images; the train and the val file list the same.
        longer_side (int): Width or height, in pixels.
    """
    rng = np.random.default_rng(SEED)
    images, annotations = [], []
    (root / 'data').mkdir(parents=True)
    (root / 'annotations').mkdir()
    for index in range(number):
        image, found = generate_sample(SEED, 'train', index)
        factor = longer_side / max(image.shape)
        image = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
        height, width = image.shape[:2]
        image = np.clip(image + 20 * photographic_noise(rng, height, width)[..., None], 0, 255).astype(np.uint8)
        images.append(dict(id=index, file_name=f'{index}.jpg', width=width, height=height))
        cv2.imwrite(str(root / 'data' / images[-1]['file_name']), image, [cv2.IMWRITE_JPEG_QUALITY, 92])
        for animal in found:
            keypoints = np.reshape(animal['keypoints'], (-1, 3)) * (factor, factor, 1)
            moved = dict(bbox=[factor * side for side in animal['bbox']], keypoints=keypoints.ravel().tolist())
            annotations.append(animal | moved | dict(image_id=index, area=animal['area'] * factor**2))
    categories = [dict(id=species.category_id, name=species.name, supercategory='') for species in SPECIES]
    coco = json.dumps(dict(images=images, annotations=annotations, categories=categories))
    for split in ('train', 'val'):
        (root / f'annotations/ap10k-{split}-split1.json').write_text(coco)


def photographic_noise(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return noise (height, width) of standard deviation 1 whose amplitude falls as 1 / frequency, as in photographs,
    and a tenth of that in grain.
    """
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    frequency[0, 0] = np.inf
    texture = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(height, width))) / frequency, (height, width))
    return texture / texture.std() + rng.normal(0, 0.1, (height, width))


def option_names(options: str) -> list[str]:
    """Split ``'off'``, ``'on'`` or names joined by ``+`` into names of ``OPTIONS``.

    Raises:
        ValueError: If there is no such option.
    """
    names = dict(off=[], on=list(OPTIONS)).get(options, options.split('+'))
    if unknown := [name for name in names if name not in OPTIONS]:
        raise ValueError(
            f'There is no option {unknown[0]!r}; there are off, on, and {", ".join(OPTIONS)}, joined by +.'
        )
    return names


def load_config(path: str, options: str, root: Path, batch_size: int) -> Config:
    """Read a config for a benchmark: random weights, the data below ``root``, and loaders without end.

    Args:
        path (str): The config file.
        options (str): ``'off'``, ``'on'``, names of ``OPTIONS`` joined by ``+``, or ``''``: as the config says.
        root (Path): A data set in AP-10K's layout.
        batch_size (int): Of training and test.

    Raises:
        ValueError: If there is no such option.
    """
    cfg = Config.fromfile(path)
    if options:
        cfg.merge_from_dict(OFF)
        for name in option_names(options):
            cfg.merge_from_dict(OPTIONS[name] | {'env_cfg.cudnn_benchmark': True})
    cfg.model.backbone.init_cfg = None
    forget_weights(cfg.model)
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.dataset.data_root = f'{root}/'
        loader.sampler = dict(type='InfiniteSampler', shuffle=True, seed=SEED)
        loader.batch_size = batch_size
    return cfg


def load_batches(loader: dict, num_workers: int):
    """An endless iterator over the batches of a loader's config."""
    options = dict(num_workers=num_workers, persistent_workers=num_workers > 0, pin_memory=torch.cuda.is_available())
    return iter(Runner.build_dataloader({**loader, **options}, seed=SEED))


class Competitor:
    """A model with its optimiser and its speed options, and one batch, already loaded, to train or to predict.

    Args:
        cfg (Config): Of :func:`load_config`.
        device (str): ``'cpu'`` or ``'cuda'``.
        train (bool): Whether it is to train, or to predict with the flip test that its config asks for.
    """

    def __init__(self, cfg: Config, device: str, train: bool):
        torch.manual_seed(SEED)
        before = allocated(device)
        self.device, self.cfg, self.peak_memory = device, cfg, 0
        self.model = MODELS.build(cfg.model).to(device).train(train)
        hooks = [cfg.default_hooks[name] for name in ('matmul_precision', 'compile') if name in cfg.default_hooks]
        self.hooks = [HOOKS.build(hook) for hook in hooks]
        self.batch = next(load_batches(cfg.train_dataloader if train else cfg.val_dataloader, 0))
        self.run = self.train_step if train else self.test_step
        if train:
            self.optim_wrapper = build_optim_wrapper(self.model, cfg.optim_wrapper)
            self.call_hooks('before_train')
        self.enter()
        self.run()
        self.own_memory = allocated(device) - before

    def call_hooks(self, stage: str, *args) -> None:
        """Let the hooks of the config that set speed options do so, as MMEngine's runner does."""
        for hook in self.hooks:
            getattr(hook, stage)(SimpleNamespace(model=self.model), *args)

    def enter(self) -> None:
        """Set what holds for the whole process."""
        torch.set_float32_matmul_precision('highest')
        self.call_hooks('before_run')
        # cuDNN takes TF32 unless it is told not to. MMPose's own config, which has no such hook, is measured with it
        stock = 'matmul_precision' not in self.cfg.default_hooks
        torch.backends.cudnn.allow_tf32 = stock or torch.get_float32_matmul_precision() != 'highest'
        torch.backends.cudnn.benchmark = self.cfg.env_cfg.get('cudnn_benchmark', False)

    def train_step(self, batch: dict | None = None) -> None:
        """Forward, backward and the optimiser's step, from the batch in main memory on."""
        batch = batch or self.batch
        self.call_hooks('before_train_iter', 0, batch)
        self.model.train_step(batch, optim_wrapper=self.optim_wrapper)
        self.call_hooks('after_train_iter', 0, batch)

    @torch.no_grad()  # as MMEngine's TestLoop does; only so does the model keep its prompts
    def test_step(self) -> list:
        """Predict the batch's keypoints with the flip test, from the batch in main memory to coordinates."""
        with autocast(self.device, enabled=self.cfg.test_cfg.get('fp16', False)):
            return self.model.test_step(self.batch)

    def count_flops(self) -> int:
        """Floating-point operations of a run, in matrix products, convolutions and attention; not if compiled."""
        # the counter knows nothing of the CPU's own attention
        attention = sdpa_kernel(SDPBackend.MATH) if self.device == 'cpu' else nullcontext()
        with attention, FlopCounterMode(display=False) as counter:
            self.run()
        return counter.get_total_flops()

    def timed(self, iterations: int) -> float:
        """Return the seconds of a run, the mean of so many; the device's peak of memory is kept."""
        self.enter()
        others = allocated(self.device) - self.own_memory
        if self.device == 'cuda':
            torch.cuda.reset_peak_memory_stats()
        synchronize(self.device)
        start = time.perf_counter()
        for _ in range(iterations):
            self.run()
        synchronize(self.device)
        seconds = (time.perf_counter() - start) / iterations
        if self.device == 'cuda':
            self.peak_memory = max(self.peak_memory, torch.cuda.max_memory_allocated() - others)
        return seconds


def synchronize(device: str) -> None:
    """Wait for the device."""
    if device == 'cuda':
        torch.cuda.synchronize()


def allocated(device: str) -> int:
    """Bytes that tensors hold on a GPU; 0 on the CPU, where nobody counts them."""
    return torch.cuda.memory_allocated() if device == 'cuda' else 0


def interleave(runs: dict[Hashable, Callable[[], float]], rounds: int, name: str) -> dict[Hashable, list[float]]:
    """Let all competitors run once in each round, and return what each returned."""
    results = {key: [] for key in runs}
    with tqdm(total=rounds * len(runs), desc=name) as progress:
        for _ in range(rounds):
            for key, run in runs.items():
                results[key].append(run())
                progress.update()
    return results


def ratio(seconds: list[float], others: list[float]) -> float:
    """The median over the rounds of one competitor's time as a multiple of another's."""
    return median(a / b for a, b in zip(seconds, others))


def measure_peak(device: str, precision: str) -> float:
    """The fastest matrix multiplication of this device in FLOP/s, at ``'fp32'``, ``'tf32'`` or ``'bf16'``."""
    size = 8192 if device == 'cuda' else 2048
    dtype = torch.bfloat16 if precision == 'bf16' else torch.float32
    torch.set_float32_matmul_precision('high' if precision == 'tf32' else 'highest')
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    timer = Timer('a @ b', globals=dict(a=a, b=b), num_threads=torch.get_num_threads())
    return 2 * size**3 / min(timer.blocked_autorange(min_run_time=1.0).times)


def build_dataset(loader: dict):
    """The data set of a loader's config."""
    return DATASETS.build(loader['dataset'])


def time_stages(dataset, samples: int) -> dict[str, float]:
    """Take samples through a pipeline and return the seconds of each stage, the mean of a sample.

    They are seconds of the processor: other processes do not count, nor does waiting for a disk.

    Args:
        dataset: One of MMPose's.
        samples (int): How many; the data set is gone through as often as that takes.
    """
    stages = dict(annotation=0.0) | {type(transform).__name__: 0.0 for transform in dataset.pipeline.transforms}
    np.random.seed(SEED)  # noqa: NPY002  MMPose's transforms draw from numpy's global generator
    for index in range(samples):
        start = time.thread_time()
        sample = {**dataset.get_data_info(index % len(dataset)), 'dataset': dataset}
        stages['annotation'] += (now := time.thread_time()) - start
        for transform in dataset.pipeline.transforms:
            start, sample = now, transform(sample)
            stages[type(transform).__name__] += (now := time.thread_time()) - start
    return {name: seconds / samples for name, seconds in stages.items()}


def time_loader(competitor: Competitor, batches, iterations: int, ready: int) -> tuple[float, float]:
    """Train on batches that workers prepare meanwhile; return the seconds of a step, and the share waited for a batch.

    The first ``ready`` batches are left out: workers have prepared them while others had their turn. As in training,
    the host does not wait for the device; to tell the share, it does, in as many further steps.
    """
    competitor.enter()
    for _ in range(ready):
        next(batches)
    synchronize(competitor.device)
    start = time.perf_counter()
    for _ in range(iterations):
        competitor.train_step(next(batches))
    synchronize(competitor.device)
    middle, waited = time.perf_counter(), 0.0
    for _ in range(iterations):
        before = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - before
        competitor.train_step(batch)
        synchronize(competitor.device)
    return (middle - start) / iterations, waited / (time.perf_counter() - middle)
