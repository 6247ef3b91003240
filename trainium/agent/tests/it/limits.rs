//! What the kernel holds a program to, and what is left of one that tried to get more.

use std::time::{Duration, Instant};

use trainium_agent::{End, LimitHit, Limits, Run};

use crate::support::{Bench, MIB, limits, needs_torch};

fn err(run: &Run) -> String {
    String::from_utf8_lossy(&run.stderr.bytes).into_owned()
}

fn out(run: &Run) -> String {
    String::from_utf8_lossy(&run.stdout.bytes).into_owned()
}

/// Less than the machine has, more than Python needs.
fn narrow() -> Limits {
    Limits {
        memory_bytes: 200 * MIB,
        ..limits()
    }
}

#[test]
fn memory_counts_wherever_it_is() {
    let Some(bench) = Bench::best() else { return };
    for (what, code) in [
        ("heap", "x = bytearray(400 << 20)"),
        (
            "four processes",
            "import os, time\n\
             for _ in range(4):\n\
             \x20   if os.fork() == 0: x = bytearray(90 << 20); time.sleep(3600)\n\
             time.sleep(3600)",
        ),
        (
            "memfd",
            "import os\n\
             for n in range(40): os.write(os.memfd_create(str(n)), bytes(10 << 20))",
        ),
        (
            "shared memory",
            "for n in range(40): open(f'/dev/shm/{n}', 'wb').write(bytes(10 << 20))",
        ),
        (
            "anonymous shared map",
            "import mmap\nx = mmap.mmap(-1, 400 << 20)\nfor n in range(0, len(x), 4096): x[n] = 1",
        ),
    ] {
        let run = bench.run(code, narrow());
        assert_eq!(
            run.end,
            End::Limit(LimitHit::Memory),
            "{what}: {}",
            err(&run)
        );
        assert!(run.usage.peak_memory_bytes <= 200 * MIB, "{what}");
    }
}

#[test]
fn buffers_of_sockets_and_pipes_count_too() {
    let Some(bench) = Bench::best() else { return };
    let code = "import socket\n\
                held, sent = [], 0\n\
                try:\n\
                \x20   while sent < 900 << 20:\n\
                \x20       pair = socket.socketpair()\n\
                \x20       pair[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)\n\
                \x20       pair[0].setblocking(False)\n\
                \x20       held.append(pair)\n\
                \x20       try:\n\
                \x20           while True: sent += pair[0].send(bytes(65536))\n\
                \x20       except BlockingIOError: pass\n\
                except OSError: pass\n\
                print('escaped' if sent > 300 << 20 else 'held')";
    let run = bench.run(code, narrow());
    assert!(!out(&run).contains("escaped"), "{:?}", run.end);
}

#[test]
fn pages_that_processes_share_count_once() {
    let Some(bench) = Bench::best() else { return };
    let code = "import os\n\
                shared = bytearray(b'x') * (120 << 20)\n\
                for _ in range(6):\n\
                \x20   if os.fork() == 0:\n\
                \x20       assert sum(shared[::4096]) > 0\n\
                \x20       import time; time.sleep(0.5); os._exit(0)\n\
                for _ in range(6): assert os.wait()[1] == 0\n";
    let run = bench.run(code, narrow());
    assert_eq!(run.end, End::Exited(0), "{}", err(&run));
}

#[test]
fn data_loaders_with_workers_are_not_counted_six_times() {
    let Some(bench) = Bench::best() else { return };
    if needs_torch(&bench.sandbox.parts().interpreter).is_none() {
        return;
    }
    let code = "import torch\n\
                from torch.utils.data import DataLoader, TensorDataset\n\
                data = TensorDataset(torch.zeros(150, 1 << 18))\n\
                seen = sum(len(batch[0]) for batch in DataLoader(data, batch_size=2, num_workers=6))\n\
                print(seen == 150)";
    let limits = Limits {
        memory_bytes: 768 * MIB,
        processes: 256,
        ..limits()
    };
    let run = bench.run(code, limits);
    assert_eq!(out(&run), "True\n", "{:?} {}", run.end, err(&run));
}

