"""Makes test_syntax.json: what CPython's own tests compile, and whether CPython takes it.

    python3.10 functions/program-check/tests/data/test_syntax.py > functions/program-check/tests/data/test_syntax.json

Needs a Python that has its own tests (`python3 -c "import test.test_syntax"`). Every example of the documentation tests and
every source that a test compiles is asked of this Python's own compiler, so nothing here is expected by hand.
"""

import builtins
import doctest
import importlib
import json
import sys
import unittest
import warnings

MODULES = ("test_syntax", "test_named_expressions", "test_unpack_ex", "test_positional_only_arg", "test_global")
LIMIT = 4_000


def refused(source):
    try:
        compile(source, "case", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, OverflowError):
        return True
    except (MemoryError, RecursionError):
        return None
    return False


def examples(module):
    """The sources in documentation, also that of what `__test__` names."""
    parser = doctest.DocTestParser()
    texts = [module.__doc__ or "", *(text for text in getattr(module, "__test__", {}).values() if isinstance(text, str))]
    texts += [getattr(value, "__doc__", None) or "" for value in vars(module).values() if isinstance(value, str) is False]
    texts += [value for name, value in vars(module).items() if name in ("doctests", "__doc__") and isinstance(value, str)]
    for text in texts:
        for example in parser.get_examples(text):
            yield example.source


def compiled(module):
    """The sources that its tests compile or run."""
    seen = []
    original = builtins.compile

    def compile_and_keep(source, *others, **named):
        mode = named.get("mode") or (others[1] if len(others) > 1 else "exec")
        if isinstance(source, str) and mode == "exec":
            seen.append(source)
        return original(source, *others, **named)

    def run_and_keep(source, *others):
        if isinstance(source, str):
            seen.append(source)
            source = original(source, "case", "exec", dont_inherit=True)
        return builtins.exec(source, *others)

    module.compile, module.exec = compile_and_keep, run_and_keep
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    unittest.TextTestRunner(stream=open("/dev/null", "w")).run(suite)
    return seen


def main():
    warnings.simplefilter("ignore")
    cases = {}
    for name in MODULES:
        module = importlib.import_module(f"test.{name}")
        for source in [*examples(module), *compiled(module)]:
            answer = refused(source)
            if answer is not None and len(source) <= LIMIT and "\0" not in source:
                cases.setdefault(source, answer)
    json.dump(
        {
            "python": "{}.{}.{}".format(*sys.version_info),
            "notice": "From CPython's Lib/test. Copyright (c) 2001 Python Software Foundation; All Rights Reserved. "
            "Licensed under the PSF License Agreement, version 2: see LICENCE-PSF.txt.",
            "refused": [source for source, answer in cases.items() if answer],
            "taken": [source for source, answer in cases.items() if not answer],
        },
        sys.stdout,
        indent=0,
    )
    print()


main()
