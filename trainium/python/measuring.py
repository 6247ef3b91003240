"""Sees what a program does: data taken, losses that training begins from, steps of optimisers, evaluations.

`dataset_loader` imports this, so every program that loads data is measured. At the end of the program, and after each
evaluation, what was seen is written to the file MEASURED_FILE, which the agent reads. All of it runs in the program's own
process: it tells a program that does nothing from one that trains, not one that sets out to deceive.

Nothing here waits for a device while a program trains. The losses that are kept are few, evenly spaced over all steps,
and read only some steps later, when the device has long had them.
"""

import atexit
import contextlib
import functools
import json
import math
import os
import sys

import torch
from torch.utils.data import DataLoader

MOST_LOSSES = 64
MOST_OPTIMIZERS = 16
MOST_EVALUATIONS = 64
MOST_DATASETS = 16

# A loss is read when so many later ones are kept.
_LAG = 4


class Series:
    """At most MOST_LOSSES of any number of losses, evenly spaced, the first among them."""

    def __init__(self):
        self.steps = 0
        self._every = 1
        self._kept = []

    def add(self, loss):
        """Counts a step, and keeps the loss (a tensor of one number, or None) where its turn has come."""
        is_due = self.steps % self._every == 0
        self.steps += 1
        if not is_due or loss is None:
            return
        if len(self._kept) == MOST_LOSSES:
            del self._kept[1::2]
            self._every *= 2
            if (self.steps - 1) % self._every:
                return
        self._kept.append(loss)
        if len(self._kept) > _LAG:
            self._read(len(self._kept) - 1 - _LAG)

    def read_all(self):
        for index in range(len(self._kept)):
            self._read(index)

    def losses(self):
        """The losses as JSON has them, a NaN or an infinity as None. Those that a device still has at the end are left out:
        it may be gone by then."""
        return [
            _number(float(loss))
            for loss in self._kept
            if not isinstance(loss, torch.Tensor) or loss.device.type == "cpu"
        ]

    def _read(self, index):
        loss = self._kept[index]
        if isinstance(loss, torch.Tensor):
            self._kept[index] = float(loss)


class Measured:
    """What was seen so far."""

    def __init__(self):
        self.datasets = []
        self.batches = 0
        self.samples = 0
        self.backwards = 0
        self.steps = 0
        self.series = []
        self.evaluations = {}
        self._paused = 0
        self._last_loss = None

    def loaded(self, name):
        if name not in self.datasets and len(self.datasets) < MOST_DATASETS:
            self.datasets.append(name)

    def took(self, samples):
        if not self._paused:
            self.samples += samples

    def took_batch(self):
        if not self._paused:
            self.batches += 1

    @contextlib.contextmanager
    def paused(self):
        """What is taken within it is not the program's own taking."""
        self._paused += 1
        try:
            yield
        finally:
            self._paused -= 1

    def went_backward(self, tensors):
        self.backwards += 1
        loss = tensors if isinstance(tensors, torch.Tensor) else None
        if loss is None and isinstance(tensors, (list, tuple)) and len(tensors) == 1:
            loss = tensors[0]
        self._last_loss = None
        if isinstance(loss, torch.Tensor) and loss.numel() == 1 and loss.is_floating_point():
            # A view would keep all that it is a part of.
            self._last_loss = loss.detach() if loss._base is None else loss.detach().clone()

    def stepped(self, optimizer):
        self.steps += 1
        series = optimizer.__dict__.get("_measured_series")
        if series is None:
            if len(self.series) == MOST_OPTIMIZERS:
                return
            series = optimizer.__dict__["_measured_series"] = Series()
            self.series.append(series)
        series.add(self._last_loss)

    def evaluated(self, evaluation):
        for series in self.series:
            series.read_all()
        key = tuple(evaluation.get(part) for part in ("name", "dataset", "split", "seed"))
        if key in self.evaluations or len(self.evaluations) < MOST_EVALUATIONS:
            self.evaluations[key] = evaluation
        self.write()

    def report(self):
        return {
            "datasets": self.datasets,
            "batches": self.batches,
            "samples": self.samples,
            "backwards": self.backwards,
            "steps": self.steps,
            "optimizers": [{"steps": series.steps, "losses": series.losses()} for series in self.series],
            "evaluations": [
                {key: _number(value) for key, value in evaluation.items()} for evaluation in self.evaluations.values()
            ],
        }

    def write(self):
        """Writes the report. A program that has used up its disk or left its folder has none, and is told so."""
        if not _FILE or os.getpid() != _PROCESS:
            return
        try:
            with open(_FILE + ".part", "w", encoding="utf-8") as file:
                json.dump(self.report(), file, allow_nan=False)
            os.replace(_FILE + ".part", _FILE)
        except OSError as error:
            print(f"what was measured cannot be written: {error}", file=sys.stderr)


def _number(value):
    """A number that JSON has, else None; other values as they are."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


class _Batches:
    """The batches of a DataLoader, counted."""

    def __init__(self, batches):
        self._batches = batches

    def __iter__(self):
        return self

    def __next__(self):
        batch = next(self._batches)
        MEASURED.took_batch()
        return batch

    def __len__(self):
        return len(self._batches)

    def __getattr__(self, name):
        return getattr(self._batches, name)


def _count_batches():
    begin = DataLoader.__iter__

    @functools.wraps(begin)
    def counted(self):
        return _Batches(begin(self))

    DataLoader.__iter__ = counted


def _record_losses():
    # `Tensor.backward` calls it by this name.
    backward = torch.autograd.backward

    @functools.wraps(backward)
    def recorded(tensors, *arguments, **options):
        result = backward(tensors, *arguments, **options)
        MEASURED.went_backward(tensors)
        return result

    torch.autograd.backward = recorded


def _count_steps():
    begin = torch.optim.Optimizer.__init__

    @functools.wraps(begin)
    def began(self, *arguments, **options):
        begin(self, *arguments, **options)
        for owner in type(self).__mro__:
            step = owner.__dict__.get("step")
            if step is not None:
                if not hasattr(step, "_is_measured"):
                    owner.step = _counted_step(step)
                return

    torch.optim.Optimizer.__init__ = began


def _counted_step(step):
    @functools.wraps(step)
    def counted(self, *arguments, **options):
        # A step that calls that of its parent class is one step.
        if self.__dict__.get("_measured_inside"):
            return step(self, *arguments, **options)
        self.__dict__["_measured_inside"] = True
        try:
            result = step(self, *arguments, **options)
        finally:
            self.__dict__["_measured_inside"] = False
        MEASURED.stepped(self)
        return result

    counted._is_measured = True
    return counted


MEASURED = Measured()
_FILE = os.environ.get("MEASURED_FILE")
_PROCESS = os.getpid()
_count_batches()
_record_losses()
_count_steps()
atexit.register(MEASURED.write)
