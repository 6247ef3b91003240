//! What a program can do, and cannot, in each sandbox.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use annapurna_contract::ErrorType;
use trainium_agent::{End, LimitHit, Limits, Run, classify, collect_plots};

use crate::support::{
    Bench, MIB, is_running, limits, needs_root, needs_torch, python, unique_name, with_time_enough,
};

fn out(run: &Run) -> String {
    String::from_utf8_lossy(&run.stdout.bytes).into_owned()
}

fn err(run: &Run) -> String {
    String::from_utf8_lossy(&run.stderr.bytes).into_owned()
}

/// Runs a program that must end well, and gives what it printed.
fn printed(bench: &Bench, code: &str) -> String {
    let run = bench.run(code, limits());
    assert_eq!(run.end, End::Exited(0), "{}", err(&run));
    out(&run)
}

/// A process leaves its group, its session and its parent, and sleeps under a name of its own. Then the
/// program prints `escaped`: the pipe is closed when the last process that has it became another program.
fn escapee(name: &str) -> String {
    format!(
        "import os, sys, time\n\
         end, held = os.pipe()\n\
         if os.fork() == 0:\n\
         \x20   os.setsid()\n\
         \x20   if os.fork() == 0:\n\
         \x20       os.execv(sys.executable, ['{name}', '-c', 'import time; time.sleep(3600)', '{name}'])\n\
         \x20   os._exit(0)\n\
         os.close(held)\n\
         os.wait()\n\
         os.read(end, 1)\n\
         print('escaped')\n"
    )
}

#[test]
fn a_program_runs_in_its_own_folder_with_nothing_of_the_agents_environment() {
    let Some(bench) = Bench::best() else { return };
    let text = printed(
        &bench,
        "import os, sys\n\
             open('x', 'w').write('1'); open(os.environ['TMPDIR'] + '/y', 'w').write('1')\n\
             assert os.getcwd() == os.environ['HOME'] and os.getuid() != 0\n\
             assert sys.stdin.read() == ''\n\
             print(*sorted(os.environ))\n",
    );
    for name in text.split_whitespace() {
        let known = "DATASETS_DIR HOME LANG MEASURED_FILE MPLBACKEND MPLCONFIGDIR NEURON_COMPILE_CACHE_URL \
                         NEURON_RT_VISIBLE_CORES OMP_NUM_THREADS PATH PWD PYTHONDONTWRITEBYTECODE \
                         PYTHONNOUSERSITE PYTHONPATH PYTHONUNBUFFERED TMPDIR USER LC_CTYPE";
        assert!(
            known.split_whitespace().any(|known| known == name),
            "{name}"
        );
    }
}

#[test]
fn time_memory_and_exit_code_are_measured() {
    let Some(bench) = Bench::best() else { return };
    let peak = with_time_enough("its memory is measured while it sleeps", |time| {
        let seconds = time.as_secs_f64() / 4.0;
        let code = format!(
            "import time; x = bytearray(100 << 20); time.sleep({seconds}); raise SystemExit(3)"
        );
        let run = bench.run(&code, limits());
        assert_eq!(run.end, End::Exited(3), "{}", err(&run));
        assert!(run.duration.as_secs_f64() >= seconds);
        let peak = run.usage.peak_memory_bytes / MIB;
        (peak >= 100).then_some(peak)
    });
    assert!(peak < 200, "{peak} MiB");
}

#[test]
fn a_syntax_error_is_told_as_one() {
    let Some(bench) = Bench::best() else { return };
    let run = bench.run("def f(:\n", limits());
    let failure = classify(&run.end, &run.stderr.bytes, &limits()).unwrap();
    assert_eq!(failure.kind, ErrorType::Syntax);
    assert!(
        failure.message.starts_with("SyntaxError"),
        "{}",
        failure.message
    );
}

#[test]
fn a_timeout_ends_the_program_and_everything_it_started() {
    let Some(bench) = Bench::best() else { return };
    let name = unique_name("escapee");
    let code = format!("{}time.sleep(3600)", escapee(&name));
    with_time_enough("the escapee runs before its program is ended", |timeout| {
        let limits = Limits {
            timeout,
            ..limits()
        };
        let run = bench.run(&code, limits);
        assert_eq!(run.end, End::Limit(LimitHit::Time), "{}", err(&run));
        assert!(!is_running(&name), "it survived");
        (out(&run) == "escaped\n").then_some(())
    });
}

#[test]
fn what_a_program_leaves_behind_ends_with_it() {
    let Some(bench) = Bench::best() else { return };
    let name = unique_name("escapee");
    let run = bench.run(&escapee(&name), limits());
    assert_eq!(run.end, End::Exited(0), "{}", err(&run));
    assert_eq!(out(&run), "escaped\n");
    assert!(!is_running(&name), "it survived");
}

