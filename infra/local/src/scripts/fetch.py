"""Fetches artifacts from Maven Central.

Arguments: the folder to keep them in, then coordinates `group:artifact:version:packaging`. Prints one
file's path a line, in the order asked for. What is already in the folder is not fetched again; whether
a file is the right one is checked by the caller.
"""

import sys
from pathlib import Path

from jgo.maven import MavenContext


def main():
    context = MavenContext(repo_cache=Path(sys.argv[1]), local_repos=[], timeout=60)
    for coordinates in sys.argv[2:]:
        group, artifact, version, packaging = coordinates.split(":")
        wanted = context.project(group, artifact).at_version(version).artifact(packaging=packaging)
        print(wanted.resolve(), flush=True)


main()
