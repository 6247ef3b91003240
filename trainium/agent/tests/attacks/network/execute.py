# expect: success
# tries: to ask the agent for another run
import urllib.request
request = urllib.request.Request(
    f"http://127.0.0.1:{HOST['http']}/execute", b'{"code": "1"}', {"Content-Type": "application/json"})
attempt("the agent answered", urllib.request.urlopen, request, None, 1)
