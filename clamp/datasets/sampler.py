from collections.abc import Iterator

from mmengine.dataset import DefaultSampler
from mmengine.registry import DATA_SAMPLERS


class SeededIndex(int):
    """The index of a sample, with the seed of its augmentation.

    Args:
        index (int): Position in the data set.
        seed (tuple[int, ...]): What :func:`numpy.random.seed` takes.
    """

    seed: tuple[int, ...]

    def __new__(cls, index: int, seed: tuple[int, ...]):
        self = super().__new__(cls, index)
        self.seed = seed
        return self

    def __mod__(self, number: int) -> 'SeededIndex':
        """Return the place in a data set that is repeated, with the seed of the index: another in each repetition."""
        return type(self)(int(self) % number, self.seed)

    def __reduce__(self):
        return type(self), (int(self), self.seed)


@DATA_SAMPLERS.register_module()
class SeededSampler(DefaultSampler):
    """MMEngine's sampler, whose indices say how their samples are to be augmented.

    The seed of a sample follows from the run's seed, the epoch and the index alone; :class:`LoadTrainImage` sets it. A
    training that was cut off and resumed, or has another number of workers, so sees the same images as one that was
    not. With MMEngine's own sampler, workers go on from where their random numbers are.
    """

    def __iter__(self) -> Iterator[SeededIndex]:
        """Iterate over the indices of this process."""
        return (SeededIndex(index, (self.seed, self.epoch, index)) for index in super().__iter__())
