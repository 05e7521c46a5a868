# SPDX-License-Identifier: Apache-2.0
"""Names in one argument, with commas between them."""


def names(text: str) -> list[str]:
    """The names, without blanks and empty ones."""
    return [name.strip() for name in text.split(',') if name.strip()]
