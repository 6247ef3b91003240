//! What agent and launcher tell each other of a run: over a socket that no program has, so nothing that a program prints,
//! reads or is told can pass for it.
//!
//! The socket is the launchers' standard input. The agent sends a [`Confinement`] and the program's source; `launch
//! confine` answers with the directory of the run's files when the program has begun, and with how it ended. When the
//! agent's end closes, for whatever reason, `launch supervise` ends the run.

use std::io::{self, BufRead, BufReader, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};

use crate::launch::Confinement;

/// Longest wait until the launcher takes the program.
const HAND_OVER: Duration = Duration::from_secs(60);
/// The longest that a launcher has to say, bytes.
const MAX_SAID: usize = 64 * 1024;

/// What a launcher says, one line of JSON each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Said {
    /// The program has begun. The directory of its files comes with it.
    Started,
    /// It could not be begun, and why.
    Failed(String),
    /// It ended with this code.
    Exited(i32),
    /// It was ended by this signal.
    Signalled(i32),
}

/// Sends a run to its launcher.
///
/// # Errors
///
/// When the launcher is gone, or does not take it in time.
pub(crate) fn hand_over(
    mut socket: &UnixStream,
    confinement: &Confinement,
    code: &[u8],
) -> io::Result<()> {
    socket.set_write_timeout(Some(HAND_OVER))?;
    let mut bytes = serde_json::to_vec(confinement)?;
    bytes.push(b'\n');
    bytes.extend_from_slice(&(code.len() as u64).to_be_bytes());
    bytes.extend_from_slice(code);
    socket.write_all(&bytes)
}

/// Takes a run from the agent: what is to be given up, and the program.
///
/// # Errors
///
/// When the agent is gone or says something else.
pub(crate) fn take_over(socket: &UnixStream) -> io::Result<(Confinement, Vec<u8>)> {
    let mut reader = BufReader::new(socket);
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line)?;
    let confinement = serde_json::from_slice(&line)?;
    let mut length = [0; 8];
    reader.read_exact(&mut length)?;
    let length = usize::try_from(u64::from_be_bytes(length)).map_err(io::Error::other)?;
    let mut code = vec![0; length];
    reader.read_exact(&mut code)?;
    Ok((confinement, code))
}

/// Says something to the agent, with a directory where there is one.
///
/// # Errors
///
/// When the agent is gone.
pub(crate) fn say(
    socket: &UnixStream,
    said: &Said,
    files: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let mut line = serde_json::to_vec(said)?;
    line.push(b'\n');
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors: Vec<BorrowedFd<'_>> = files.into_iter().collect();
    if !descriptors.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    }
    let sent = sendmsg(
        socket,
        &[IoSlice::new(&line)],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )?;
    let mut rest = socket;
    rest.write_all(&line[sent..])
}

/// The agent's side: what was said so far.
#[derive(Debug, Default)]
pub(crate) struct Listener {
    bytes: Vec<u8>,
    /// The directory of the run's files.
    pub(crate) files: Option<OwnedFd>,
    /// Whether the launcher is gone.
    pub(crate) closed: bool,
}

impl Listener {
    /// Takes what is there, without waiting, and gives what is complete.
    ///
    /// # Errors
    ///
    /// When the launcher says what it cannot say.
    pub(crate) fn listen(&mut self, socket: &UnixStream) -> io::Result<Vec<Said>> {
        self.receive(socket)?;
        let mut said = Vec::new();
        while let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.bytes.drain(..=end).collect();
            said.push(serde_json::from_slice(&line)?);
        }
        Ok(said)
    }

    fn receive(&mut self, socket: &UnixStream) -> io::Result<()> {
        while !self.closed && self.bytes.len() < MAX_SAID {
            let mut buffer = [0; 4096];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut ancillary = RecvAncillaryBuffer::new(&mut space);
            let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
            let mut slices = [IoSliceMut::new(&mut buffer)];
            let received = match recvmsg(socket.as_fd(), &mut slices, &mut ancillary, flags) {
                Ok(received) => received.bytes,
                Err(rustix::io::Errno::AGAIN) => return Ok(()),
                Err(rustix::io::Errno::INTR) => continue,
                Err(rustix::io::Errno::CONNRESET) => 0,
                Err(error) => return Err(error.into()),
            };
            for message in ancillary.drain() {
                if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                    self.files = descriptors.into_iter().next().or(self.files.take());
                }
            }
            self.closed = received == 0;
            self.bytes.extend_from_slice(&buffer[..received]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_arrives_whole_with_its_directory() {
        let (agent, launcher) = UnixStream::pair().unwrap();
        let folder = std::fs::File::open("/").unwrap();
        let mut listener = Listener::default();
        assert_eq!(listener.listen(&agent).unwrap(), []);
        say(&launcher, &Said::Started, Some(folder.as_fd())).unwrap();
        say(&launcher, &Said::Signalled(34), None).unwrap();
        drop(launcher);
        assert_eq!(
            listener.listen(&agent).unwrap(),
            [Said::Started, Said::Signalled(34)]
        );
        assert!(listener.closed);
        assert!(rustix::fs::statvfs("/").is_ok() && listener.files.is_some());
    }

    #[test]
    fn what_a_launcher_cannot_say_is_an_error() {
        let (agent, launcher) = UnixStream::pair().unwrap();
        (&launcher)
            .write_all(b"{\"exited\":0} \"and more\"\n")
            .unwrap();
        assert!(Listener::default().listen(&agent).is_err());
    }
}
