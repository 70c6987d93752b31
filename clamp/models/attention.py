import torch
import torch.nn.functional as F
from torch import Tensor, nn


def simplify_attention(module: nn.Module) -> None:
    """Let torch's multi-head attentions within a module take fewer operators; weights and their names stay."""
    for child in module.modules():
        if type(child) is nn.MultiheadAttention and child.batch_first and child.in_proj_weight is not None:
            child.__class__ = BatchFirstAttention


class BatchFirstAttention(nn.MultiheadAttention):
    """torch's attention without the copies that it makes to bring the batch second and back, most in its backward pass.

    Its place is that of torch's; what it does not do is left to torch's (:func:`simplify_attention`).
    """

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        **kwargs,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend.

        Args:
            query (Tensor): (B, L, C).
            key (Tensor): (B, S, C).
            value (Tensor): (B, S, C), the key itself.
            key_padding_mask (Tensor, optional): See :class:`torch.nn.MultiheadAttention`. Defaults to None.
            need_weights (bool): Likewise. Defaults to True.
            attn_mask (Tensor, optional): (L, S), added to the logits. Defaults to None.
            **kwargs: As torch's.

        Returns:
            tuple[Tensor, None]: (B, L, C), and None for the weights.
        """
        if need_weights or key_padding_mask is not None or value is not key:
            return super().forward(query, key, value, key_padding_mask, need_weights, attn_mask, **kwargs)
        weight, bias, width = self.in_proj_weight, self.in_proj_bias, self.embed_dim
        if query is key:
            queries, keys, values = self._project(query, weight, bias)
        else:
            weights, biases = (each.split([width, 2 * width]) for each in (weight, bias))
            (queries,) = self._project(query, weights[0], biases[0])
            keys, values = self._project(key, weights[1], biases[1])
        dropout = self.dropout if self.training else 0.0
        attended = F.scaled_dot_product_attention(queries, keys, values, attn_mask, dropout)  # (B, heads, L, C / heads)
        attended = attended.transpose(1, 2).flatten(2)  # (B, L, C)
        return F.linear(attended, self.out_proj.weight, self.out_proj.bias), None  # a call would count it as a module

    def _project(self, tokens: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, ...]:
        """Project (B, L, C) to one or more parts (B, heads, L, C / heads)."""
        parts = F.linear(tokens, weight, bias).unflatten(2, (-1, self.num_heads, self.head_dim))
        return torch.unbind(parts.permute(2, 0, 3, 1, 4))
