EPOCHS = 10


def load():
    return load_dataset("synthetic", batch_size=BATCH_SIZE)


class AdaptiveMoments(torch.optim.Optimizer):
    """Steps by the running mean of the gradients over the root of the running mean of their squares."""

    def __init__(self, parameters, rate, decay=(0.9, 0.999), epsilon=1e-8):
        super().__init__(parameters, {"rate": rate, "decay": decay, "epsilon": epsilon})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            first, second = group["decay"]
            for parameter in group["params"]:
                gradient = parameter.grad
                if gradient is None:
                    continue
                state = self.state[parameter]
                # Claim 1.
                if not state:
                    state["mean"], state["square"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
                    state["first"], state["second"] = torch.ones_like(parameter), torch.ones_like(parameter)
                # Claim 2.
                state["mean"].mul_(first).add_(gradient, alpha=1 - first)
                # Claim 3.
                state["square"].mul_(second).addcmul_(gradient, gradient, value=1 - second)
                # Claim 4.
                mean = state["mean"] / (1 - state["first"].mul_(first))
                square = state["square"] / (1 - state["second"].mul_(second))
                # Claim 5.
                parameter.sub_(group["rate"] * mean / (square.sqrt() + group["epsilon"]))


def make_model():
    return nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 4))


def make_method(device):
    model = make_model().to(device)
    return model, AdaptiveMoments(model.parameters(), rate=1e-3)


def make_baseline(device):
    # Claim 6.
    model = make_model().to(device)
    return model, torch.optim.SGD(model.parameters(), lr=1e-3)


def measure(baseline, method):
    held_out = evaluate(baseline, split="test", dataset="synthetic", name="baseline")
    of_method = evaluate(method, split="test", dataset="synthetic", name="method")
    return {
        "baseline_accuracy": held_out["accuracy"],
        "method_accuracy": of_method["accuracy"],
        "validation_accuracy": of_method["accuracy"],
    }


