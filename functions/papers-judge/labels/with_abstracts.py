"""Puts the abstracts of a folder with the labels' sources into the labels: one JSON object a line on standard output.

The folder has `*.json`, lists of objects with `title` and `abstract`, and `*.csv` with the columns `Document Title` and
`Abstract`, at any depth. A label whose abstract is not found is left out, and the count is said on standard error.
"""

import csv
import json
import pathlib
import sys

LABELS = pathlib.Path(__file__).with_name("judge-2.jsonl")


def key(title):
    return " ".join(title.split())


def abstracts(folder):
    found = {}
    for path in sorted(folder.rglob("*.json")):
        papers = json.loads(path.read_text(encoding="utf-8"))
        for paper in papers if isinstance(papers, list) else []:
            if isinstance(paper, dict) and paper.get("title") and paper.get("abstract"):
                found.setdefault(key(paper["title"]), paper["abstract"])
    for path in sorted(folder.rglob("*.csv")):
        with path.open(encoding="utf-8", errors="replace", newline="") as rows:
            for row in csv.DictReader(rows):
                if row.get("Document Title") and row.get("Abstract"):
                    found.setdefault(key(row["Document Title"]), row["Abstract"])
    return found


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: with_abstracts.py FOLDER")
    found = abstracts(pathlib.Path(sys.argv[1]))
    missing = 0
    for line in LABELS.read_text(encoding="utf-8").splitlines():
        label = json.loads(line)
        text = found.get(key(label["title"]))
        if text is None:
            missing += 1
        else:
            print(json.dumps({**label, "abstract": text}, ensure_ascii=False))
    print(f"{missing} labels without an abstract are left out", file=sys.stderr)


if __name__ == "__main__":
    main()
