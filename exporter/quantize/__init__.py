"""Quantize a float module to int8 for the lite interpreter, by named recipes, with evidence.

Only the recipes are imported here: the command line needs them before it needs torch.
"""

from __future__ import annotations

from ..recipes import RECIPES, QuantizeRecipe, recipes_named

__all__ = ["RECIPES", "QuantizeRecipe", "recipes_named"]
