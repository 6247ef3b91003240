"""Loads the data sets that generated programs may use.

    from dataset_loader import load_dataset
    train, test = load_dataset("cifar10")                          # two data sets of (input, target)
    train_loader, test_loader = load_dataset("cifar10", batch_size=64)   # two loaders of batches
    evaluate(model, name="method")                                 # what it reaches on the half that was held out

`synthetic`, `synthetic_images` and `synthetic_tokens` are made here, always the same. The others are read from the
folder DATASETS_DIR, which the agent fills, because a program has no network: `{name}/dataset.json`, which says what the
set is, and the safetensors files that it names. No file is run: a safetensors file is a header of JSON and numbers, and
the numbers are mapped into memory, not copied. DATASET_SAMPLES limits each half to so many samples, spread over all.
Needs torch and nothing else.
"""

import contextlib
import json
import math
import mmap
import os
import re
import sys
import warnings

import torch
from torch.utils.data import DataLoader, Dataset, Subset, default_collate

from measuring import MEASURED

NAMES = ("cifar10", "cifar100", "mnist", "fashion_mnist", "imdb", "wikitext2", "synthetic")

_SYNTHETIC_KINDS = ("tabular", "images", "tokens")
_TRAIN_SAMPLES = 2048
_TEST_SAMPLES = 512
_SEED = 20260101

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}\Z")
_FILE = re.compile(r"[a-z]+-[0-9a-f]{16}\.(safetensors|json)\Z")
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,40}\Z")
_HEADER_LIMIT = 1 << 20
_DTYPES = {"U8": torch.uint8, "I32": torch.int32, "I64": torch.int64, "F32": torch.float32}

_custom_loaders = {}
_loaded = {}


class Pairs(Dataset):
    """Samples `(x[i], y[i])`; bytes come as floats from 0 to 1, other whole numbers as int64."""

    def __init__(self, x, y, pictures=False):
        if len(x) != len(y):
            raise ValueError(f"x has {len(x)} samples, y has {len(y)}")
        self._x = x
        self._y = y
        self._pictures = pictures

    @property
    def x(self):
        """All inputs, as they are stored."""
        MEASURED.took(len(self))
        return self._x

    @property
    def y(self):
        """All targets."""
        return self._y

    def __len__(self):
        return len(self._y)

    def __getitem__(self, index):
        MEASURED.took(1)
        x, y = self._x[index], self._y[index]
        return x.float() / 255 if self._pictures else _as_loaded(x), _as_loaded(y)


class Texts(Dataset):
    """Samples `(text, class)`, as somebody wrote them."""

    def __init__(self, text, ends, y):
        self._text = text
        self._ends = ends
        self.y = y

    def __len__(self):
        return len(self.y)

    def __getitem__(self, index):
        MEASURED.took(1)
        index = range(len(self))[index]
        begin = int(self._ends[index - 1]) if index else 0
        text = bytes(self._text[begin : int(self._ends[index])].tolist())
        return text.decode("utf-8", "replace"), int(self.y[index])


def load_dataset(name, batch_size=None, *, kind=None, variant=None, seq_length=None, max_vocab_size=None, text=False, **others):
    """Returns `(train, test)`: two torch data sets of `(input, target)`, or with `batch_size` two loaders of batches.

    The loader of `train` shuffles, the same way in each run, and leaves out a last batch that is not full, so that every
    batch has one shape. `kind` (or `variant`) of `synthetic` is "tabular", "images" or "tokens". Of a set of words,
    `seq_length` is the length of a sample, `max_vocab_size` makes rarer words one, and `text=True` gives the texts
    themselves where the set has them.

    Raises ValueError for a name that is no data set, FileNotFoundError for one that was not prepared, and
    RuntimeError for a file that does not hold one. Each message says what there is.
    """
    if name in _custom_loaders:
        if batch_size is not None:
            others["batch_size"] = batch_size
        given = {"kind": kind, "variant": variant, "seq_length": seq_length, "max_vocab_size": max_vocab_size}
        others.update({key: value for key, value in given.items() if value is not None})
        return _custom_loaders[name](_folder_of(name), **others)
    if others:
        warnings.warn(f"load_dataset does not know {', '.join(sorted(others))}; left out", stacklevel=2)
    halves = _halves(name, kind or variant, seq_length, max_vocab_size, text)
    train, test = (_limited(half) for half in halves)
    MEASURED.loaded(name)
    _loaded.pop(name, None)
    _loaded[name] = (train, test)
    if batch_size is None:
        return train, test
    order = torch.Generator().manual_seed(_SEED)
    full = len(train) >= batch_size
    return (
        DataLoader(train, batch_size=batch_size, shuffle=True, generator=order, drop_last=full),
        DataLoader(test, batch_size=batch_size),
    )


