"""Trains a method and its baseline on the same data with the same budget, and measures both on held-out data.

Filled in by the offline rules of the local model endpoint. Words of the paper chose the experiment, the paper's
identity chose the seed; no language model took part, and the paper's own method is not in it.
"""

import json
import math
import sys
import time

import torch
from torch import nn

from dataset_loader import evaluate, load_dataset

PAPER_TITLE = "@TITLE@"
SEED = "@SEED@"
BATCH_SIZE = 64
