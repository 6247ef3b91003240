# expect: success
# tries: to change the data sets, the loader and the agent's own binary, which every program after it uses
import glob
for folder in os.environ["DATASETS_DIR"], os.environ["PYTHONPATH"], "/run/annapurna":
    attempt(f"a file in {folder}", os.open, f"{folder}/annapurna-attack", os.O_CREAT | os.O_WRONLY)
    attempt(f"the mode of {folder}", os.chmod, folder, 0o777)
    attempt(f"the times of {folder}", os.utime, folder, (0, 0))
    attempt(f"the name of {folder}", os.rename, folder, folder + "2")
    for path in glob.glob(f"{folder}/**", recursive=True):
        if os.path.isfile(path):
            attempt(f"writing {path}", os.open, path, os.O_WRONLY)
            attempt(f"removing {path}", os.unlink, path)
attempt("the interpreter", os.open, "/proc/self/exe", os.O_WRONLY)
attempt("the first program", os.open, "/proc/1/exe", os.O_WRONLY)