def evaluate(predict, split="test", dataset=None, name="method", *, seed=None, samples=2000, batch_size=None):
    """Measures `predict` on data that was held out, records it as what `name` reached, and returns it.

    `predict(x)` gives scores before any softmax for a batch as the data set has it: of the classes `[batch, classes]` (one
    number a sample where there are two), of the next word at each place `[batch, length, words]`, or the number itself
    where the targets are numbers. `x` is on the CPU, unless `predict` is a module, which is put into its evaluation mode
    and given `x` on its own device. Every batch has one shape.

    `name` is "method", "baseline", or a word of the program's; a method that reaches more than the baseline on each data
    set beats it. Of the same name, data set, split and `seed` the last measurement counts; of seeds the mean. `dataset` is
    the one that was loaded last. At most `samples` samples are taken, spread over all.

    Returns a dict: `accuracy` (0 to 1) and `loss` of classes, `loss` and `perplexity` of words, `loss` of numbers. Raises
    ValueError for a name, a split or a data set that cannot be measured, and for scores of another shape.
    """
    if not isinstance(name, str) or not _WORD.match(name):
        raise ValueError(f"a name is a word of at most 40 letters, digits, `_`, `.` and `-`, not {name!r}")
    if split not in ("test", "train"):
        raise ValueError(f"a split is 'test' or 'train', not {split!r}")
    if dataset is None:
        dataset = next(reversed(_loaded), None)
    if dataset is None:
        raise ValueError("no data set was loaded: load one first, or name it")
    if dataset in _custom_loaders:
        raise ValueError(f"the data set {dataset!r} is the program's own, which nobody held back")
    if dataset not in _loaded:
        load_dataset(dataset)
    half = _loaded[dataset][("train", "test").index(split)]
    with MEASURED.paused(), torch.no_grad(), _evaluating(predict) as scores_of:
        found = _scored(half, scores_of, int(samples), batch_size)
    MEASURED.evaluated({
        "name": name,
        "dataset": dataset,
        "split": split,
        "seed": None if seed is None else int(seed),
        "samples": min(len(half), int(samples)),
        **found,
    })
    return found


@contextlib.contextmanager
def _evaluating(predict):
    """What gives the scores of a batch, on the CPU."""
    if not isinstance(predict, torch.nn.Module):
        yield lambda x: _scores(predict(x))
        return
    place = next((parameter.device for parameter in predict.parameters()), torch.device("cpu"))
    was_training = predict.training
    predict.eval()
    try:
        yield lambda x: _scores(predict(x.to(place) if isinstance(x, torch.Tensor) else x))
    finally:
        predict.train(was_training)


def _scores(scores):
    if not isinstance(scores, torch.Tensor):
        raise ValueError(f"predict gives a tensor of scores, not a {type(scores).__name__}")
    return scores.detach().cpu().float()


