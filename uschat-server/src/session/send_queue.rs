//! How much of a TCP connection the peer's system has not acknowledged: the one place in the workspace with unsafe code.
//!
//! No maintained crate asks this safely: nix, rustix, socket2 and tokio all lack it. Without unsafe code there is
//! `/proc/self/net/tcp`, which lists every socket of the machine: with 5,000 loopback connections (10,000 lines) one look
//! took 16 ms, and every session that ends needs a look of its own. The system call took 0.6 µs. (Linux 6.18, 2 cores.)
#![allow(unsafe_code, reason = "a system call that no crate wraps; see above")]

use tokio::net::TcpStream;

/// Bytes that were written to this connection and that its peer's system has not acknowledged; `None` where the system does
/// not tell. `shut` says that our side was shut down.
///
/// On Linux the answer is right also after the connection broke.
#[cfg(target_os = "linux")]
pub(super) fn unacknowledged(stream: &TcpStream, shut: bool) -> Option<usize> {
    use std::os::fd::AsRawFd;

    let mut bytes: libc::c_int = 0;
    // SAFETY: `stream` is borrowed, so its descriptor is open throughout the call; TIOCOUTQ (the same number as SIOCOUTQ)
    // writes one `int` to the address it is given, which is that of a live `c_int` of ours, and keeps nothing.
    let result = unsafe { libc::ioctl(stream.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if result != 0 {
        return None;
    }
    // The end of our side counts as one more byte, the last to be acknowledged.
    Some(usize::try_from(bytes).ok()?.saturating_sub(usize::from(shut)))
}

/// As on Linux, but unknown once the connection broke: then macOS has emptied its queue, which is no acknowledgement.
#[cfg(target_os = "macos")]
pub(super) fn unacknowledged(stream: &TcpStream, _shut: bool) -> Option<usize> {
    use std::os::fd::AsRawFd;

    let mut bytes: libc::c_int = 0;
    let mut size = libc::socklen_t::try_from(size_of_val(&bytes)).ok()?;
    // SAFETY: `stream` is borrowed, so its descriptor is open throughout the call; `bytes` and `size` are live variables of
    // ours, `size` tells that there is room for one `c_int`, no more is written, and nothing is kept.
    let result = unsafe {
        libc::getsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_NWRITE, (&raw mut bytes).cast(), &raw mut size)
    };
    // Asked afterwards, so that a connection that breaks in between is noticed.
    if result != 0 || stream.peer_addr().is_err() {
        return None;
    }
    usize::try_from(bytes).ok()
}

/// Not known here.
#[cfg(not(any(target_os = "linux", target_os = "macos")))]
pub(super) fn unacknowledged(_: &TcpStream, _shut: bool) -> Option<usize> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use tokio::{io::AsyncWriteExt, net::TcpListener};

    use super::*;

    #[tokio::test]
    async fn what_the_peer_has_no_room_for_is_counted_and_the_end_of_our_side_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (theirs, _) = listener.accept().await.unwrap();
        assert_eq!(unacknowledged(&ours, false), Some(0));
        let mut written = 0;
        // Refused at last, because nobody reads.
        while let Ok(bytes) = ours.try_write(&[0; 64 * 1024]) {
            written += bytes;
        }
        let waiting = unacknowledged(&ours, false).unwrap();
        let arrived = theirs.peek(&mut vec![0; written]).await.unwrap();
        assert!(waiting > 0 && waiting + arrived >= written, "{waiting} wait, {arrived} of {written} arrived");
        ours.shutdown().await.unwrap();
        assert!(unacknowledged(&ours, true).unwrap() <= waiting);
    }

    #[tokio::test]
    async fn a_connection_that_broke_still_tells() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (theirs, _) = listener.accept().await.unwrap();
        while ours.try_write(&[0; 64 * 1024]).is_ok() {}
        // Unread bytes make the close a reset.
        drop(theirs);
        ours.readable().await.unwrap();
        assert!(ours.try_read(&mut [0]).is_err());
        assert!(unacknowledged(&ours, false).unwrap() > 0);
    }
}
