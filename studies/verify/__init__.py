"""Verification of anyone's sampler: named checks of the contract of samplers, each with what it means to fail it."""

from .checks import CHECKS, Check
from .pytest import parametrize_with_checks
from .subject import Levels, Subject

__all__ = ["CHECKS", "Check", "Levels", "Subject", "parametrize_with_checks"]
