# expect: success
# tries: to have the agent's stack end in numbers that are nested deeply
print("METRICS:", '{"a":' * 20_000 + "1" + "}" * 20_000)
print("METRICS:", '{"a": ' + "[" * 30_000)
