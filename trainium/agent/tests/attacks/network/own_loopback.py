# expect: success
# tries: nothing bad: two of its processes talk to each other, as multiprocessing's do
import multiprocessing
with multiprocessing.Pool(2) as pool:
    assert pool.map(abs, [-1, -2, -3]) == [1, 2, 3]
