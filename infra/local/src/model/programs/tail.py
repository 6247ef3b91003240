def find_device():
    """The environment's device, with torch_xla's module where that is how it is reached, else None."""
    try:
        import torch_xla.core.xla_model as xla

        return xla.xla_device(), xla
    except ImportError:
        pass
    except Exception as error:
        print(f"torch_xla found no device, using the CPU: {error}", file=sys.stderr)
    if hasattr(torch, "accelerator") and torch.accelerator.is_available():
        return torch.accelerator.current_accelerator(), None
    return torch.device("@DEVICE@"), None


def train(model, optimizer, loader, device, xla):
    """Mean loss of each epoch."""
    model.train()
    means = []
    for _ in range(EPOCHS):
        total, batches = torch.zeros((), device=device), 0
        for x, y in loader:
            optimizer.zero_grad()
            scores = model(x.to(device))
            loss = nn.functional.cross_entropy(scores.flatten(0, -2), y.to(device).flatten())
            loss.backward()
            optimizer.step()
            if xla is not None:
                xla.mark_step()
            total = total + loss.detach()
            batches += 1
        means.append(total / batches)
    return torch.stack(means).cpu().tolist()


def trained(make, device, xla):
    """A prediction of held-out data by what `make` gives, after training, and the losses of the epochs."""
    torch.manual_seed(SEED)
    model, optimizer = make(device)
    loader, _ = load()
    losses = train(model, optimizer, loader, device, xla)
    model.eval()

    def predict(x):
        with torch.no_grad():
            return model(x.to(device)).cpu()

    return predict, losses


def plot(losses):
    try:
        from matplotlib import pyplot
    except ImportError:
        print("matplotlib is not installed, no plot", file=sys.stderr)
        return
    pyplot.switch_backend("Agg")
    pyplot.plot(range(1, len(losses) + 1), losses, marker="o")
    pyplot.xlabel("epoch")
    pyplot.ylabel("training loss")
    pyplot.savefig("loss.png")


def main():
    started = time.perf_counter()
    device, xla = find_device()
    print(json.dumps({"paper": PAPER_TITLE, "seed": SEED, "device": str(device), "torch": torch.__version__}), flush=True)
    baseline, _ = trained(make_baseline, device, xla)
    method, losses = trained(make_method, device, xla)
    if not all(math.isfinite(loss) for loss in losses):
        sys.exit("training diverged")
    metrics = {"training_loss": losses[-1], **measure(baseline, method)}
    metrics["seconds"] = time.perf_counter() - started
    rounded = {name: round(value, 6) for name, value in metrics.items()}
    print("METRICS: " + json.dumps(rounded), flush=True)
    plot(losses)


if __name__ == "__main__":
    main()
