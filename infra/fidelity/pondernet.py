import torch


def halting(lambdas):
    still = torch.ones_like(lambdas[0])
    probabilities = []
    for step, stop in enumerate(lambdas):
        if step == len(lambdas) - 1:
            stop = torch.ones_like(stop)
        probabilities.append(still * stop)
        still = still * (1 - stop)
    return torch.stack(probabilities)


def ponder_loss(losses, lambdas, prior_rate=0.2, beta=0.01):
    p = halting(lambdas)
    expected = (p * torch.stack(losses)).sum(0).mean()
    steps = torch.arange(len(lambdas), dtype=p.dtype)
    prior = prior_rate * (1 - prior_rate) ** steps
    prior = (prior / prior.sum()).view(-1, *[1] * (p.dim() - 1))
    divergence = (p * (p.clamp_min(1e-8).log() - prior.log())).sum(0).mean()
    return expected + beta * divergence
