"""Tests of what is measured; `cargo test -p trainium-agent` runs them where an interpreter has torch."""

import copy
import json
import math
import os
import subprocess
import sys
import tempfile
import unittest

import torch
from torch.utils.data import DataLoader

import dataset_loader
import measuring
from dataset_loader import evaluate, load_dataset


class Fresh(unittest.TestCase):
    """Each test begins with nothing measured."""

    def setUp(self):
        measuring.MEASURED.__init__()
        torch.manual_seed(0)

    def report(self):
        return json.loads(json.dumps(measuring.MEASURED.report(), allow_nan=False))


class Losses(unittest.TestCase):
    def test_are_few_evenly_spaced_and_begin_with_the_first(self):
        for count in (1, 63, 64, 65, 1000, 12345):
            series = measuring.Series()
            for step in range(count):
                series.add(torch.tensor(float(step)))
            losses = series.losses()
            self.assertEqual(series.steps, count)
            self.assertLessEqual(len(losses), measuring.MOST_LOSSES)
            self.assertGreaterEqual(len(losses), min(count, measuring.MOST_LOSSES // 2))
            distances = {after - before for before, after in zip(losses, losses[1:])}
            self.assertLessEqual(len(distances), 1)
            self.assertEqual(losses[0], 0)
            self.assertGreater(losses[-1], count * 0.9 - 2)

    def test_a_number_that_json_lacks_is_none(self):
        series = measuring.Series()
        for loss in (1.0, math.nan, math.inf):
            series.add(torch.tensor(loss))
        self.assertEqual(series.losses(), [1.0, None, None])


class Training(Fresh):
    def test_steps_losses_and_batches_are_counted_for_each_optimizer(self):
        train, _ = load_dataset("synthetic", batch_size=256)
        for learning_rate in (0.1, 0.01):
            model = torch.nn.Linear(20, 4)
            optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=0.9)
            schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1)
            for x, y in train:
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(model(x), y).backward()
                optimizer.step()
            schedule.step()
            copy.deepcopy(optimizer)
        report = self.report()
        self.assertEqual((report["batches"], report["backwards"], report["steps"]), (16, 16, 16))
        self.assertEqual([series["steps"] for series in report["optimizers"]], [8, 8])
        self.assertEqual([len(series["losses"]) for series in report["optimizers"]], [8, 8])
        self.assertGreater(report["optimizers"][0]["losses"][0], report["optimizers"][0]["losses"][-1])

    def test_a_step_of_a_class_of_the_programs_own_is_one_step(self):
        class Own(torch.optim.SGD):
            def step(self, closure=None):
                return super().step(closure)

        class FromNothing(torch.optim.Optimizer):
            def __init__(self, parameters):
                super().__init__(parameters, {})

            @torch.no_grad()
            def step(self):
                for group in self.param_groups:
                    for parameter in group["params"]:
                        parameter -= 0.1 * parameter.grad

        model = torch.nn.Linear(2, 1)
        for optimizer in (
            torch.optim.SGD(model.parameters(), lr=0.1),
            Own(model.parameters(), lr=0.1),
            FromNothing(model.parameters()),
            torch.optim.LBFGS(model.parameters(), max_iter=1),
        ):
            def closure():
                optimizer.zero_grad()
                loss = model(torch.ones(3, 2)).square().mean()
                loss.backward()
                return loss

            before = measuring.MEASURED.steps
            closure()
            optimizer.step(closure) if isinstance(optimizer, torch.optim.LBFGS) else optimizer.step()
            self.assertEqual(measuring.MEASURED.steps, before + 1, type(optimizer))
        self.assertEqual([len(series["losses"]) for series in self.report()["optimizers"]], [1, 1, 1, 1])

    def test_what_is_no_loss_is_not_kept(self):
        weight = torch.nn.Parameter(torch.ones(3))
        optimizer = torch.optim.SGD([weight], lr=0.1)
        (weight * 2).backward(torch.ones(3))
        optimizer.step()
        torch.autograd.backward([weight.sum(), weight.sum()])
        optimizer.step()
        report = self.report()
        self.assertEqual((report["backwards"], report["steps"]), (2, 2))
        self.assertEqual(report["optimizers"][0]["losses"], [])

    def test_many_optimizers_and_names_take_little(self):
        for _ in range(100):
            weight = torch.nn.Parameter(torch.ones(1))
            optimizer = torch.optim.SGD([weight], lr=0.1)
            weight.sum().backward()
            optimizer.step()
        self.assertEqual(len(self.report()["optimizers"]), measuring.MOST_OPTIMIZERS)
        self.assertEqual(self.report()["steps"], 100)

    def test_samples_taken_by_hand_count_and_evaluations_do_not(self):
        train, _ = load_dataset("synthetic")
        self.assertEqual(self.report()["samples"], 0)
        train[3]
        self.assertEqual(self.report()["samples"], 1)
        train.x
        self.assertEqual(self.report()["samples"], 1 + 2048)
        evaluate(torch.nn.Linear(20, 4))
        self.assertEqual((self.report()["samples"], self.report()["batches"]), (2049, 0))
        self.assertEqual(len(DataLoader(train, batch_size=1024)), 2)
        self.assertEqual(len(list(DataLoader(train, batch_size=1024))), 2)
        self.assertEqual(self.report()["batches"], 2)


