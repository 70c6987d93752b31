"""How well does a trained model find its keypoints if they are asked for in other words?

    python tools/evaluate_wording.py configs/demo/openvocab_tiny.py CHECKPOINT
    python tools/evaluate_wording.py configs/demo/openvocab_tiny.py CHECKPOINT --wordings mine.json --json table.json

An open-vocabulary head is tested once for all wordings, others once for each.
docs/novel_keypoints.md says what they are.
"""

import argparse
import json
from pathlib import Path

from clamp.command_line import Options, errors_in_one_line, input_file, output_file


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', type=input_file, help='config file, such as configs/demo/openvocab_tiny.py')
    parser.add_argument('checkpoint', type=input_file, help='checkpoint file (.pth)')
    parser.add_argument(
        '--wordings', type=input_file, metavar='FILE.json', help='your own (default: those of the docs)'
    )
    parser.add_argument('--other-words', action='store_true', help='ask for ten unrelated words, too')
    parser.add_argument('--json', type=output_file('.json'), metavar='FILE.json', help='save all metrics')
    parser.add_argument('--cfg-options', nargs='+', action=Options, metavar='KEY=VALUE', help='override settings')
    return parser.parse_args(argv)


if __name__ == '__main__':
    parse_args()  # --help and wrong arguments end here, before the imports that take seconds

from mmengine.hooks import EMAHook
from mmengine.runner import Runner
from mmpose.registry import MODELS
from torch import nn

import clamp.register  # noqa: F401
from clamp.checkpoints import load_weights, read_checkpoint
from clamp.checks import check_config, read_config
from clamp.evaluation.wording import WordingEvaluator, other_words, rewordings
from clamp.keypoint_names import check_names
from clamp.models import AskedCLAMPHead, OpenVocabularyHead
from clamp.models.text_towers import check_prompts
from clamp.tables import as_markdown

COLUMNS = ('coco/AP', 'coco/AR', 'novel/PCK@0.1', 'novel/PCK@0.2', 'base/PCK@0.1', 'base/PCK@0.2')


def read_wordings(path: Path, names: list[str]) -> dict[str, list[str]]:
    """Read wordings, ``{"way": {"left eye": "left eyeball", ...}}``; a name that is not there stays as it is.

    Raises:
        FileNotFoundError: If the file is not there.
        ValueError: If it is no such JSON, has no wording, rewords a name that is not asked for, or to no name.
    """
    try:
        ways = json.loads(path.read_bytes())
        unknown = [name for words in ways.values() for name in words.keys() if name not in names]  # noqa: SIM118
        wordings = {way: check_names([words.get(name, name) for name in names]) for way, words in ways.items()}
    except (AttributeError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f'{path} is no JSON of the form {{"way": {{"name": "other words"}}}}: {error}') from error
    if not wordings:
        raise ValueError(f'{path} has no wording: write {{"way": {{"name": "other words"}}}}.')
    if unknown:
        raise ValueError(f'{path} rewords {unknown[0]!r}; the names are {", ".join(names)}.')
    return wordings


def asked_names(head: nn.Module) -> list[str]:
    """Return the names that a head is asked for.

    Raises:
        ValueError: If it knows no names, or would not read other words.
    """
    if not hasattr(head, 'prompt_learner'):
        raise ValueError(f'{type(head).__name__} knows no names. Use a config of CLAMP.')
    if head.prompt_learner.text_encoder is None:
        raise ValueError('The model has no text encoder: other words would change nothing. Use a config that has one.')
    return list(head.asked_names)


def ask(head: nn.Module, learner: dict, names: dict[str, str]) -> None:
    """Put other words in the place of the names that a head was trained on, for one whose K is not free.

    Args:
        head (nn.Module): The head.
        learner (dict): The config of its prompt learner.
        names (dict[str, str]): What stands for each of the names that the config asks for.
    """
    reworded = [names.get(name, name) for name in learner['keypoint_names']]
    other = MODELS.build(dict(learner, keypoint_names=reworded)).to(head.prompt_learner.context.device)
    other.load_state_dict(head.prompt_learner.state_dict())
    head.prompt_learner = other.train(head.training)
    head.asked_names = list(names.values())


