# expect: success
# tries: to raise its own limits
import resource
for name in "NPROC", "CORE", "CPU":
    limit = getattr(resource, f"RLIMIT_{name}")
    hard = resource.getrlimit(limit)[1]
    if hard == resource.RLIM_INFINITY:
        escaped(f"no limit of {name}")
    try:
        resource.setrlimit(limit, (hard + 1, hard + 1))
    except (OSError, ValueError):
        continue
    escaped(f"a higher limit of {name}")
