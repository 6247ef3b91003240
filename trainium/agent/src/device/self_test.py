# Trains three steps on the device that programs of BACKEND are to have. The agent puts BACKEND in front, and runs it
# as it runs a program; the last line on standard error is what a person is told.
import sys

import torch

after_step = None
if BACKEND == "xla":
    import torch_xla.core.xla_model as xm

    device = xm.xla_device()
    kind = xm.xla_device_hw(device)
    if kind != "NEURON":
        sys.exit(f"torch_xla gives a device of kind {kind}, not a NeuronCore")
    after_step = xm.mark_step
elif BACKEND == "torch-neuron":
    device = torch.accelerator.current_accelerator()
    if device is None or device.type != "neuron":
        sys.exit(f"torch {torch.__version__} gives the device {device}, not a NeuronCore")
else:
    if not torch.cuda.is_available():
        sys.exit(f"torch {torch.__version__} sees no GPU")
    device = torch.device("cuda")

torch.manual_seed(0)
inputs = torch.randn(32, 8)
targets = inputs.sum(1, keepdim=True)
inputs, targets = inputs.to(device), targets.to(device)
model = torch.nn.Linear(8, 1).to(device)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
losses = []
for _ in range(3):
    optimizer.zero_grad()
    loss = torch.nn.functional.mse_loss(model(inputs), targets)
    loss.backward()
    optimizer.step()
    if after_step:
        after_step()
    losses.append(loss.item())
if not losses[-1] < losses[0]:
    sys.exit(f"three steps of training left the loss at {losses}")
print("trained")