def _scored(half, scores_of, samples, batch_size):
    """The mean over at most so many samples of a half."""
    count = min(len(half), samples)
    if count < 1:
        raise ValueError("there is nothing to measure on")
    places = [index * len(half) // count for index in range(count)]
    is_language = torch.as_tensor(half[0][1]).dim() > 0
    size = min(int(batch_size or (10 if is_language else 50)), count)
    loss, right, words, is_finite = 0.0, 0, 0, True
    for begin in range(0, count, size):
        batch = places[begin : begin + size]
        # The last batch is filled up, so that a device sees one shape.
        x, y = default_collate([half[index] for index in batch + places[:1] * (size - len(batch))])
        scores, y = scores_of(x)[: len(batch)], y[: len(batch)]
        for one_scores, one_y in zip(_by_sample(scores, y), y):
            is_finite = is_finite and bool(torch.isfinite(one_scores).all())
            loss += _loss(one_scores, one_y)
            right += int((one_scores.argmax(-1) == one_y).sum())
            words += one_y.numel()
    if y.is_floating_point():
        return {"loss": loss / words if is_finite else math.nan}
    loss = loss / words if is_finite else math.nan
    if is_language:
        return {"loss": loss, "perplexity": math.exp(min(loss, 700.0)) if is_finite else math.nan}
    return {"accuracy": right / words if is_finite else math.nan, "loss": loss}


def _by_sample(scores, y):
    """Scores of one shape for each sample, or why these are none."""
    if y.is_floating_point():
        if scores.numel() != y.numel():
            raise ValueError(f"predict gives as many numbers as there are targets: {list(y.shape)}, not {list(scores.shape)}")
        return scores.reshape(y.shape)
    if y.dim() == 1 and scores.dim() in (1, 2) and scores.numel() == len(y):
        one = scores.reshape(-1)
        scores = torch.stack([torch.zeros_like(one), one], dim=1)
    if scores.dim() != y.dim() + 1 or scores.shape[:-1] != y.shape or scores.shape[-1] <= int(y.max()):
        expected = [*y.shape, f"more than {int(y.max())}"]
        raise ValueError(f"predict gives scores of the shape {expected}, not {list(scores.shape)}")
    return scores


def _loss(scores, y):
    if y.is_floating_point():
        return float(((scores - y) ** 2).sum())
    return float(torch.nn.functional.cross_entropy(scores.reshape(y.numel(), -1), y.reshape(-1), reduction="sum"))


def register_custom_loader(name, function):
    """Has `load_dataset(name, **options)` return `function(folder, **options)`, for this program only.

    `folder` is where a prepared set of that name lies; it need not exist.
    """
    if not callable(function):
        raise TypeError("a loader is a function of a folder")
    _custom_loaders[name] = function


def list_available_datasets():
    """What can be loaded now: `available`, the part of it that was prepared (`in_s3`), and every known name (`registered`)."""
    prepared = _prepared()
    made = ["synthetic", *(f"synthetic_{kind}" for kind in _SYNTHETIC_KINDS)]
    own = sorted(_custom_loaders)
    known = [*NAMES, *made[1:], *prepared, *own]
    return {
        "available": list(dict.fromkeys([*prepared, *made, *own])),
        "in_s3": prepared,
        "registered": list(dict.fromkeys(known)),
    }


def download_dataset(name, force=False):
    """The folder of a prepared set. Nothing is fetched: the agent did that before the program began."""
    _describe(name)
    return _folder_of(name)


def describe_dataset(name):
    """What is said of a prepared set: shapes, types, ranges, classes, sizes."""
    return _describe(name)


def load_vocabulary(name):
    """The words of a set by their number."""
    description = _describe(name)
    if "vocabulary" not in description["files"]:
        raise ValueError(f"the data set {name!r} has no words with numbers")
    with open(_file_of(name, description, "vocabulary"), encoding="utf-8") as file:
        return json.load(file)


def _folder_of(name):
    return os.path.join(os.environ.get("DATASETS_DIR", ""), name)


def _prepared():
    """The prepared sets: those of NAMES in their order, then others."""
    folder = os.environ.get("DATASETS_DIR", "")
    try:
        there = [name for name in sorted(os.listdir(folder)) if _NAME.match(name)]
    except OSError:
        return []
    there = [name for name in there if os.path.isfile(os.path.join(folder, name, "dataset.json"))]
    return [name for name in NAMES if name in there] + [name for name in there if name not in NAMES]


def _describe(name):
    available = list_available_datasets()
    if not isinstance(name, str) or (name not in available["registered"]):
        raise ValueError(f"no data set is called {name!r}: choose one of {', '.join(available['registered'])}")
    if name not in _prepared():
        raise FileNotFoundError(f"the data set {name!r} was not prepared; available: {', '.join(available['available'])}")
    try:
        with open(os.path.join(_folder_of(name), "dataset.json"), encoding="utf-8") as file:
            description = json.load(file)
        if not isinstance(description["files"], dict):
            raise ValueError("it names no files")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RuntimeError(f"the description of the data set {name!r} cannot be read: {error}") from error
    return description


def _file_of(name, description, part):
    file = description["files"][part]["name"]
    if not _FILE.match(file):
        raise RuntimeError(f"the data set {name!r} may not have a file {file!r}")
    return os.path.join(_folder_of(name), file)


def _halves(name, kind, seq_length, max_vocab_size, text):
    if isinstance(name, str) and name.startswith("synthetic"):
        wanted = name[len("synthetic_") :] or {"small": "images", "medium": "images"}.get(kind, kind) or "tabular"
        if wanted not in _SYNTHETIC_KINDS or name[len("synthetic") :][:1] not in ("", "_"):
            raise ValueError(f"no synthetic data are of the kind {wanted!r}: choose one of {', '.join(_SYNTHETIC_KINDS)}")
        return {"tabular": _clusters, "images": _shapes, "tokens": _sentences}[wanted]()
    description = _describe(name)
    try:
        return tuple(_half(name, description, part, seq_length, max_vocab_size, text) for part in ("train", "test"))
    except Exception as error:
        raise RuntimeError(f"the files of the data set {name!r} do not hold one: {error}") from error


def _half(name, description, part, seq_length, max_vocab_size, text):
    tensors = _read(_file_of(name, description, part))
    if description["kind"] == "language":
        length = seq_length or description["input"]["shape"][0]
        tokens = _rarer_as_one(tensors["tokens"], max_vocab_size)
        windows = (len(tokens) - 1) // length
        x = tokens[: windows * length].view(windows, length)
        y = tokens[1 : windows * length + 1].view(windows, length)
        return Pairs(x, y)
    if text:
        if "text" not in tensors:
            raise ValueError("it has no texts")
        return Texts(tensors["text"], tensors["text_ends"], tensors["y"])
    x = tensors["x"]
    if description["kind"] == "text":
        x = _rarer_as_one(x[:, :seq_length], max_vocab_size)
    return Pairs(x, tensors["y"], pictures=description["kind"] == "images")


def _rarer_as_one(tokens, size):
    """The words from `size` on, which are rarer, as the number of an unknown word."""
    return tokens if size is None else torch.where(tokens < size, tokens, torch.ones_like(tokens))


def _as_loaded(value):
    return value if value.is_floating_point() else value.long()


def _read(path):
    """The tensors of a safetensors file by name, mapped from it.

    Eight bytes with the length of the header, the header (JSON: type, shape and place of each tensor), the numbers.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(_HEADER_LIMIT, size - 8):
            raise ValueError(f"a header of {length} bytes in a file of {size}")
        header = json.loads(file.read(length))
        # A copy is made of a page that is written to, so that a program may change what it loaded.
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    header.pop("__metadata__", None)
    return {name: _tensor(mapped, 8 + length, entry) for name, entry in header.items()}


def _tensor(mapped, begin, entry):
    dtype = _DTYPES[entry["dtype"]]
    first, end = entry["data_offsets"]
    count = 1
    for size in entry["shape"]:
        if not isinstance(size, int) or size < 0:
            raise ValueError(f"a shape of {entry['shape']}")
        count *= size
    width = torch.empty((), dtype=dtype).element_size()
    if not 0 <= first <= end <= len(mapped) - begin or end - first != count * width:
        raise ValueError(f"{entry['shape']} does not fill the bytes from {first} to {end}")
    if count == 0:
        return torch.empty(entry["shape"], dtype=dtype)
    return torch.frombuffer(mapped, dtype=dtype, count=count, offset=begin + first).view(entry["shape"])


def _limited(half):
    """At most DATASET_SAMPLES samples, spread over all, so that a set in the order of its classes has them all."""
    limit = os.environ.get("DATASET_SAMPLES", "")
    if not limit:
        return half
    if not limit.isdigit() or int(limit) == 0:
        print(f"DATASET_SAMPLES must be a number from 1, got {limit!r}; left out", file=sys.stderr)
        return half
    count, limit = len(half), int(limit)
    return half if count <= limit else Subset(half, [index * count // limit for index in range(limit)])


def _clusters():
    """Four noisy clusters on the corners of a random simplex; a linear model gets most of them right."""
    generator = torch.Generator().manual_seed(_SEED)
    centres = torch.randn(4, 20, generator=generator) * 0.6
    return tuple(_cluster_samples(centres, size, generator) for size in (_TRAIN_SAMPLES, _TEST_SAMPLES))


def _cluster_samples(centres, size, generator):
    y = torch.randint(len(centres), (size,), generator=generator)
    x = centres[y] + torch.randn(size, centres.shape[1], generator=generator)
    return Pairs(x, y)


def _shapes():
    """Ten shapes of 12 × 12 in a place and a colour by chance, under noise: pictures `[3, 32, 32]` from 0 to 1."""
    generator = torch.Generator().manual_seed(_SEED)
    row, column = torch.meshgrid(torch.arange(12), torch.arange(12), indexing="ij")
    centre = ((row - 5.5) ** 2 + (column - 5.5) ** 2).sqrt()
    shapes = torch.stack([
        centre < 6, (centre < 6) & (centre > 3.5), row < column, (row - column).abs() < 2, row % 4 < 2,
        column % 4 < 2, (row // 3 + column // 3) % 2 == 0, (row < 3) | (column < 3), (row - 5.5).abs() < 2,
        ((row - 5.5).abs() < 2) | ((column - 5.5).abs() < 2),
    ]).float()
    return tuple(_shape_samples(shapes, size, generator) for size in (_TRAIN_SAMPLES, _TEST_SAMPLES))


def _shape_samples(shapes, size, generator):
    y = torch.randint(len(shapes), (size,), generator=generator)
    x = torch.rand(size, 3, 32, 32, generator=generator) * 0.4
    places = torch.randint(0, 21, (size, 2), generator=generator).tolist()
    colours = 0.3 + 0.3 * torch.rand(size, 3, 1, 1, generator=generator)
    for index, (top, left) in enumerate(places):
        x[index, :, top : top + 12, left : left + 12] += colours[index] * shapes[y[index]]
    return Pairs(x, y)


def _sentences():
    """Windows of 64 words of a made-up language of 256, in which a word has four successors after each two words."""
    generator = torch.Generator().manual_seed(_SEED)
    successors = torch.randint(256, (64, 4), generator=generator).tolist()
    length = 64
    count = (_TRAIN_SAMPLES + _TEST_SAMPLES) * length + 1
    choices = torch.randint(8, (count,), generator=generator).tolist()
    words = [0, 1]
    while len(words) < count:
        # The first successor is as likely as the others together.
        choice = max(choices[len(words)] - 4, 0)
        words.append(successors[(7 * words[-1] + words[-2]) % 64][choice])
    words = torch.tensor(words)
    x, y = words[:-1].view(-1, length), words[1:].view(-1, length)
    return Pairs(x[:_TRAIN_SAMPLES], y[:_TRAIN_SAMPLES]), Pairs(x[_TRAIN_SAMPLES:], y[_TRAIN_SAMPLES:])
