"""Fetches artifacts from a Maven repository.

Arguments: the folder to keep them in, then coordinates `group:artifact:version:packaging`. Prints one
file's path a line, in the order asked for. What is already in the folder is not fetched again; whether
a file is the right one is checked by the caller. The repository is Maven Central, unless the user's jgo
settings give the name `central` to another. What fails is said in one line on standard error.
"""

import sys
from pathlib import Path

from jgo.config import GlobalSettings
from jgo.maven import MavenContext


def main():
    named = GlobalSettings.load().repositories
    repositories = {"central": named["central"]} if "central" in named else None
    folder = Path(sys.argv[1])
    context = MavenContext(repo_cache=folder, local_repos=[], remote_repos=repositories, timeout=60)
    for coordinates in sys.argv[2:]:
        group, artifact, version, packaging = coordinates.split(":")
        wanted = context.project(group, artifact).at_version(version).artifact(packaging=packaging)
        print(wanted.resolve(), flush=True)


try:
    main()
except Exception as error:
    sys.exit(" ".join(f"{type(error).__name__}: {error}".split()))
