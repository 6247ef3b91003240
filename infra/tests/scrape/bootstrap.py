#!/usr/bin/env python3
"""Answers as the scraper does, without any paper: windows of four papers, two papers a call."""

import json
import os
import time
import urllib.request

FOLDER = "@FOLDER@"


class InvalidRequest(Exception):
    pass


class SourceUnavailable(Exception):
    pass


def once(name):
    """True the first time, in whatever process."""
    try:
        os.close(os.open(os.path.join(FOLDER, name), os.O_CREAT | os.O_EXCL))
        return True
    except FileExistsError:
        return False


def summary():
    return {"source": "ICLR", "found": 0, "stored": 0, "queued": 0, "already": 0,
            "metadata_only": 0, "failed": [], "cursor": None}


def window(name):
    return {"source": "ICLR", "year": 2025, "list_key": name, "n_papers": 4, "share": 2, "next": 0,
            "done": False, "blocked": False, "rest_seconds": 0, "n_blocked": 0, "only": "",
            "held_back": "", "metadata_kept": 0, "evidence": [], "settled": summary()}


def handle(event):
    with open(os.path.join(FOLDER, "calls"), "a") as calls:
        calls.write(json.dumps({**event, "at": time.time()}) + "\n")
    return STEPS[event["step"]](event)


def plan_of(event):
    if event["request"].get("topic_filter") == "nonsense":
        raise InvalidRequest("no topic `nonsense`")
    return {"source": "ICLR", "windows": [window(name) for name in "abcd"], "round": 0,
            "fruitless": 0, "settled": 0, "cursor": None, "again": False, "wait_seconds": 0, "summary": None}


def take(event):
    window = event["window"]
    if window["list_key"] == "b" and once("refusal"):
        raise SourceUnavailable("the site is away")
    if window["list_key"] == "c" and window["next"] == 2 and once("end"):
        raise InvalidRequest("nobody takes this window on")
    window["blocked"] = window["list_key"] == "d" and once("blockade")
    if window["blocked"]:
        window["rest_seconds"], window["n_blocked"] = 3, 1
        return window
    n_taken = 2
    window["next"] += n_taken
    for count in ("found", "stored", "queued"):
        window["settled"][count] += n_taken
    window["done"] = window["next"] >= 4 or bool(window["only"])
    return window


def summarize(event):
    plan = event["plan"]
    plan["round"] += 1
    given_up = [it for it in plan["windows"] if "error" in it]
    total = plan["summary"] or summary()
    for it in plan["windows"]:
        for count in ("found", "stored", "queued"):
            total[count] += it["settled"][count] if it not in given_up else 0
    plan["again"] = bool(given_up)
    plan["wait_seconds"] = 2
    plan["summary"] = total
    plan["windows"] = given_up
    for it in given_up:
        error = it.pop("error")
        assert error["Error"] == "InvalidRequest", error
        assert json.loads(error["Cause"])["errorMessage"] == "nobody takes this window on"
        it["only"] = "2-3"
        it["next"] = 0
    return plan


STEPS = {"list": plan_of, "window": take, "summarize": summarize}


def serve():
    """Lambda's Runtime API, as the real function speaks it."""
    base = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation"
    while True:
        with urllib.request.urlopen(f"{base}/next") as answer:
            request_id = answer.headers["Lambda-Runtime-Aws-Request-Id"]
            event = json.load(answer)
        try:
            path, body = "response", handle(event)
        except Exception as error:
            path, body = "error", {"errorType": type(error).__name__, "errorMessage": str(error)}
        body = json.dumps(body).encode()
        urllib.request.urlopen(f"{base}/{request_id}/{path}", data=body).close()


serve()
