//! Programs that are well made, in many ways: none is refused.

use annapurna_contract::Backend;

use super::{GOOD, having, seen, with};

fn passes(code: &str, backend: Backend) {
    let report = seen(code, backend);
    assert!(
        report.findings.is_empty(),
        "{backend}: {:#?}\n{code}",
        report.findings
    );
}

#[test]
fn the_good_program_passes_on_every_processor_and_its_facts_are_seen() {
    for backend in [Backend::Xla, Backend::Cpu, Backend::Auto] {
        passes(GOOD, backend);
    }
    let facts = seen(GOOD, Backend::Cpu).facts.unwrap();
    assert_eq!(facts.datasets, ["synthetic"]);
    assert!(facts.has_training_loop && facts.has_evaluation);
    assert!(!facts.uses_distributed_training);
    // The baseline's: the method's sizes are arguments.
    assert_eq!(facts.parameters, 80);
    assert_eq!(facts.lines_of_code, 55);
}

#[test]
fn lines_that_stay_inside_pass() {
    for lines in [
        "import numpy as np\nx = np.zeros(3)",
        "try:\n    from matplotlib import pyplot\nexcept ImportError:\n    pyplot = None",
        "try:\n    import matplotlib\n    matplotlib.use('Agg')\nexcept ImportError:\n    pass\nelse:\n    from matplotlib import pyplot",
        "open('notes.txt', 'w').write('x')",
        "import os\nos.makedirs('plots', exist_ok=True)\nprint(os.path.join('plots', 'a.png'))",
        "import re\npattern = re.compile('a')",
        "method_of = {'a': max}\nprint(method_of['a'](1, 2))",
        "print('see https://example.org/paper')",
        "ratio = 4 / 2\nprint(f'{ratio}/s', 'a/b')",
        "for index, name in enumerate(['a', 'b']):\n    print(index, name)",
        "squares = [n * n for n in range(3)]\nprint({n: n for n in squares})",
        "n = 0\nwhile n < 3:\n    n += 1",
        "while True:\n    if SEED > 3:\n        break",
        "values = iter([1, 2])\nwhile (value := next(values, None)) is not None:\n    print(value)",
        "import functools\nadd = functools.partial(max, 1)\nprint(add(2))",
        "model = torch.compile(nn.Linear(2, 2))",
        "def inner(input):\n    return input\nprint(inner(1))",
        "layers = nn.Sequential(*[nn.Linear(256, 256) for _ in range(4)])",
        "scale = getattr(torch.nn, 'ReLU')()",
        "import sys\nprint(sys.version, file=sys.stderr)",
    ] {
        passes(&having(lines), Backend::Cpu);
    }
}

#[test]
fn experiments_that_are_written_in_other_ways_pass() {
    let measured =
        "    before = evaluate(baseline, split=\"test\", dataset=\"synthetic\", name=\"baseline\")
    after = evaluate(method, split=\"test\", dataset=\"synthetic\", name=\"method\")
";
    let line = "        \"baseline_accuracy\": before[\"accuracy\"],
        \"method_accuracy\": after[\"accuracy\"],
";
    for (from, to) in [
        (
            "load_dataset(\"synthetic\"",
            "load_dataset(name=\"synthetic\"",
        ),
        (
            "            loss.backward()\n            optimizer.step()\n",
            "            step(loss, optimizer)\n",
        ),
        (
            "optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)",
            "optimizer = Signs(model.parameters(), {\"rate\": 1e-3})",
        ),
        ("if __name__ == \"__main__\":\n    main()", "main()"),
        (
            measured,
            "    results = {}\n    for name, model in ((\"baseline\", baseline), (\"method\", method)):\n        results[name] = evaluate(model, dataset=\"synthetic\", name=name)\n    before, after = results[\"baseline\"], results[\"method\"]\n",
        ),
        (
            line,
            "        **{f\"{name}_accuracy\": value for name, value in ((\"baseline\", before[\"accuracy\"]), (\"method\", after[\"accuracy\"]))},\n",
        ),
        ("split=\"test\", ", ""),
        (
            "    for _ in range(EPOCHS):\n",
            "    epoch = 0\n    while epoch < EPOCHS:\n        epoch += 1\n",
        ),
        (
            "\"training_loss\": round(loss, 6),",
            "\"training_loss\": round(loss, 6), \"method_epochs\": EPOCHS,",
        ),
        (
            "import evaluate, load_dataset",
            "import evaluate as measured_on, load_dataset as load",
        ),
    ] {
        let mut code = with(from, to);
        if to.starts_with("            step(") {
            code = code.replace("def main", "def step(loss, optimizer):\n    loss.backward()\n    optimizer.step()\n\n\ndef main");
        }
        if to.contains("Signs(") {
            code = code.replace("def main", "class Signs(torch.optim.Optimizer):\n    @torch.no_grad()\n    def step(self):\n        for group in self.param_groups:\n            for parameter in group[\"params\"]:\n                parameter.sub_(group[\"rate\"] * parameter.grad.sign())\n\n\ndef main");
        }
        if to.contains("measured_on") {
            code = code
                .replace("evaluate(", "measured_on(")
                .replace("load_dataset(", "load(");
        }
        passes(&code, Backend::Xla);
    }
}
