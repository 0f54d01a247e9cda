"""A `torch.nn.Sequential` as layers, and its weights as those of chips."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from analogsim.network.activations import LeakyReLU, Sigmoid, Tanh
from analogsim.network.layer import Layer
from analogsim.network.stack import Shape, Stack


def layers_of(module: nn.Module, shape: Shape) -> tuple[Layer, ...]:
    """The layers of a chain of modules.

    Args:
        module: a `torch.nn.Sequential`, which may hold others.
        shape: of one input: (channels, height, width), or (numbers,).

    Raises:
        ValueError: a module, or a setting of one, that crossbars or their periphery do not have, by its place and name.
    """
    stack, seen = Stack(shape), set()
    for place, each in _chain(module):
        try:
            if isinstance(each, nn.Linear | nn.Conv2d) and id(each) in seen:
                raise ValueError("stands there a second time; devices of two layers cannot share their weights")
            seen.add(id(each))
            _put(stack, each)
        except ValueError as error:
            raise ValueError(f"module {place} ({type(each).__name__}): {error}") from None
    return tuple(stack.layers)


def weights_of(module: nn.Module, chips: int) -> tuple[Tensor, ...]:
    """The module's weights for each of `chips` chips: per layer (C, columns, rows), biases last, on the CPU."""
    found = []
    for _, each in _chain(module):
        if isinstance(each, nn.Linear | nn.Conv2d):
            parts = [each.weight.flatten(1)]
            if each.bias is not None:
                parts.append(each.bias[:, None])
            found.append(torch.cat(parts, dim=1).detach().cpu().repeat(chips, 1, 1))
    return tuple(found)


def _chain(module: nn.Module, place: str = "") -> Iterator[tuple[str, nn.Module]]:
    if type(module) is not nn.Sequential:
        where = f"module {place[:-1]} " if place else ""
        raise ValueError(f"{where}must be a torch.nn.Sequential (got {type(module).__name__})")
    for number, each in enumerate(module):
        if type(each) is nn.Sequential:
            yield from _chain(each, f"{place}{number}.")
        else:
            yield f"{place}{number}", each


def _linear(stack: Stack, module: Any) -> None:
    if len(stack.shape) != 1 or stack.shape[0] != module.in_features:
        raise ValueError(
            f"takes {module.in_features} numbers in one row (got the shape {stack.shape}); put a Flatten in front of "
            "it where they are feature maps"
        )
    stack.dense(module.out_features, bias=module.bias is not None)


def _conv(stack: Stack, module: Any) -> None:
    _only(module, dilation=(1, 1), groups=1, padding_mode="zeros")
    if isinstance(module.padding, str):
        raise ValueError(f"padding must be given as numbers (got {module.padding!r})")
    if len(stack.shape) == 3 and stack.shape[0] != module.in_channels:
        raise ValueError(f"takes {module.in_channels} channels (got {stack.shape[0]})")
    stack.conv(module.out_channels, module.kernel_size, module.stride, module.padding, bias=module.bias is not None)


def _max_pool(stack: Stack, module: Any) -> None:
    _only(module, ceil_mode=False, return_indices=False)
    if module.dilation not in (1, (1, 1)):
        raise ValueError(f"dilation must be 1 (got {module.dilation})")
    stack.max_pool(module.kernel_size, module.stride, module.padding)


def _avg_pool(stack: Stack, module: Any) -> None:
    _only(module, ceil_mode=False, count_include_pad=True, divisor_override=None)
    stack.avg_pool(module.kernel_size, module.stride, module.padding)


def _softmax(stack: Stack, module: Any) -> None:
    if module.dim not in (-1, 1):
        raise ValueError(f"dim must be -1 (got {module.dim})")
    stack.softmax()


def _flatten(stack: Stack, module: Any) -> None:
    _only(module, start_dim=1, end_dim=-1)
    stack.flatten()


def _only(module: nn.Module, **settings: Any) -> None:
    for name, wanted in settings.items():
        value = getattr(module, name)
        if value != wanted:
            raise ValueError(f"{name} must be {wanted!r} (got {value!r})")


_SUPPORTED: dict[type[nn.Module], Callable[[Stack, Any], None]] = {
    nn.Linear: _linear,
    nn.Conv2d: _conv,
    nn.ReLU: lambda stack, _: stack.activate(LeakyReLU(0.0)),
    nn.LeakyReLU: lambda stack, module: stack.activate(LeakyReLU(module.negative_slope)),
    nn.Tanh: lambda stack, _: stack.activate(Tanh()),
    nn.Sigmoid: lambda stack, _: stack.activate(Sigmoid()),
    nn.Softmax: _softmax,
    nn.MaxPool2d: _max_pool,
    nn.AvgPool2d: _avg_pool,
    nn.Flatten: _flatten,
    nn.Dropout: lambda stack, module: stack.dropout(module.p),
    nn.Identity: lambda stack, _: None,
}


def _put(stack: Stack, module: nn.Module) -> None:
    convert = _SUPPORTED.get(type(module))
    if convert is None:
        names = ", ".join(kind.__name__ for kind in _SUPPORTED)
        raise ValueError(f"no crossbar or digital periphery here computes it; supported are {names}")
    convert(stack, module)
