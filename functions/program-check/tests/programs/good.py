"""A small perceptron against a linear model, both trained with the same budget."""

import json
import math

import torch
from torch import nn

from dataset_loader import evaluate, load_dataset

SEED = 7
EPOCHS = 3
BATCH_SIZE = 64


class Perceptron(nn.Module):
    def __init__(self, features, classes):
        super().__init__()
        self.hidden = nn.Linear(features, 32)
        self.head = nn.Linear(32, classes)

    def forward(self, x):
        return self.head(torch.relu(self.hidden(x)))


def find_device():
    try:
        import torch_xla.core.xla_model as xm

        return xm.xla_device(), xm
    except ImportError:
        return torch.device("cpu"), None


def train(model, device, xm):
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    loader, _ = load_dataset("synthetic", batch_size=BATCH_SIZE)
    total, steps = torch.zeros((), device=device), 0
    for _ in range(EPOCHS):
        for x, y in loader:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x.to(device)), y.to(device))
            loss.backward()
            optimizer.step()
            if xm is not None:
                xm.mark_step()
            total = total + loss.detach()
            steps += 1
    return total.item() / steps


def main():
    torch.manual_seed(SEED)
    device, xm = find_device()
    baseline = nn.Linear(20, 4).to(device)
    method = Perceptron(20, 4).to(device)
    train(baseline, device, xm)
    loss = train(method, device, xm)
    before = evaluate(baseline, split="test", dataset="synthetic", name="baseline")
    after = evaluate(method, split="test", dataset="synthetic", name="method")
    metrics = {
        "training_loss": round(loss, 6),
        "baseline_accuracy": before["accuracy"],
        "method_accuracy": after["accuracy"],
    }
    if math.isfinite(loss):
        print("METRICS: " + json.dumps(metrics), flush=True)


if __name__ == "__main__":
    main()
