# SPDX-License-Identifier: Apache-2.0
"""Models on PyTorch's meta device, where a tensor has no values and any look at one raises."""


def on_meta(model):
    """The model there, with the tables of stock modules that are no buffers."""
    model = model.to('meta')
    for module in model.modules():
        # They move in the first frame.
        if isinstance(getattr(module, 'cache', None), dict):
            module.cache.clear()
        if hasattr(module, 'freqs_cis'):
            module.freqs_cis = module.freqs_cis.to('meta')
    return model
