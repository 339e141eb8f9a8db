"""Exact laws over token sequences, with their posteriors and cavities under any per-site noise."""

from .enumerated import Enumerated
from .hidden_markov import HiddenMarkov
from .information import InformationProfile
from .labelled import Labelled
from .law import SequenceLaw
from .markov import MarkovSequence
from .named import catalogue, load
from .posterior import reveal
from .potts import PottsStrip
from .product import Product
from .second_order import SecondOrderMarkov
from .text import LETTERS, TEXT, alphabet_of, decode, encode, fold, from_text
from .tree import Tree

__all__ = [
    "LETTERS",
    "TEXT",
    "Enumerated",
    "HiddenMarkov",
    "InformationProfile",
    "Labelled",
    "MarkovSequence",
    "PottsStrip",
    "Product",
    "SecondOrderMarkov",
    "SequenceLaw",
    "Tree",
    "alphabet_of",
    "catalogue",
    "decode",
    "encode",
    "fold",
    "from_text",
    "load",
    "reveal",
]
