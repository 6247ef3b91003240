# expect: program_error
# tries: to end or to stop the first process and its parent with every signal there is
# result: return_code=3
for number in range(1, 65):
    for pid in {1, os.getppid()}:
        try:
            os.kill(pid, number)
        except OSError:
            pass
time.sleep(0.3)
sys.exit(3)