#[test]
fn a_flood_of_output_is_cut_and_ended() {
    let Some(bench) = Bench::best() else { return };
    for stream in ["stdout", "stderr"] {
        let code = format!("import sys\nwhile True: sys.{stream}.write('x' * 65536)");
        let run = bench.run(&code, limits());
        assert_eq!(run.end, End::Limit(LimitHit::Output));
        assert_eq!(
            (run.stdout.cut, run.stderr.cut),
            (stream == "stdout", stream == "stderr")
        );
        assert!(run.stdout.bytes.len() + run.stderr.bytes.len() <= MIB as usize + 100);
    }
    let run = bench.run("print('x' * (2 << 20))", limits());
    assert_eq!(
        run.end,
        End::Limit(LimitHit::Output),
        "however fast it ends"
    );
}

#[test]
fn a_fork_bomb_ends_and_leaves_nothing() {
    let Some(bench) = Bench::best() else { return };
    let name = unique_name("bomb");
    let code = format!(
        "import os, sys\n\
             if sys.argv[-1] != '{name}': os.execv(sys.executable, [sys.executable, __file__, '{name}'])\n\
             while True:\n\
             \x20   try: os.fork()\n\
             \x20   except OSError: pass\n"
    );
    let limits = Limits {
        timeout: Duration::from_secs(10),
        ..limits()
    };
    let run = bench.run(&code, limits);
    // The kernel refuses more of them.
    assert_eq!(run.end, End::Limit(LimitHit::Time));
    assert!(!is_running(&name), "some survived");
}

/// The user of a program and what it is allowed to know of it.
const WHO: &str = "import getpass, os\n\
                   for folder in '.', os.environ['TMPDIR']:\n\
                   \x20   found = os.stat(folder)\n\
                   \x20   assert (found.st_uid, found.st_mode & 0o777) == (os.getuid(), 0o700), found\n\
                   assert getpass.getuser() == 'program'\n\
                   print(os.getuid(), os.getgid(), *os.getgroups())";

#[test]
fn every_slot_of_every_agent_has_a_user_of_its_own() {
    let (Some(one), Some(other)) = (Bench::best(), Bench::best()) else {
        return;
    };
    let mut users = Vec::new();
    for bench in [one, other] {
        for slot in 0..2 {
            let run = bench.run_in(slot, WHO, limits());
            assert_eq!(run.end, End::Exited(0), "{}", err(&run));
            users.push(out(&run));
        }
    }
    let many = users.len();
    users.sort_unstable();
    users.dedup();
    if needs_root().is_some() {
        assert_eq!(users.len(), many, "{users:?}");
        for user in users {
            let numbers: Vec<u32> = user
                .split_whitespace()
                .map(|number| number.parse().unwrap())
                .collect();
            let [user, group] = numbers[..] else {
                panic!("it is in other groups: {numbers:?}");
            };
            assert_eq!(user, group);
            assert!((60_706..=61_183).contains(&user), "{user}");
        }
    }
}

/// Threads that sleep as another user, where this one may become one, and as this one where not.
struct Crowd(std::process::Child);

