"""Tiny text models and tokenizers, made here, as Hugging Face saves them."""

WORDS = ['a', 'photo', 'of', 'left', 'right', 'eye', 'nose', 'back', 'paw']


def save_tokenizer(folder, style: str) -> str:
    """A word-level tokenizer with the special tokens of BERT, T5 (an end alone), XLM-R or SigLIP (the end pads)."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    start, end, pad = dict(
        bert=('[CLS]', '[SEP]', '[PAD]'),
        t5=('', '</s>', '<pad>'),
        xlmr=('<s>', '</s>', '<pad>'),
        siglip=('', '</s>', '</s>'),
    )[style]
    special = dict.fromkeys(filter(None, (pad, start, end, '[UNK]')))
    vocabulary = {word: number for number, word in enumerate([*special, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token='[UNK]'))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    used = [token for token in (start, end) if token]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f'{start} $A {end}'.strip(), special_tokens=[(token, vocabulary[token]) for token in used]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token='[UNK]',
        pad_token=pad,
        eos_token=end,
        sep_token=end,
        cls_token=start or end,
    )
    fast.save_pretrained(folder)
    return str(folder)


def save_model(folder, style: str = 'bert', **config) -> str:
    """A tiny text model of random weights with its tokenizer, as Hugging Face saves them."""
    from transformers import AutoConfig, AutoModel

    sizes = dict(vocab_size=32, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    model = AutoModel.from_config(AutoConfig.for_model(**(dict(model_type='bert') | sizes | config)))
    model.save_pretrained(folder)
    return save_tokenizer(folder, style)
