#!/usr/bin/env python3
"""Copies the journal of some units to CloudWatch Logs, for as long as the instance runs.

Arguments: the units. Environment: AWS_REGION, AGENT_LOG_GROUP. State: STATE_DIRECTORY/cursor, the last entry that
CloudWatch has taken, so that nothing is lost over a restart or a time without a connection; what was sent and not yet
noted is sent twice. A stream is named after the instance. Uses the image's aws CLI, as `prepare` does.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Source: CloudWatch Logs API reference, `PutLogEvents`: a batch has at most 1,048,576 bytes, 26 more counted an event,
# 10,000 events, and at most 24 hours between its first and its last.
BATCH_BYTES = 900_000
BATCH_EVENTS = 5_000
BATCH_MILLISECONDS = 23 * 3600 * 1000
# An event has 256 KiB at most by the quota that every region has.
EVENT_BYTES = 200_000
# Seconds between two looks at the journal.
EVERY = 10

GROUP = os.environ["AGENT_LOG_GROUP"]
CURSOR = Path(os.environ["STATE_DIRECTORY"]) / "cursor"


def stream_name():
    """The instance's id, as EC2's Nitro hypervisor writes it into the firmware's tables, else the host's name."""
    try:
        tag = Path("/sys/devices/virtual/dmi/id/board_asset_tag").read_text().strip()
    except OSError:
        tag = ""
    return tag if tag.startswith("i-") else os.uname().nodename


def aws(*words):
    """Calls CloudWatch Logs."""
    command = ["aws", "logs", *words, "--region", os.environ["AWS_REGION"]]
    return subprocess.run(command, capture_output=True, text=True)


def make_stream(stream):
    made = aws("create-log-stream", "--log-group-name", GROUP, "--log-stream-name", stream)
    if made.returncode and "ResourceAlreadyExistsException" not in made.stderr:
        raise OSError(made.stderr.strip())


def entries(units):
    """What came after the cursor, oldest first: cursor, milliseconds since 1970, text."""
    command = ["journalctl", "--output=json", "--all", "--no-pager"]
    command += [f"--unit={unit}" for unit in units]
    if CURSOR.exists():
        command.append(f"--after-cursor={CURSOR.read_text().strip()}")
    with subprocess.Popen(command, stdout=subprocess.PIPE) as journal:
        for line in journal.stdout:
            entry = json.loads(line)
            message = entry.get("MESSAGE") or ""
            # What is no UTF-8 comes as a list of bytes.
            if isinstance(message, list):
                message = bytes(message).decode(errors="replace")
            text = message.encode(errors="replace")[:EVENT_BYTES].decode(errors="ignore")
            # An event without text is refused, and all of its batch with it.
            if text.strip():
                yield entry["__CURSOR"], int(entry["__REALTIME_TIMESTAMP"]) // 1000, text


def batches(units):
    """Entries in as few calls as CloudWatch takes them, each with the cursor of its last."""
    batch, size = [], 0
    for cursor, at, text in entries(units):
        length = len(text.encode()) + 26
        is_full = size + length > BATCH_BYTES or len(batch) == BATCH_EVENTS
        if batch and (is_full or abs(at - batch[0]["timestamp"]) > BATCH_MILLISECONDS):
            yield batch, last
            batch, size = [], 0
        batch.append({"timestamp": at, "message": text})
        size, last = size + length, cursor
    if batch:
        yield batch, last


def send(stream, batch):
    # The clock may have been set back between two entries.
    batch.sort(key=lambda event: event["timestamp"])
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(batch, file)
        file.flush()
        sent = aws("put-log-events", "--log-group-name", GROUP, "--log-stream-name", stream,
                   "--log-events", f"file://{file.name}")
    if sent.returncode:
        raise OSError(sent.stderr.strip())


def note(cursor):
    """Writes the cursor so that a kill leaves the old one or the new one."""
    new = CURSOR.with_suffix(".new")
    new.write_text(cursor)
    new.replace(CURSOR)


def main(units):
    stream, is_made = stream_name(), False
    while True:
        try:
            if not is_made:
                make_stream(stream)
                is_made = True
            for batch, cursor in batches(units):
                send(stream, batch)
                note(cursor)
        except OSError as problem:
            # The journal keeps everything until CloudWatch can be reached again.
            print(f"not sent yet: {problem}", file=sys.stderr, flush=True)
        time.sleep(EVERY)


if __name__ == "__main__":
    main(sys.argv[1:])