impl Crowd {
    fn gather() -> Self {
        let code = "import threading, time\n\
                    for _ in range(300): threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()\n\
                    print('gathered', flush=True); time.sleep(3600)";
        let mut command = Command::new(python());
        command.args(["-c", code]).stdout(Stdio::piped());
        if nix::unistd::geteuid().is_root() {
            command.uid(65_534).gid(65_534);
        }
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        assert_eq!(line, "gathered\n");
        Self(child)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn processes_of_others_take_nothing_of_a_programs_own() {
    let Some(bench) = Bench::best() else { return };
    let _crowd = Crowd::gather();
    let code = "import threading, time\n\
                    for _ in range(30): threading.Thread(target=time.sleep, args=(0.1,)).start()\n\
                    print('started')";
    assert_eq!(printed(&bench, code), "started\n");
}

#[test]
fn files_outside_can_neither_be_read_nor_written() {
    let Some(bench) = Bench::best() else { return };
    let secret = bench.state.path().join("secret");
    std::fs::write(&secret, "secret").unwrap();
    let agent = std::process::id();
    let code = format!(
        "import os\n\
             read = ['/etc/shadow', '/etc/passwd', '/root/.bashrc', '/root', '/home', '/proc/{agent}/environ',\n\
             \x20       {secret:?}, os.path.dirname({secret:?}) + '/runs',\n\
             \x20       '/var/log', '/run/secrets']\n\
             write = ['/usr/x', '/etc/x', '/x', '/dev/x', '/var/x', '/run/x', os.environ['PYTHONPATH'] + '/x',\n\
             \x20        os.environ['DATASETS_DIR'] + '/x']\n\
             for path in read:\n\
             \x20   try: print('READ', path, os.listdir(path) if os.path.isdir(path) else open(path).read())\n\
             \x20   except OSError: pass\n\
             for path in write:\n\
             \x20   try: open(path, 'w'); print('WROTE', path)\n\
             \x20   except OSError: pass\n"
    );
    assert_eq!(printed(&bench, &code), "");
}

#[test]
fn the_network_cannot_be_reached() {
    let tcp = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let udp = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    udp.set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let ports = (
        tcp.local_addr().unwrap().port(),
        udp.local_addr().unwrap().port(),
    );
    let Some(bench) = Bench::best() else { return };
    let code = format!(
        "import socket\n\
             def attempt(what, act):\n\
             \x20   try: act(); print(what)\n\
             \x20   except OSError: pass\n\
             connect = lambda address: socket.create_connection(address, 2)\n\
             attempt('tcp', lambda: connect(('127.0.0.1', {})))\n\
             attempt('imds', lambda: connect(('169.254.169.254', 80)))\n\
             attempt('raw', lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))\n\
             try: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', {}))\n\
             except OSError: pass\n",
        ports.0, ports.1
    );
    assert_eq!(printed(&bench, &code), "");
    let mut buffer = [0; 8];
    assert!(udp.recv(&mut buffer).is_err(), "a packet came");
}

/// Calls of System V and of POSIX whose objects outlive the process that made them, all named by `NUMBER`;
/// prints those that gave something.
const KERNEL_OBJECTS: &str = "import ctypes, os\n\
    lib = ctypes.CDLL(None)\n\
    flags = 0o1666 if MAKE else 0\n\
    made = [('shm', lib.shmget(NUMBER, 4096, flags)), ('sem', lib.semget(NUMBER, 1, flags)),\n\
    \x20       ('msg', lib.msgget(NUMBER, flags)),\n\
    \x20       ('mq', lib.mq_open(b'/NUMBER', os.O_RDWR | (os.O_CREAT if MAKE else 0), 0o666, None))]\n\
    print(*[name for name, found in made if found >= 0])";

#[test]
fn nothing_of_the_kernels_own_memory_is_left_behind() {
    let code = |make: &str| {
        let number = 0x0A77_0000 + std::process::id();
        KERNEL_OBJECTS
            .replace("NUMBER", &number.to_string())
            .replace("MAKE", make)
    };
    let Some(bench) = Bench::best() else { return };
    let made = printed(&bench, &code("True"));
    let look = Command::new(python()).args(["-c", &code("False")]).output();
    let look = look.unwrap();
    assert!(
        look.status.success(),
        "{}",
        String::from_utf8_lossy(&look.stderr)
    );
    let left = String::from_utf8_lossy(&look.stdout);
    assert_eq!(left.trim(), "", "it made {made}");
}

#[test]
fn a_program_cannot_end_its_supervisor() {
    let Some(bench) = Bench::best() else { return };
    let code = "import os\n\
                    try: os.kill(os.getppid(), 9)\n\
                    except OSError: pass\n\
                    print('still here')";
    assert_eq!(printed(&bench, code), "still here\n");
}

#[test]
fn a_signal_and_an_exit_code_are_told_apart() {
    let Some(bench) = Bench::best() else { return };
    for signal in [11, 34, 64] {
        let run = bench.run(
            &format!("import os; os.kill(os.getpid(), {signal})"),
            limits(),
        );
        assert_eq!(run.end, End::Signalled(signal));
    }
    for code in [1, 125, 129, 137, 139, 159, 255] {
        let run = bench.run(&format!("raise SystemExit({code})"), limits());
        assert_eq!(run.end, End::Exited(code));
    }
}

#[test]
fn a_linked_plot_is_not_taken() {
    let Some(bench) = Bench::best() else { return };
    let code = "import os\n\
                    open('real.png', 'wb').write(b'png')\n\
                    os.symlink('/etc/passwd', 'passwd.png'); os.mkfifo('pipe.png')\n\
                    os.mkdir('shut'); open('shut/a.png', 'w').write('x'); os.chmod('shut', 0)\n";
    let run = bench.run(code, limits());
    let found = collect_plots(&run.files);
    assert!(found.iter().all(|plot| !plot.bytes.starts_with(b"root:")));
    assert!(found.iter().any(|plot| plot.name == "real.png"));
    drop(run);
    let left = std::fs::read_dir(bench.state.path().join("runs")).unwrap();
    assert_eq!(left.count(), 0, "a run's folder stays");
}

#[test]
fn programs_in_the_sandbox_can_use_torch_where_there_is_one() {
    let Some(bench) = Bench::best() else { return };
    if needs_torch(&bench.sandbox.parts().interpreter).is_none() {
        return;
    }
    let limits = Limits {
        memory_bytes: 2048 * MIB,
        ..limits()
    };
    let code = "import torch\nfrom dataset_loader import load_dataset\n\
                    train, test = load_dataset('synthetic')\n\
                    print(len(train), torch.nn.Linear(20, 4)(test.x).shape)";
    let run = bench.run(code, limits);
    assert_eq!(out(&run), "2048 torch.Size([512, 4])\n", "{}", err(&run));
}