class Evaluations(Fresh):
    def test_classes_words_and_two_classes(self):
        _, test = load_dataset("synthetic_tabular")
        right = {tuple(x.tolist()): int(y) for x, y in (test[index] for index in range(len(test)))}

        def perfect(x):
            return torch.nn.functional.one_hot(torch.tensor([right[tuple(row.tolist())] for row in x]), 4) * 100.0

        found = evaluate(perfect, name="method")
        self.assertEqual(found["accuracy"], 1.0)
        self.assertLess(found["loss"], 1e-6)
        found = evaluate(lambda x: torch.zeros(len(x), 4), name="baseline")
        self.assertAlmostEqual(found["loss"], math.log(4), places=5)
        load_dataset("synthetic_tokens")
        found = evaluate(lambda x: torch.zeros(*x.shape, 256), samples=30)
        self.assertAlmostEqual(found["perplexity"], 256, places=1)
        self.assertNotIn("accuracy", found)
        names = [(it["name"], it["dataset"], it["samples"]) for it in self.report()["evaluations"]]
        self.assertEqual(
            names,
            [("method", "synthetic_tabular", 512), ("baseline", "synthetic_tabular", 512), ("method", "synthetic_tokens", 30)],
        )

    def test_every_batch_has_one_shape_and_each_sample_counts_once(self):
        shapes, n_samples = set(), 0

        def predict(x):
            nonlocal n_samples
            n_samples += len(x)
            shapes.add(tuple(x.shape))
            return torch.zeros(len(x), 4)

        load_dataset("synthetic")
        evaluate(predict, samples=130, batch_size=60)
        self.assertEqual((shapes, n_samples), ({(60, 20)}, 180))
        self.assertEqual(self.report()["evaluations"][0]["samples"], 130)

    def test_a_module_is_evaluated_in_its_mode_and_left_in_the_other(self):
        modes = []

        class Model(torch.nn.Linear):
            def forward(self, x):
                modes.append((self.training, torch.is_grad_enabled()))
                return super().forward(x)

        load_dataset("synthetic")
        model = Model(20, 4)
        evaluate(model)
        self.assertEqual(set(modes), {(False, False)})
        self.assertTrue(model.training)

    def test_the_last_of_the_same_counts_and_seeds_stand_beside_each_other(self):
        load_dataset("synthetic")
        for seed in (1, 2):
            for score in (0.0, 1.0):
                evaluate(lambda x: torch.full((len(x), 4), score), seed=seed)
        seeds = [it["seed"] for it in self.report()["evaluations"]]
        self.assertEqual(seeds, [1, 2])

    def test_a_score_that_is_no_number_is_told(self):
        load_dataset("synthetic")
        found = evaluate(lambda x: torch.full((len(x), 4), math.nan))
        self.assertTrue(math.isnan(found["accuracy"]) and math.isnan(found["loss"]))
        self.assertIsNone(self.report()["evaluations"][0]["accuracy"])

    def test_what_cannot_be_measured_is_refused_with_what_can(self):
        with self.assertRaisesRegex(ValueError, "no data set was loaded"):
            dataset_loader._loaded.clear()
            evaluate(lambda x: x)
        load_dataset("synthetic")
        for options, message in (
            ({"split": "validation"}, "'test' or 'train'"),
            ({"name": "a b"}, "a word of at most 40"),
            ({"name": "x" * 41}, "a word of at most 40"),
            ({"dataset": "imagenet"}, "imagenet"),
            ({"samples": 0}, "nothing to measure on"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                evaluate(lambda x: torch.zeros(len(x), 4), **options)
        for scores in (torch.zeros(50, 2), torch.zeros(50, 4, 1), torch.zeros(7, 4)):
            with self.assertRaisesRegex(ValueError, "scores of the shape"):
                evaluate(lambda x: scores)
        with self.assertRaisesRegex(ValueError, "not a list"):
            evaluate(lambda x: [0.0])
        self.assertEqual(self.report()["evaluations"], [])


class File(unittest.TestCase):
    def run_program(self, code):
        with tempfile.TemporaryDirectory() as folder:
            file = os.path.join(folder, "report.json")
            here = os.path.dirname(os.path.abspath(__file__))
            environment = {**os.environ, "MEASURED_FILE": file, "PYTHONPATH": here}
            ended = subprocess.run([sys.executable, "-B", "-c", code], env=environment, capture_output=True, text=True)
            report = None
            if os.path.exists(file):
                with open(file, encoding="utf-8") as read:
                    report = json.load(read)
            return ended, report

    def test_is_written_at_the_end_however_the_program_ends(self):
        loads = "from dataset_loader import load_dataset; load_dataset('synthetic')\n"
        for end, code in (("", 0), ("raise SystemExit(3)", 3), ("1 / 0", 1)):
            ended, report = self.run_program(loads + end)
            self.assertEqual(ended.returncode, code, ended.stderr)
            self.assertEqual(report["datasets"], ["synthetic"])

    def test_a_child_process_writes_none(self):
        code = "import os, dataset_loader\nif os.fork() == 0: raise SystemExit(0)\nos.wait(); os._exit(0)"
        ended, report = self.run_program(code)
        self.assertEqual((ended.returncode, report), (0, None))


if __name__ == "__main__":
    unittest.main()
