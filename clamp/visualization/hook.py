import numpy as np
from mmengine.dataset import pseudo_collate
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmpose.registry import HOOKS
from torch import nn

from .figures import figure_to_image, plot_score_maps, plot_similarity
from .prompts import check_prompts, mean_similarity, view_prompts


@HOOKS.register_module()
class ScoreMapHook(Hook):
    """Add score maps and the similarity matrix of a few validation animals to the log after each validation.

    They go through the runner's visualizer, that is to files, TensorBoard or Weights & Biases as the config says. The
    animals are the same each time, evenly spread over the validation set. In a config::

        default_hooks = dict(score_maps=dict(type='ScoreMapHook'))

    Args:
        number (int): How many animals. Defaults to 4.
    """

    def __init__(self, number: int = 4):
        self.number = number

    def before_train(self, runner) -> None:
        """Check that there is something to show.

        Raises:
            ValueError: If the model has no prompts.
        """
        check_prompts(self._model(runner).head)

    @master_only
    def after_val_epoch(self, runner, metrics: dict | None = None) -> None:
        """Draw, with the number of finished epochs as the step."""
        model, dataset = self._model(runner).eval(), runner.val_dataloader.dataset  # prompts anew: EMA swaps weights
        names = model.head.asked_names
        chosen = np.unique(np.linspace(0, len(dataset) - 1, self.number).round().astype(int))
        batch = pseudo_collate([dataset[index] for index in chosen])
        score_maps, similarity = view_prompts(model, batch)
        for index, sample, maps in zip(chosen, batch['data_samples'], score_maps):
            figure = plot_score_maps([sample], maps[None], names)
            runner.visualizer.add_image(f'score_maps_{index}', figure_to_image(figure), step=runner.epoch)
        figure = plot_similarity({f'mean of {len(chosen)} animals': mean_similarity(similarity)}, names)
        runner.visualizer.add_image('similarity', figure_to_image(figure), step=runner.epoch)

    @staticmethod
    def _model(runner) -> nn.Module:
        return runner.model.module if is_model_wrapper(runner.model) else runner.model