#[test]
fn files_are_limited_however_they_are_hidden() {
    let Some(bench) = Bench::best() else { return };
    for (what, code) in [
        ("one", "open('big', 'wb').write(bytes(64 << 20))"),
        (
            "many",
            "import os\n\
             for n in range(100): open(f'{os.environ[\"TMPDIR\"]}/{n}', 'wb').write(bytes(1 << 20))",
        ),
        (
            "unlinked",
            "import os\n\
             file = open('gone', 'wb'); os.unlink('gone')\n\
             file.write(bytes(64 << 20)); file.flush()",
        ),
        (
            "without a name",
            "import os\n\
             fd = os.open('.', os.O_TMPFILE | os.O_WRONLY)\n\
             for _ in range(64): os.write(fd, bytes(1 << 20))",
        ),
        (
            "number",
            "for n in range(150_000): open(str(n), 'w').close()",
        ),
    ] {
        let begin = Instant::now();
        let run = bench.run(code, limits());
        assert_eq!(run.end, End::Limit(LimitHit::Disk), "{what}: {}", err(&run));
        assert!(begin.elapsed() < Duration::from_secs(60), "{what}");
    }
}

#[test]
fn nothing_of_a_run_outlives_it_however_deep_it_was() {
    let Some(bench) = Bench::best() else { return };
    let code = "import os\n\
                for _ in range(1500):\n\
                \x20   os.mkdir('nested'); os.chdir('nested')\n\
                open('plot.png', 'w').write('x')\n\
                os.chmod('.', 0)";
    let run = bench.run(code, limits());
    assert_eq!(run.end, End::Exited(0), "{}", err(&run));
    drop(run);
    let again = bench.run(
        "import os; print(os.listdir('.'), os.listdir('/tmp'))",
        limits(),
    );
    assert_eq!(out(&again), "['program.py'] []\n", "{}", err(&again));
}

#[test]
fn threads_and_processes_are_refused_to_the_program_and_not_to_its_neighbour() {
    let Some(bench) = Bench::best() else { return };
    let bomb = "import threading, time\n\
                try:\n\
                \x20   for n in range(5000): threading.Thread(target=time.sleep, args=(3,), daemon=True).start()\n\
                except RuntimeError: print('refused', n < 64, flush=True)\n\
                time.sleep(2)";
    std::thread::scope(|scope| {
        let bomb = scope.spawn(|| bench.run_in(0, bomb, limits()));
        let neighbour = "import threading, time\n\
                         for _ in range(40): threading.Thread(target=time.sleep, args=(1,)).start()\n\
                         print('started')";
        for _ in 0..3 {
            let run = bench.run_in(1, neighbour, limits());
            assert_eq!(out(&run), "started\n", "{}", err(&run));
        }
        assert_eq!(out(&bomb.join().unwrap()), "refused True\n");
    });
}

/// Calls by number and arguments that must fail, and what they would do.
const CALLS: &str = "import ctypes, platform\n\
    lib = ctypes.CDLL(None, use_errno=True)\n\
    def call(number, *arguments):\n\
    \x20   return lib.syscall(number, *arguments) >= 0\n\
    x86 = platform.machine() == 'x86_64'\n\
    tried = {'io_uring': call(425, 8, 0), 'userfaultfd': call(323 if x86 else 282, 0),\n\
    \x20        'keyctl': call(250 if x86 else 219, 0, -5, 1), 'bpf': call(321 if x86 else 280, 0, 0, 0),\n\
    \x20        'perf': call(298 if x86 else 241, 0, 0, -1, -1, 0), 'mount': call(165 if x86 else 40, 0, b'/tmp', 0, 0, 0),\n\
    \x20        'unshare': lib.unshare(0x10000000) >= 0, 'ptrace': lib.ptrace(0, 0, 0, 0) >= 0,\n\
    \x20        'prlimit': lib.prlimit(1, 7, None, ctypes.create_string_buffer(16)) >= 0,\n\
    \x20        'vsock': lib.socket(40, 1, 0) >= 0, 'netlink': lib.socket(16, 3, 0) >= 0,\n\
    \x20        'alg': lib.socket(38, 5, 0) >= 0, 'x32': x86 and call(0x40000000 + 39)}\n\
    print(*[name for name, done in tried.items() if done])";

