"""Tests of dataset_loader; `cargo test -p trainium-agent` runs them where an interpreter has torch."""

import os
import tempfile
import unittest

import torch
from torch.utils.data import DataLoader

from dataset_loader import NAMES, load_dataset


class Synthetic(unittest.TestCase):
    def test_is_the_same_every_time_whatever_the_programs_seed(self):
        torch.manual_seed(1)
        (first, _), (second, _) = load_dataset("synthetic"), load_dataset("synthetic")
        self.assertTrue(torch.equal(first.x, second.x))
        self.assertTrue(torch.equal(first.y, second.y))

    def test_has_the_promised_shapes(self):
        train, test = load_dataset("synthetic")
        self.assertEqual((len(train), len(test)), (2048, 512))
        x, y = train[0]
        self.assertEqual((x.shape, x.dtype, y.dtype), ((20,), torch.float32, torch.int64))
        self.assertEqual(sorted(set(train.y.tolist())), [0, 1, 2, 3])

    def test_train_and_test_differ(self):
        train, test = load_dataset("synthetic")
        self.assertFalse(torch.equal(train.x[:512], test.x))

    def test_can_be_learned(self):
        torch.manual_seed(0)
        train, test = load_dataset("synthetic")
        model = torch.nn.Linear(20, 4)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(5):
            for x, y in DataLoader(train, batch_size=64, shuffle=True):
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(model(x), y).backward()
                optimizer.step()
        accuracy = (model(test.x).argmax(1) == test.y).float().mean().item()
        self.assertGreater(accuracy, 0.85)
        self.assertLess(accuracy, 1.0, "without noise there is nothing to compare")


class Prepared(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        os.environ["DATASETS_DIR"] = self.folder
        self.addCleanup(os.environ.pop, "DATASETS_DIR", None)

    def write(self, name, content):
        torch.save(content, os.path.join(self.folder, f"{name}.pt"))

    def test_is_read_from_its_file(self):
        x, y = torch.zeros(3, 1, 28, 28), torch.tensor([1, 2, 3])
        self.write("mnist", {"train": (x, y), "test": (x[:1], y[:1])})
        train, test = load_dataset("mnist")
        self.assertEqual((len(train), len(test), int(train[2][1])), (3, 1, 3))

    def test_a_missing_one_names_what_there_is(self):
        x = torch.zeros(1)
        self.write("imdb", {"train": (x, x), "test": (x, x)})
        with self.assertRaisesRegex(FileNotFoundError, "'mnist' was not prepared; available: imdb, synthetic"):
            load_dataset("mnist")

    def test_a_file_that_holds_something_else_is_refused(self):
        self.write("mnist", {"train": (torch.zeros(2), torch.zeros(3)), "test": 1})
        with self.assertRaisesRegex(RuntimeError, "does not hold one"):
            load_dataset("mnist")

    def test_without_a_folder_only_synthetic_is_there(self):
        del os.environ["DATASETS_DIR"]
        with self.assertRaisesRegex(FileNotFoundError, "available: synthetic$"):
            load_dataset("cifar10")


class Names(unittest.TestCase):
    def test_an_unknown_one_is_told_the_known_ones(self):
        for name in ("../../etc/passwd", "MNIST", ""):
            with self.assertRaisesRegex(ValueError, ", ".join(NAMES)):
                load_dataset(name)


if __name__ == "__main__":
    unittest.main()
