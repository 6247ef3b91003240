//! Programs that are wrong in one place: each is refused by the rule it breaks.

use annapurna_contract::Backend;

use super::{having, seen, with};
use crate::Rule;

const TRAIN: &str = "            loss.backward()\n            optimizer.step()\n";

/// Lines that no program may have, with the rule each breaks.
const LINES: &[(Rule, &str)] = &[
    (Rule::Syntax, "return = 1"),
    (Rule::Syntax, "nonlocal SEED"),
    (Rule::Imports, "import transformers"),
    (Rule::Imports, "from torchvision import models"),
    (Rule::Imports, "from . import helper"),
    (Rule::Imports, "from matplotlib import pyplot"),
    (Rule::Names, "print(undefined_name)"),
    (Rule::Names, "x = np.zeros(3)"),
    (Rule::Network, "import socket"),
    (Rule::Network, "import urllib.request"),
    (Rule::Network, "from requests import get"),
    (
        Rule::Network,
        "torch.load('https://example.org/weights.pt')",
    ),
    (Rule::Process, "import subprocess"),
    (Rule::Process, "import os\nos.system('ls')"),
    (Rule::Process, "from os import popen"),
    (Rule::Process, "import os\nrun = os.system\nrun('ls')"),
    (Rule::Process, "import os\ngetattr(os, 'system')('ls')"),
    (
        Rule::Process,
        "from concurrent.futures import ProcessPoolExecutor",
    ),
    (Rule::Process, "torch.multiprocessing.spawn(main)"),
    (Rule::DynamicCode, "exec('x = 1')"),
    (Rule::DynamicCode, "x = eval('1 + 1')"),
    (Rule::DynamicCode, "compile('x', 'x', 'exec')"),
    (Rule::DynamicCode, "__import__('os')"),
    (Rule::DynamicCode, "import importlib"),
    (Rule::DynamicCode, "import builtins\nbuiltins.exec('x')"),
    (Rule::DynamicCode, "import pickle"),
    (Rule::DynamicCode, "import sys\nsys.modules['os']"),
    (Rule::DynamicCode, "().__class__.__bases__"),
    (Rule::DynamicCode, "main.__globals__"),
    (Rule::NativeCode, "import ctypes"),
    (Rule::NativeCode, "from torch.utils import cpp_extension"),
    (Rule::NativeCode, "torch.ops.load_library('x.so')"),
    (Rule::Input, "name = input()"),
    (Rule::Input, "breakpoint()"),
    (Rule::Paths, "open('/etc/passwd')"),
    (Rule::Paths, "open('/anything', 'w')"),
    (Rule::Paths, "open('../outside.txt', 'w')"),
    (Rule::Paths, "torch.save({}, '/tmp/model.pt')"),
    (Rule::Paths, "root = '~/data'"),
    (Rule::Paths, "import os\nos.chdir('x')"),
    (Rule::Paths, "from pathlib import Path\nPath.home()"),
    (Rule::Device, "x = torch.zeros(1).cuda()"),
    (Rule::Device, "device = torch.device('cuda:0')"),
    (Rule::Device, "torch.cuda.manual_seed_all(1)"),
    (Rule::Downloads, "load_dataset('synthetic', download=True)"),
    (
        Rule::Downloads,
        "model = torch.hub.load('pytorch/vision', 'resnet18')",
    ),
    (Rule::Downloads, "model = nn.Linear.from_pretrained('bert')"),
    (Rule::Size, "model = nn.Linear(200_000, 200_000)"),
    (Rule::Size, "x = torch.zeros(100_000, 100_000)"),
    (Rule::Endless, "while True:\n    pass"),
];

