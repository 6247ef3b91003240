"""Trains a small classifier on the synthetic data set and prints its numbers after each epoch.

Filled in by the offline rules of the local model endpoint. Words of the paper chose the model and the
optimizer, the paper's identity chose the seed; no language model took part.
"""

import json
import math
import sys
import time

import torch
from torch import nn
from torch.utils.data import DataLoader

from dataset_loader import load_dataset

PAPER_TITLE = "@TITLE@"
MODEL = "@MODEL@"
OPTIMIZER = "@OPTIMIZER@"
SEED = "@SEED@"
EPOCHS = 8
BATCH_SIZE = 64
HIDDEN = 32
# A slow machine gets fewer epochs. Not on an accelerator, where the first epoch compiles.
CPU_BUDGET_SECONDS = 9.0


class SelfAttention(nn.Module):
    """One head of self-attention in which each feature is a token."""

    def __init__(self, features, classes):
        super().__init__()
        self.value = nn.Parameter(torch.randn(features, HIDDEN) / math.sqrt(HIDDEN))
        self.position = nn.Parameter(torch.randn(features, HIDDEN) / math.sqrt(HIDDEN))
        self.queries_keys_values = nn.Linear(HIDDEN, 3 * HIDDEN)
        self.head = nn.Sequential(nn.LayerNorm(HIDDEN), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, classes))

    def forward(self, x):
        tokens = x.unsqueeze(-1) * self.value + self.position
        queries, keys, values = self.queries_keys_values(tokens).chunk(3, dim=-1)
        weights = torch.softmax(queries @ keys.transpose(1, 2) / math.sqrt(HIDDEN), dim=-1)
        return self.head((tokens + weights @ values).mean(dim=1))


class Convolution(nn.Module):
    """Two one-dimensional convolutions along the features."""

    def __init__(self, features, classes):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(1, HIDDEN // 2, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv1d(HIDDEN // 2, HIDDEN // 2, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(HIDDEN // 2 * features, classes),
        )

    def forward(self, x):
        return self.layers(x.unsqueeze(1))


class Perceptron(nn.Module):
    """Two hidden layers."""

    def __init__(self, features, classes):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(features, 2 * HIDDEN), nn.ReLU(), nn.Linear(2 * HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, classes)
        )

    def forward(self, x):
        return self.layers(x)


MODELS = {"self_attention": SelfAttention, "convolution": Convolution, "perceptron": Perceptron}


def find_device():
    """The accelerator with torch_xla's module for it, else the CPU and None."""
    try:
        import torch_xla.core.xla_model as xla

        return xla.xla_device(), xla
    except ImportError:
        pass
    except Exception as error:
        print(f"torch_xla found no device, using the CPU: {error}", file=sys.stderr)
    return torch.device("cpu"), None


def make_optimizer(model):
    if OPTIMIZER == "sgd":
        return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    return torch.optim.AdamW(model.parameters(), lr=3e-3)


def train_epoch(model, optimizer, loader, device, xla):
    """Mean loss over the epoch, and samples per second."""
    model.train()
    started = time.perf_counter()
    total, samples = torch.zeros((), device=device), 0
    for x, y in loader:
        x, y = x.to(device), y.to(device)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        if xla is not None:
            xla.mark_step()
        total += loss.detach() * len(y)
        samples += len(y)
    mean = total.item() / samples
    return mean, samples / (time.perf_counter() - started)


def evaluate(model, loader, device, xla):
    """Share of samples classified correctly."""
    model.eval()
    correct, samples = torch.zeros((), device=device), 0
    with torch.no_grad():
        for x, y in loader:
            correct += (model(x.to(device)).argmax(dim=1) == y.to(device)).sum()
            samples += len(y)
            if xla is not None:
                xla.mark_step()
    return correct.item() / samples


def plot(losses):
    try:
        import matplotlib
    except ImportError:
        print("matplotlib is not installed, no plot", file=sys.stderr)
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot

    pyplot.plot(range(1, len(losses) + 1), losses, marker="o")
    pyplot.xlabel("epoch")
    pyplot.ylabel("training loss")
    pyplot.savefig("loss.png")


def main():
    started = time.perf_counter()
    torch.manual_seed(SEED)
    device, xla = find_device()
    train, test = load_dataset("synthetic")
    features = train[0][0].numel()
    classes = 1 + max(int(y) for _, y in train)
    order = torch.Generator().manual_seed(SEED)
    train_loader = DataLoader(train, batch_size=BATCH_SIZE, shuffle=True, generator=order)
    test_loader = DataLoader(test, batch_size=BATCH_SIZE)
    model = MODELS[MODEL](features, classes).to(device)
    optimizer = make_optimizer(model)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    about = {"paper": PAPER_TITLE, "model": MODEL, "optimizer": OPTIMIZER, "parameters": parameters}
    print(json.dumps({**about, "device": str(device), "torch": torch.__version__}), flush=True)

    losses = []
    for epoch in range(1, EPOCHS + 1):
        loss, throughput = train_epoch(model, optimizer, train_loader, device, xla)
        if not math.isfinite(loss):
            sys.exit(f"training diverged in epoch {epoch}")
        accuracy = evaluate(model, test_loader, device, xla)
        losses.append(loss)
        metrics = {
            "epoch": epoch,
            "training_loss": round(loss, 6),
            "validation_accuracy": round(accuracy, 6),
            "throughput_samples_per_sec": round(throughput, 1),
        }
        print("METRICS: " + json.dumps(metrics), flush=True)
        if xla is None and time.perf_counter() - started > CPU_BUDGET_SECONDS:
            break
    plot(losses)


if __name__ == "__main__":
    main()
