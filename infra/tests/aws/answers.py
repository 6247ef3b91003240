# A function that answers every event alike. Source: Lambda guide, "Using the Lambda runtime API".
import os
from urllib.request import Request, urlopen

API = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation"
while True:
    with urlopen(f"{API}/next") as event:
        event.read()
        request_id = event.headers["Lambda-Runtime-Aws-Request-Id"]
    urlopen(Request(f"{API}/{request_id}/response", b"{}")).close()
