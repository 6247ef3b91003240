# expect: success
# tries: to use up process ids with ended children that it does not wait for
made = 0
try:
    for made in range(5000):
        child(lambda: None)
    escaped("5,000 processes at once")
except OSError:
    print(made)
