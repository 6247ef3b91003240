//! The system calls that a program does not have: those that reach the kernel's own memory, other processes, other
//! namespaces or devices that a network namespace does not divide.
//!
//! A layer on top of the namespaces and of having no capability, so that what a fault of the kernel would open is not
//! even asked for. Everything that Python, NumPy and PyTorch were seen to need is there.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, sock_filter,
};

/// Calls that are refused whatever their arguments are.
const REFUSED: &[c_long] = &[
    // Rings that other calls could be made through unseen, and faults of pages handled by the program.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_userfaultfd,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // Keyrings outlive a program.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // Mounts and namespaces.
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    // `open_tree_attr` of Linux 6.15, the same number everywhere.
    467,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_quotactl,
    // The machine.
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
    libc::SYS_memfd_secret,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
];

/// Flags of `clone` and `unshare` that make a namespace.
const NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];
/// `CLONE_NEWTIME` of `linux/sched.h`; for `clone` its bit is a part of the signal.
const NEW_TIME: i32 = 0x80;
/// The families of sockets that there are: those that the network namespace divides, and local ones.
const FAMILIES: [i32; 3] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6];
/// A `personality` that only asks.
const ASK_PERSONALITY: u64 = 0xffff_ffff;
/// Numbers of x86-64's second interface (x32) have this bit: no filter by number would see them.
#[cfg(target_arch = "x86_64")]
const X32_BIT: u32 = 0x4000_0000;

/// Why there is no filter.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FilterError {
    #[error("cannot build the filter of system calls")]
    Build(#[from] seccompiler::BackendError),
    #[error("cannot filter system calls")]
    Apply(#[from] seccompiler::Error),
}

/// Takes the calls away from this process and all that it will start.
///
/// # Errors
///
/// [`FilterError`].
pub(crate) fn apply() -> Result<(), FilterError> {
    for filter in filters()? {
        seccompiler::apply_filter(&filter)?;
    }
    Ok(())
}

fn filters() -> Result<Vec<BpfProgram>, FilterError> {
    let architecture: TargetArch = std::env::consts::ARCH.try_into()?;
    // The C library then uses `clone`, whose flags can be seen.
    let no_clone3 = BTreeMap::from([(libc::SYS_clone3, vec![])]);
    let mut filters = vec![
        program(refused()?, libc::EPERM, architecture)?,
        program(no_clone3, libc::ENOSYS, architecture)?,
    ];
    if let Some(filter) = second_interface() {
        filters.push(filter);
    }
    Ok(filters)
}

type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

fn program(rules: Rules, errno: i32, architecture: TargetArch) -> Result<BpfProgram, FilterError> {
    let answer = SeccompAction::Errno(errno.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, answer, architecture)?;
    Ok(filter.try_into()?)
}

fn refused() -> Result<Rules, FilterError> {
    let mut rules: Rules = REFUSED.iter().map(|call| (*call, vec![])).collect();
    let mut namespaces = Vec::new();
    for flag in NAMESPACES {
        namespaces.push(flag_rule(flag)?);
    }
    rules.insert(libc::SYS_clone, namespaces.clone());
    namespaces.push(flag_rule(NEW_TIME)?);
    rules.insert(libc::SYS_unshare, namespaces);
    let mut other_family = Vec::new();
    for family in FAMILIES {
        other_family.push(differs(0, u64::from(family.unsigned_abs()))?);
    }
    let other_family = vec![SeccompRule::new(other_family)?];
    rules.insert(libc::SYS_socket, other_family.clone());
    rules.insert(libc::SYS_socketpair, other_family);
    // Limits of other processes of the same user, PID 1 among them.
    let other_process = SeccompRule::new(vec![differs(0, 0)?])?;
    rules.insert(libc::SYS_prlimit64, vec![other_process]);
    let change = SeccompRule::new(vec![differs(0, 0)?, differs(0, ASK_PERSONALITY)?])?;
    rules.insert(libc::SYS_personality, vec![change]);
    Ok(rules)
}

fn flag_rule(flag: i32) -> Result<SeccompRule, FilterError> {
    let bit = u64::from(flag.unsigned_abs());
    let operator = SeccompCmpOp::MaskedEq(bit);
    let condition = SeccompCondition::new(0, SeccompCmpArgLen::Dword, operator, bit)?;
    Ok(SeccompRule::new(vec![condition])?)
}

fn differs(argument: u8, value: u64) -> Result<SeccompCondition, FilterError> {
    let length = SeccompCmpArgLen::Dword;
    Ok(SeccompCondition::new(
        argument,
        length,
        SeccompCmpOp::Ne,
        value,
    )?)
}

#[cfg(target_arch = "x86_64")]
fn second_interface() -> Option<BpfProgram> {
    let step = |code: u32, jt: u8, jf: u8, k: u32| sock_filter {
        // Codes of classic BPF fit into 16 bits.
        code: code as u16,
        jt,
        jf,
        k,
    };
    let no_such_call = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs();
    Some(vec![
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 1, X32_BIT),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, no_such_call),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ])
}

#[cfg(not(target_arch = "x86_64"))]
fn second_interface() -> Option<BpfProgram> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_can_be_built() {
        for filter in filters().unwrap() {
            assert!(
                filter.len() < usize::from(u16::MAX),
                "the kernel takes 4096 steps"
            );
            assert!(filter.len() <= 4096);
        }
    }
}