/// What is changed in the good program, to what, and the rule that then is broken.
const EXPERIMENTS: &[(Rule, &str, &str)] = &[
    (
        Rule::DataSet,
        "load_dataset(\"synthetic\"",
        "load_dataset(\"imagenet\"",
    ),
    (
        Rule::DataSet,
        "import evaluate, load_dataset\n",
        "import evaluate\n\n\ndef load_dataset(name, batch_size):\n    return [], []\n",
    ),
    (
        Rule::DataSet,
        "    loader, _ = load_dataset(\"synthetic\", batch_size=BATCH_SIZE)\n",
        "    load_dataset(\"synthetic\")\n    loader = [(torch.randn(4, 20), torch.zeros(4).long())] * 3\n",
    ),
    (
        Rule::DataSet,
        "    loader, _ = load_dataset(\"synthetic\", batch_size=BATCH_SIZE)\n",
        "    loader = [(torch.randn(4, 20), torch.zeros(4).long())] * 3\n",
    ),
    (Rule::Training, TRAIN, "            pass\n"),
    (Rule::Training, TRAIN, "            loss.backward()\n"),
    (Rule::Training, TRAIN, "            optimizer.step()\n"),
    (
        Rule::Training,
        TRAIN,
        "            if False:\n                loss.backward()\n                optimizer.step()\n",
    ),
    (
        Rule::Training,
        TRAIN,
        "            continue\n            loss.backward()\n            optimizer.step()\n",
    ),
    (
        Rule::Training,
        "    train(baseline, device, xm)\n    loss = train(method, device, xm)\n",
        "    loss = 0.5\n",
    ),
    (Rule::Training, "EPOCHS = 3", "EPOCHS = 0"),
    (
        Rule::Training,
        "            optimizer.step()\n",
        "            scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)\n            scheduler.step()\n",
    ),
    (
        Rule::Training,
        "def find_device",
        "def train_step(model):\n    pass\n\n\ndef find_device",
    ),
    (
        Rule::Evaluation,
        "import evaluate, load_dataset\n",
        "import load_dataset\n\n\ndef evaluate(model, split, dataset, name):\n    return {\"accuracy\": len(name)}\n",
    ),
    (Rule::Evaluation, "name=\"baseline\"", "name=\"method\""),
    (Rule::Evaluation, "split=\"test\"", "split=\"train\""),
    (
        Rule::Evaluation,
        "    before = evaluate(",
        "    before = dict(",
    ),
    (Rule::Metrics, "METRICS: ", "RESULTS: "),
    (Rule::Metrics, "\"method_accuracy\"", "\"accuracy\""),
    (Rule::Metrics, "\"baseline_accuracy\"", "\"other_accuracy\""),
    (
        Rule::InventedMetrics,
        "\"method_accuracy\": after[\"accuracy\"]",
        "\"method_accuracy\": 0.99",
    ),
    (
        Rule::InventedMetrics,
        "\"baseline_accuracy\": before[\"accuracy\"]",
        "\"baseline_accuracy\": round(0.5, 3)",
    ),
    (
        Rule::InventedMetrics,
        "\"METRICS: \" + json.dumps(metrics)",
        "'METRICS: {\"baseline_accuracy\": 0.5, \"method_accuracy\": 0.99}'",
    ),
    (
        Rule::Endless,
        "for _ in range(EPOCHS):",
        "import itertools\n    for _ in itertools.count():",
    ),
    (
        Rule::Endless,
        "    for _ in range(EPOCHS):\n",
        "    epoch = 0\n    while epoch < EPOCHS:\n",
    ),
    (
        Rule::Size,
        "nn.Linear(features, 32)",
        "nn.Sequential(*[nn.Linear(8192, 8192) for _ in range(64)])",
    ),
];

/// The same, for what only XLA minds.
const ON_XLA: &[(Rule, &str, &str)] = &[
    (
        Rule::StaticShapes,
        "    total, steps",
        "    loader = torch.utils.data.DataLoader(loader, shuffle=True)\n    total, steps",
    ),
    (
        Rule::StaticShapes,
        "            steps += 1",
        "            steps += x.nonzero().shape[0]",
    ),
    (
        Rule::HostReads,
        "total = total + loss.detach()",
        "total = total + loss.item()",
    ),
    (
        Rule::HostReads,
        "            steps += 1",
        "            steps += len(x.cpu())",
    ),
    (
        Rule::MarkStep,
        "                xm.mark_step()",
        "                pass",
    ),
    (
        Rule::Device,
        "return xm.xla_device(), xm",
        "return torch.device(\"cpu\"), xm",
    ),
    (
        Rule::Device,
        "torch.device(\"cpu\")",
        "torch.device(\"cuda\")",
    ),
];

fn breaks(rule: Rule, code: &str, backend: Backend) {
    let findings = seen(code, backend).findings;
    assert!(
        findings.iter().any(|it| it.rule == rule),
        "{rule} is not in {findings:#?}\n{code}"
    );
}

#[test]
fn a_line_that_leads_outside_breaks_its_rule() {
    for (rule, line) in LINES {
        breaks(*rule, &having(line), Backend::Cpu);
    }
}

#[test]
fn an_experiment_that_shows_nothing_breaks_its_rule() {
    for (rule, from, to) in EXPERIMENTS {
        breaks(*rule, &with(from, to), Backend::Cpu);
    }
    breaks(
        Rule::Training,
        "import json\nprint('METRICS: {}')\n",
        Backend::Cpu,
    );
    breaks(Rule::Training, "import torch\n", Backend::Cpu);
}

#[test]
fn what_costs_xla_its_speed_breaks_its_rule_there_and_nowhere_else() {
    for (rule, from, to) in ON_XLA {
        let code = with(from, to);
        breaks(*rule, &code, Backend::Xla);
        let elsewhere = seen(&code, Backend::Auto).findings;
        assert!(elsewhere.is_empty(), "{elsewhere:#?}\n{code}");
    }
}

#[test]
fn a_finding_names_its_line() {
    let code = having("import subprocess");
    let findings = seen(&code, Backend::Cpu).findings;
    let line = code
        .lines()
        .position(|it| it.contains("subprocess"))
        .unwrap()
        + 1;
    let lines: Vec<Option<u32>> = findings.iter().map(|it| it.line).collect();
    assert_eq!(lines, [u32::try_from(line).ok()], "{findings:?}");
}
