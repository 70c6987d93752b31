from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.dist import all_gather_object
from mmengine.evaluator import Evaluator
from mmengine.logging import print_log
from mmengine.structures import BaseDataElement
from mmpose.evaluation.evaluators import MultiDatasetEvaluator
from mmpose.registry import EVALUATORS


@EVALUATORS.register_module()
class ManyDatasetsEvaluator(MultiDatasetEvaluator):
    """MMPose's ``MultiDatasetEvaluator``, for data sets that the config describes, and any number of metrics of each.

    MMPose's takes one metric of a data set, whose metainfo is that of its class. Here each animal goes to the metrics
    of its data set, and what they measure has the data set's name in front, ``'animalpose/AP'``. The log has one table
    of all.

    Args:
        metrics (Mapping[str, Sequence[dict]]): By the ``dataset_name`` of a data set's metainfo, the configs of its
            metrics, which bring their own metainfo, as ``NamedCocoMetric`` does. Where one has a ``prefix``, that comes
            after the name: ``'animalpose/common/AP'``.

    Raises:
        ValueError: If a data set has no metric, a metric has no metainfo of its own, or two of a data set have one
            prefix.
    """

    def __init__(self, metrics: Mapping[str, Sequence[dict]]):
        if empty := [name for name, of_dataset in metrics.items() if not of_dataset]:
            raise ValueError(f'There is no metric of the data set {empty[0]}: leave it out, or give it one.')
        configs = [
            dict(metric) | dict(prefix='/'.join(filter(None, (name, metric.get('prefix')))))
            for name, of_dataset in metrics.items()
            for metric in of_dataset
        ]
        Evaluator.__init__(self, configs)
        prefixes = [config['prefix'] for config in configs]
        if twice := [prefix for prefix in prefixes if prefixes.count(prefix) > 1]:
            raise ValueError(f'Two metrics are of {twice[0]!r}: give each a prefix of its own.')
        if alien := [type(metric).__name__ for metric in self.metrics if not metric.dataset_meta]:
            raise ValueError(f'{alien[0]} has no metainfo of its own data set: use NamedCocoMetric, which has.')
        built = iter(self.metrics)
        self.metrics_dict = {name: [next(built) for _ in of_dataset] for name, of_dataset in metrics.items()}

    def process(self, data_samples: Sequence[BaseDataElement], data_batch: Any = None) -> None:
        """Give each animal to the metrics of its data set.

        Raises:
            ValueError: If its data set has none.
        """
        by_dataset = defaultdict(list)
        for sample in data_samples:
            sample = sample.to_dict() if isinstance(sample, BaseDataElement) else sample
            by_dataset[sample['dataset_name']].append(sample)
        for name, samples in by_dataset.items():
            if name not in self.metrics_dict:
                raise ValueError(
                    f'There are animals of the data set {name}, but metrics of {", ".join(self.metrics_dict)} alone.'
                )
            for metric in self.metrics_dict[name]:
                metric.process(data_batch, samples)

    def evaluate(self, size: int) -> dict[str, float]:
        """Return all that was measured, by data set and name, and write it into the log as one table."""
        tested = {name for name, metrics in self.metrics_dict.items() if any(m.results for m in metrics)}
        tested = set().union(*all_gather_object(tested))  # of all processes, one of which may have had none
        if empty := [name for name in self.metrics_dict if name not in tested]:
            raise ValueError(f'No animal of the data set {empty[0]} was tested: its file has none that can be.')
        values = super().evaluate(size)
        print_log(f'\n{as_table(values)}', 'current')
        return values


def as_table(values: Mapping[str, float]) -> str:
    """Return values as text: a row for each data set (and prefix), a column for each metric; in percent."""
    rows: dict[str, dict[str, float]] = defaultdict(dict)
    for key, value in values.items():
        row, _, name = key.rpartition('/')
        rows[row][name] = value
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    wide = max(map(len, rows), default=0)
    lines = [' ' * wide + ''.join(f'{name:>9}' for name in names)]
    for row, measured in rows.items():
        cells = (f'{100 * measured[name]:9.1f}' if measured.get(name, -1) >= 0 else f'{"-":>9}' for name in names)
        lines.append(f'{row:{wide}}{"".join(cells)}')
    return '\n'.join(lines)
