"""Stands in for torch where a test is about the agent: what its self-test calls, and a loss that falls."""

from types import SimpleNamespace

__version__ = "0.0+stand-in"
_losses = iter([3.0, 2.0, 1.0])


class _Anything:
    def to(self, device):
        return self

    def sum(self, *shape, **options):
        return self

    def parameters(self):
        return []

    def __call__(self, inputs):
        return self


class _Loss:
    def __init__(self):
        self.value = next(_losses)

    def backward(self):
        pass

    def item(self):
        return self.value


def manual_seed(seed):
    pass


def randn(*shape):
    return _Anything()


nn = SimpleNamespace(
    Linear=lambda *sizes: _Anything(),
    functional=SimpleNamespace(mse_loss=lambda *values: _Loss()),
)
optim = SimpleNamespace(
    SGD=lambda *values, **options: SimpleNamespace(zero_grad=lambda: None, step=lambda: None)
)
