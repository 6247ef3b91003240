"""Tests of dataset_loader; `cargo test -p trainium-agent` runs them where an interpreter has torch."""

import json
import os
import struct
import tempfile
import unittest
import warnings

import torch
from torch.utils.data import DataLoader

import dataset_loader
from dataset_loader import NAMES, list_available_datasets, load_dataset, load_vocabulary, register_custom_loader

_TYPES = {torch.uint8: "U8", torch.int32: "I32", torch.int64: "I64", torch.float32: "F32"}


def _accuracy(model, train, test, epochs=5, lr=0.1):
    torch.manual_seed(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    for _ in range(epochs):
        for x, y in DataLoader(train, batch_size=64, shuffle=True):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
    x, y = zip(*(test[index] for index in range(len(test))))
    with torch.no_grad():
        return (model(torch.stack(x)).argmax(1) == torch.stack(y)).float().mean().item()


class Synthetic(unittest.TestCase):
    def test_is_the_same_every_time_whatever_the_programs_seed(self):
        for kind in ("tabular", "images", "tokens"):
            torch.manual_seed(1)
            (first, _), (second, _) = load_dataset("synthetic", kind=kind), load_dataset(f"synthetic_{kind}")
            self.assertTrue(torch.equal(first.x, second.x))
            self.assertTrue(torch.equal(first.y, second.y))

    def test_has_the_promised_shapes(self):
        for kind, x_shape, x_type, y_shape, classes in (
            ("tabular", (20,), torch.float32, (), 4),
            ("images", (3, 32, 32), torch.float32, (), 10),
            ("tokens", (64,), torch.int64, (64,), 256),
        ):
            train, test = load_dataset("synthetic", kind=kind)
            self.assertEqual((len(train), len(test)), (2048, 512))
            x, y = train[0]
            self.assertEqual((x.shape, x.dtype, y.shape, y.dtype), (x_shape, x_type, y_shape, torch.int64))
            self.assertTrue(0 <= int(train.y.min()) and int(train.y.max()) < classes)
            self.assertFalse(torch.equal(train.x[:512], test.x))
        images, _ = load_dataset("synthetic_images")
        self.assertTrue(0 <= images.x.min() and images.x.max() <= 1)

    def test_tabular_is_what_the_name_alone_gives(self):
        self.assertTrue(torch.equal(load_dataset("synthetic")[0].x, load_dataset("synthetic_tabular")[0].x))

    def test_words_for_kinds_of_earlier_programs_are_known(self):
        self.assertEqual(load_dataset("synthetic", variant="small")[0][0][0].shape, (3, 32, 32))
        with self.assertRaisesRegex(ValueError, "tabular, images, tokens"):
            load_dataset("synthetic", kind="sound")
        with self.assertRaisesRegex(ValueError, "tabular, images, tokens"):
            load_dataset("synthetic_sound")

    def test_each_kind_can_be_learned_and_leaves_something_to_compare(self):
        accuracy = _accuracy(torch.nn.Linear(20, 4), *load_dataset("synthetic"))
        self.assertTrue(0.85 < accuracy < 1.0, accuracy)
        torch.manual_seed(0)
        pictures = torch.nn.Sequential(
            torch.nn.Conv2d(3, 16, 5, stride=2), torch.nn.ReLU(), torch.nn.Conv2d(16, 32, 5, stride=2), torch.nn.ReLU(),
            torch.nn.AdaptiveMaxPool2d(1), torch.nn.Flatten(), torch.nn.Linear(32, 10),
        )
        accuracy = _accuracy(pictures, *load_dataset("synthetic_images"), epochs=4, lr=0.005)
        self.assertTrue(0.4 < accuracy < 1.0, accuracy)

    def test_the_next_word_follows_from_the_two_before_it(self):
        train, _ = load_dataset("synthetic_tokens")
        x, y = train[5]
        self.assertTrue(torch.equal(x[1:], y[:-1]))
        pairs = {}
        for row in train.x.tolist():
            for one, two, three in zip(row, row[1:], row[2:]):
                pairs.setdefault((one, two), set()).add(three)
        self.assertLessEqual(max(map(len, pairs.values())), 4)


class Prepared(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        os.environ["DATASETS_DIR"] = self.folder
        self.addCleanup(os.environ.pop, "DATASETS_DIR", None)

    def write(self, name, kind, train, test, vocabulary=None, shape=()):
        folder = os.path.join(self.folder, name)
        os.makedirs(folder, exist_ok=True)
        files = {}
        for part, tensors in (("train", train), ("test", test)):
            files[part] = {"name": f"{part}-{'0a' * 8}.safetensors"}
            header, numbers = {}, b""
            for key, tensor in tensors.items():
                raw = tensor.contiguous().numpy().tobytes()
                place = [len(numbers), len(numbers) + len(raw)]
                header[key] = {"dtype": _TYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": place}
                numbers += raw
            header = json.dumps(header).encode()
            header += b" " * (-len(header) % 8)
            with open(os.path.join(folder, files[part]["name"]), "wb") as file:
                file.write(struct.pack("<Q", len(header)) + header + numbers)
        if vocabulary is not None:
            files["vocabulary"] = {"name": f"vocabulary-{'0b' * 8}.json"}
            with open(os.path.join(folder, files["vocabulary"]["name"]), "w") as file:
                json.dump(vocabulary, file)
        with open(os.path.join(folder, "dataset.json"), "w") as file:
            json.dump({"name": name, "kind": kind, "files": files, "input": {"shape": list(shape)}}, file)
        return os.path.join(folder, files["train"]["name"])

    def pictures(self, name="mnist", count=10):
        x = torch.arange(count * 4, dtype=torch.uint8).view(count, 1, 2, 2)
        y = torch.arange(count).to(torch.uint8)
        return self.write(name, "images", {"x": x, "y": y}, {"x": x[:3], "y": y[:3]})

    def test_pictures_come_as_floats_from_0_to_1(self):
        self.pictures()
        train, test = load_dataset("mnist")
        self.assertEqual((len(train), len(test)), (10, 3))
        x, y = train[9]
        self.assertEqual((x.dtype, x.shape, y.dtype, int(y)), (torch.float32, (1, 2, 2), torch.int64, 9))
        self.assertTrue(torch.allclose(x.reshape(-1), torch.tensor([36.0, 37, 38, 39]) / 255))

    def test_a_name_built_at_run_time_loads(self):
        self.pictures("cifar10")
        self.assertEqual(len(load_dataset("".join(("cifar", str(5 + 5))))[0]), 10)

    def test_loaders_shuffle_the_same_way_and_have_one_shape(self):
        self.pictures()
        orders = []
        for _ in range(2):
            train, test = load_dataset("mnist", batch_size=4)
            orders.append([y.tolist() for _, y in train])
        self.assertEqual(orders[0], orders[1])
        self.assertEqual([len(batch) for batch in orders[0]], [4, 4])
        self.assertNotEqual(orders[0][0], [0, 1, 2, 3])
        self.assertEqual([y.tolist() for _, y in test], [[0, 1, 2]])
        few, _ = load_dataset("mnist", batch_size=64)
        self.assertEqual(sum(len(y) for _, y in few), 10, "a set smaller than a batch is one batch")

    def test_words_can_be_shortened_and_texts_are_there(self):
        x = torch.tensor([[3, 9, 4, 0], [5, 3, 0, 0]], dtype=torch.int32)
        text = "böse" + "good film"
        tensors = {
            "x": x,
            "y": torch.tensor([0, 1], dtype=torch.uint8),
            "text": torch.tensor(list(text.encode()), dtype=torch.uint8),
            "text_ends": torch.tensor([5, 14]),
        }
        self.write("imdb", "text", tensors, tensors, vocabulary=["<pad>", "<unk>"])
        train, _ = load_dataset("imdb", seq_length=3, max_vocab_size=5)
        self.assertEqual(train[0][0].tolist(), [3, 1, 4])
        self.assertEqual(train[0][0].dtype, torch.int64)
        texts, _ = load_dataset("imdb", text=True)
        self.assertEqual([texts[index] for index in range(2)], [("böse", 0), ("good film", 1)])
        self.assertEqual(list(texts), [("böse", 0), ("good film", 1)])
        self.assertEqual(load_vocabulary("imdb"), ["<pad>", "<unk>"])

    def test_a_long_text_is_windows_and_the_next_words(self):
        tokens = {"tokens": torch.arange(11, dtype=torch.int32)}
        self.write("wikitext2", "language", tokens, tokens, shape=(5,))
        train, _ = load_dataset("wikitext2")
        self.assertEqual([(x.tolist(), y.tolist()) for x, y in train], [
            ([0, 1, 2, 3, 4], [1, 2, 3, 4, 5]), ([5, 6, 7, 8, 9], [6, 7, 8, 9, 10]),
        ])
        self.assertEqual(len(load_dataset("wikitext2", seq_length=2)[0]), 5)

    def test_a_dry_run_sees_samples_of_the_whole_set(self):
        self.pictures()
        os.environ["DATASET_SAMPLES"] = "5"
        self.addCleanup(os.environ.pop, "DATASET_SAMPLES", None)
        train, test = load_dataset("mnist")
        self.assertEqual([int(y) for _, y in train], [0, 2, 4, 6, 8])
        self.assertEqual(len(test), 3)
        self.assertEqual(len(load_dataset("synthetic", batch_size=2)[0]), 2)
        os.environ["DATASET_SAMPLES"] = "many"
        self.assertEqual(len(load_dataset("mnist")[0]), 10)

    def test_what_a_program_changes_is_its_own(self):
        path = self.pictures()
        with open(path, "rb") as file:
            before = file.read()
        train, _ = load_dataset("mnist")
        train.x.fill_(7)
        with open(path, "rb") as file:
            self.assertEqual(file.read(), before)
        self.assertAlmostEqual(float(train[0][0].mean()), 7 / 255, places=6)

    def test_a_missing_one_names_what_there_is(self):
        self.pictures("fashion_mnist")
        self.pictures("my_own")
        available = "available: fashion_mnist, my_own, synthetic, "
        with self.assertRaisesRegex(FileNotFoundError, f"'mnist' was not prepared; {available}"):
            load_dataset("mnist")
        self.assertEqual(list_available_datasets()["in_s3"], ["fashion_mnist", "my_own"])
        self.assertEqual(len(load_dataset("my_own")[0]), 10)

    def test_a_half_fetched_set_is_not_there(self):
        self.pictures()
        os.remove(os.path.join(self.folder, "mnist", "dataset.json"))
        with self.assertRaises(FileNotFoundError):
            load_dataset("mnist")

    def test_damage_is_said_and_reads_nothing_beyond_the_file(self):
        header = {"x": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}
        for change, numbers in (
            ({"shape": [5]}, b"1234"),
            ({"shape": [-4]}, b"1234"),
            ({"data_offsets": [0, 400], "shape": [400]}, b"1234"),
            ({"data_offsets": [-4, 0]}, b"1234"),
            ({"dtype": "BOOL"}, b"1234"),
            ({}, b""),
        ):
            path = self.pictures()
            text = json.dumps({"x": {**header["x"], **change}, "y": header["x"]}).encode()
            with open(path, "wb") as file:
                file.write(struct.pack("<Q", len(text)) + text + numbers)
            with self.assertRaisesRegex(RuntimeError, "do not hold one", msg=str(change)):
                load_dataset("mnist")
        for content in (b"", b"\xff" * 8 + b"{}", b"\x02" + b"\0" * 7 + b"{}", b"PK\x03\x04"):
            with open(self.pictures(), "wb") as file:
                file.write(content)
            with self.assertRaisesRegex(RuntimeError, "do not hold one"):
                load_dataset("mnist")

    def test_a_description_leads_to_no_other_file(self):
        self.pictures()
        path = os.path.join(self.folder, "mnist", "dataset.json")
        for name in ("../secret", "/etc/passwd", "train-0a.safetensors\n"):
            with open(path, "w") as file:
                json.dump({"kind": "images", "files": {"train": {"name": name}, "test": {"name": name}}}, file)
            with self.assertRaisesRegex(RuntimeError, "may not have a file"):
                load_dataset("mnist")
        with open(path, "w") as file:
            file.write("[]")
        with self.assertRaisesRegex(RuntimeError, "cannot be read"):
            load_dataset("mnist")

    def test_without_a_folder_only_synthetic_is_there(self):
        del os.environ["DATASETS_DIR"]
        with self.assertRaisesRegex(FileNotFoundError, "available: synthetic, synthetic_tabular"):
            load_dataset("cifar10")


class Names(unittest.TestCase):
    def test_an_unknown_one_is_told_the_known_ones(self):
        for name in ("../../etc/passwd", "MNIST", "", None):
            with self.assertRaisesRegex(ValueError, ", ".join(NAMES)):
                load_dataset(name)

    def test_a_programs_own_loader_is_used(self):
        self.addCleanup(dataset_loader._custom_loaders.clear)
        register_custom_loader("mine", lambda folder, **options: (os.path.basename(folder), options))
        self.assertEqual(load_dataset("mine", batch_size=3, shuffle=False), ("mine", {"shuffle": False, "batch_size": 3}))
        self.assertIn("mine", list_available_datasets()["available"])
        with self.assertRaises(TypeError):
            register_custom_loader("mine", None)

    def test_an_option_that_is_not_known_is_said_and_left_out(self):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            load_dataset("synthetic", num_workers=4)
        self.assertIn("num_workers", str(caught[0].message))


if __name__ == "__main__":
    unittest.main()
