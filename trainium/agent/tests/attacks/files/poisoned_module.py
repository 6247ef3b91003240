# expect: success
# tries: to leave modules that the next program imports without knowing
# runs: 2
import site
if hasattr(sys, "annapurna_poison"):
    escaped("a module of an earlier run was imported")
poison = "import sys\nsys.annapurna_poison = True\n"
places = [".", os.environ["HOME"], os.environ["PYTHONPATH"], site.getusersitepackages(), *sys.path]
for place in places:
    for name in "sitecustomize.py", "usercustomize.py", "poison.pth", "dataset_loader.py", "ctypes.py", "json/__init__.py":
        path = os.path.join(place, name)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as file:
                file.write(poison)
        except OSError:
            pass
