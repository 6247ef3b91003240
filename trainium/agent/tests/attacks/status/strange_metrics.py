# expect: success
# tries: to report what is no number, no text and no JSON
out = sys.stdout.buffer
for value in b"NaN", b"-Infinity", b"1e999999", b"9" * 5000, b'"\xff\xfe"', b'"\\ud800"', b"\0", b'{"__proto__": 1}':
    out.write(b'METRICS: {"value": ' + value + b"}\n")
out.write(b'METRICS: {"": 1, "a b\\n": 2, "' + b"k" * 60_000 + b'": 3}\n')
