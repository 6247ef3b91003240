"""Loads the data sets that generated programs may use.

    from dataset_loader import load_dataset
    train, test = load_dataset("synthetic")
    x, y = train[0]

`synthetic` is made here, always the same. The others are read from files that the agent prepared in the
folder DATASETS_DIR, because a program has no network: `{name}.pt`, written by
`torch.save({"train": (x, y), "test": (x, y)}, file)`, where x and y are tensors (or lists) of equal length.
Needs torch and nothing else.
"""

import inspect
import os

import torch
from torch.utils.data import Dataset

NAMES = ("cifar10", "cifar100", "mnist", "fashion_mnist", "imdb", "wikitext2", "synthetic")

_CLASSES = 4
_FEATURES = 20
_TRAIN_SAMPLES = 2048
_TEST_SAMPLES = 512
_SEED = 20260101


class Pairs(Dataset):
    """Samples `(x[i], y[i])`."""

    def __init__(self, x, y):
        if len(x) != len(y):
            raise ValueError(f"x has {len(x)} samples, y has {len(y)}")
        self.x = x
        self.y = y

    def __len__(self):
        return len(self.y)

    def __getitem__(self, index):
        return self.x[index], self.y[index]


def load_dataset(name):
    """Returns `(train, test)`, two torch data sets of `(x, y)`.

    Raises ValueError for a name that is no data set, FileNotFoundError for one that was not prepared, and
    RuntimeError for a file that does not hold one. Each message says what there is.
    """
    if name not in NAMES:
        raise ValueError(f"no data set is called {name!r}: choose one of {', '.join(NAMES)}")
    if name == "synthetic":
        return _synthetic()
    folder = os.environ.get("DATASETS_DIR", "")
    path = os.path.join(folder, f"{name}.pt")
    if not folder or not os.path.isfile(path):
        available = ", ".join(_available(folder))
        raise FileNotFoundError(f"the data set {name!r} was not prepared; available: {available}")
    return _read(name, path)


def _available(folder):
    """The data sets that can be loaded now, in the order of NAMES."""
    return [
        name
        for name in NAMES
        if name == "synthetic" or (folder and os.path.isfile(os.path.join(folder, f"{name}.pt")))
    ]


def _synthetic():
    """Four noisy clusters on the corners of a random simplex; a linear model gets most of them right."""
    generator = torch.Generator().manual_seed(_SEED)
    centres = torch.randn(_CLASSES, _FEATURES, generator=generator) * 0.6
    return tuple(_cluster_samples(centres, size, generator) for size in (_TRAIN_SAMPLES, _TEST_SAMPLES))


def _cluster_samples(centres, size, generator):
    y = torch.randint(_CLASSES, (size,), generator=generator)
    x = centres[y] + torch.randn(size, _FEATURES, generator=generator)
    return Pairs(x, y)


def _read(name, path):
    # Only tensors and plain containers are read where torch can promise that; older ones cannot.
    knows_weights_only = "weights_only" in inspect.signature(torch.load).parameters
    options = {"weights_only": True} if knows_weights_only else {}
    try:
        content = torch.load(path, map_location="cpu", **options)
        return tuple(Pairs(*content[part]) for part in ("train", "test"))
    except Exception as error:
        raise RuntimeError(f"the file of the data set {name!r} does not hold one: {error}") from error