def check_wordings(head: nn.Module, learner: dict, wordings: dict[str, list[str]]) -> None:
    """Check, before the first test, that a head and its prompt learner take all wordings.

    Raises:
        ValueError: If one is too long, or has one word for two names, which the head would not tell apart; with its
            way.
    """
    for way, words in wordings.items():
        if type(head) is AskedCLAMPHead and len(set(words)) < len(words):
            raise ValueError(
                f'The wording {way!r} has one word for two names. AskedCLAMPHead, whose heatmaps are of its own K '
                'names, would give both the same one: leave it out, or test OpenVocabularyHead.'
            )
        try:
            check_prompts(learner['text_encoder'], words, learner.get('num_context_tokens', 8))
        except ValueError as error:
            raise ValueError(f'The wording {way!r}: {error}') from error


def evaluate(runner: Runner, learner: dict, wordings: dict[str, list[str]]) -> dict[str, dict]:
    """Test a model in several wordings, and return the metrics of each."""
    head = runner.model.head
    if isinstance(head, OpenVocabularyHead):
        return evaluate_at_once(runner, wordings)
    if any(isinstance(hook, EMAHook) for hook in runner.hooks):
        raise ValueError('An EMAHook tests other weights than those that are asked: take it out of custom_hooks.')
    names, results = asked_names(head), {}
    runner.load_or_resume()
    for way, words in wordings.items():
        ask(head, learner, dict(zip(names, words)))
        results[way] = runner.test()
    return results


def evaluate_at_once(runner: Runner, wordings: dict[str, list[str]]) -> dict[str, dict]:
    """As :func:`evaluate`, in one pass: an open-vocabulary head answers a word whatever else it is asked."""
    loop = runner.test_loop
    evaluators = {way: runner.build_evaluator(runner.cfg.test_evaluator) for way in wordings}
    for evaluator in evaluators.values():
        evaluator.dataset_meta = loop.evaluator.dataset_meta
    loop.evaluator = WordingEvaluator(evaluators, wordings, loop.dataloader.dataset.metainfo['flip_indices'])
    runner.model.head.set_keypoint_names(loop.evaluator.words, loop.evaluator.mirror_words)
    runner.test()
    return loop.evaluator.results


def best_by_name(results: list[dict], names: list[str]) -> dict[str, float]:
    """Return the best PCK of each name among several results, where the metric says it by name."""
    keys = [f'{name}/PCK@0.1' for name in names]
    return {key: max(result[key] for result in results) for key in keys if key in results[0]}


def format_table(results: dict[str, dict]) -> str:
    """Return the metrics by wording as a Markdown table, in percent."""
    columns = [column for column in COLUMNS if any(column in metrics for metrics in results.values())]
    lines = [['wording', *columns]]
    for way, metrics in results.items():
        lines.append([way, *(f'{100 * metrics[column]:.1f}' if column in metrics else '-' for column in columns)])
    return as_markdown(lines)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with errors_in_one_line():
        cfg = read_config(args.config, args.cfg_options)
        check_config(cfg, ('test',))
        read_checkpoint(args.checkpoint)  # before the model is built
        cfg.load_from, cfg.resume = args.checkpoint, False
        cfg.work_dir = cfg.get('work_dir') or f'work_dirs/wording/{Path(args.config).stem}'
        runner = Runner.from_cfg(cfg)
        load_weights(runner.model, args.checkpoint)
        names = asked_names(runner.model.head)
        wordings = read_wordings(Path(args.wordings), names) if args.wordings else rewordings(names)
        if args.other_words:
            wordings |= other_words(names)
        check_wordings(runner.model.head, cfg.model.head.prompt_learner, wordings)
        results = evaluate(runner, cfg.model.head.prompt_learner, wordings)
    if args.json:
        result = dict(config=args.config, checkpoint=args.checkpoint, wordings=wordings, metrics=results)
        if args.other_words:
            result['best_other_word'] = best_by_name([results[word] for word in other_words(names)], names)
        args.json.write_text(json.dumps(result, indent=2), encoding='utf-8')
    print(f'In percent\n{format_table(results)}')


if __name__ == '__main__':
    main()