#[test]
fn calls_that_reach_beyond_the_program_are_refused() {
    let Some(bench) = Bench::best() else { return };
    let run = bench.run(CALLS, limits());
    assert_eq!(run.end, End::Exited(0), "{}", err(&run));
    assert_eq!(out(&run), "\n");
}

#[test]
fn the_program_has_no_capability_and_cannot_look_at_the_first_process() {
    let Some(bench) = Bench::best() else { return };
    let code = "import os\n\
                status = dict(line.split(':', 1) for line in open('/proc/self/status'))\n\
                for name in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'):\n\
                \x20   assert int(status[name], 16) == 0, (name, status[name])\n\
                assert status['NoNewPrivs'].strip() == '1' and status['Seccomp'].strip() == '2'\n\
                for name in ('environ', 'mem', 'fd/0', 'root', 'maps'):\n\
                \x20   try: os.stat('/proc/1/' + name); open('/proc/1/' + name, 'rb').read(1); print('READ', name)\n\
                \x20   except OSError: pass\n\
                try: open('/proc/sys/fs/mqueue/msg_max', 'w').write('11'); print('WROTE')\n\
                except OSError: pass\n\
                print(sorted(os.listdir('/proc/self/fd')) , b'spec' in open('/proc/1/cmdline', 'rb').read())";
    let run = bench.run(code, limits());
    assert_eq!(run.end, End::Exited(0), "{}", err(&run));
    assert_eq!(
        out(&run),
        "['0', '1', '2', '3'] False\n",
        "3 is the folder that is listed"
    );
}

#[test]
fn the_neighbours_spinners_leave_a_program_its_share() {
    let Some(bench) = Bench::best() else { return };
    let spinners = "import os, time\n\
                    for _ in range(39):\n\
                    \x20   if os.fork() == 0: break\n\
                    end = time.monotonic() + 600\n\
                    while time.monotonic() < end: pass";
    let one_second = "import time\n\
                      begin = time.monotonic()\n\
                      while time.process_time() < 1: pass\n\
                      print(time.monotonic() - begin)";
    let (trigger, shutdown) = trainium_agent::Shutdown::new();
    std::thread::scope(|scope| {
        let spinning = scope.spawn(|| {
            let request = trainium_agent::Request {
                code: spinners.as_bytes(),
                slot: 0,
                limits: limits(),
                dry_run: false,
            };
            trainium_agent::Runner::new(bench.sandbox.clone()).run(&request, &shutdown)
        });
        std::thread::sleep(Duration::from_secs(2));
        let run = bench.run_in(1, one_second, limits());
        trigger.fire();
        // Said where output is shown; a machine that is busy with other things is no fault of the program's share.
        println!(
            "one processor second beside 40 spinners took {} s",
            out(&run).trim()
        );
        assert!(spinning.join().unwrap().is_err(), "it was ended");
        assert!(run.usage.cpu >= Duration::from_secs(1), "{:?}", run.usage);
    });
}

#[test]
fn without_a_sandbox_programs_run_and_time_and_output_are_limited() {
    let bench = Bench::unconfined();
    let code = "import os, sys\n\
                open('x.png', 'w').write('x'); open(os.environ['TMPDIR'] + '/y', 'w').write('1')\n\
                assert os.getcwd() == os.environ['HOME']\n\
                assert os.getuid() != 0\n\
                sys.exit(131)";
    let run = bench.run(code, limits());
    assert_eq!(run.end, End::Exited(131), "{}", err(&run));
    assert_eq!(trainium_agent::collect_plots(&run.files).len(), 1);
    drop(run);
    let left = std::fs::read_dir(bench.state.path().join("runs")).unwrap();
    assert_eq!(left.count(), 0);
    let short = Limits {
        timeout: Duration::from_secs(10),
        ..limits()
    };
    let run = bench.run("import time; time.sleep(3600)", short);
    assert_eq!(run.end, End::Limit(LimitHit::Time));
    let run = bench.run("while True: print('x' * 65536)", limits());
    assert_eq!(run.end, End::Limit(LimitHit::Output));
}
