"""Verification of anyone's sampler: named checks of the contract of samplers, each with what it means to fail it."""

from .checks import CHECKS
from .contract import Check, Finding
from .pytest import parametrize_with_checks
from .subject import Levels, Subject
from .token_checks import TOKEN_CHECKS
from .token_subject import TokenSubject

__all__ = [
    "CHECKS",
    "TOKEN_CHECKS",
    "Check",
    "Finding",
    "Levels",
    "Subject",
    "TokenSubject",
    "parametrize_with_checks",
]
