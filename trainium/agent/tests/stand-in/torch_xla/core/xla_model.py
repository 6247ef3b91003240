"""A NeuronCore that is none, where the agent says that there is one."""

import os


def xla_device():
    return "xla:0"


def xla_device_hw(device):
    return os.environ.get("PJRT_DEVICE", "CPU")


def mark_step():
    """Puts a graph where the compiler would."""
    graph = os.path.join(os.environ["NEURON_COMPILE_CACHE_URL"], "neuronxcc-0.0", "MODULE_seed")
    os.makedirs(graph, exist_ok=True)
    with open(os.path.join(graph, "model.neff"), "w") as file:
        file.write("seed")
