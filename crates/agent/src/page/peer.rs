//! Whose connection it is. On Linux the kernel tells which user each socket of this computer belongs to, so that another user gets
//! nothing even with a link or a cookie that was seen in a list of processes. Where that cannot be known, the cookie alone decides.

#[cfg(target_os = "linux")]
pub(super) use linux::is_ours;

/// Nobody tells here.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_ours(_: std::net::SocketAddr, _: std::net::SocketAddr) -> bool {
    true
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::File;
    use std::io::{BufRead, BufReader};
    use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

    /// The kernel's tables of TCP sockets. A program may speak IPv4 through a socket of IPv6.
    const TABLES: [&str; 2] = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];

    /// Whether the other end of a connection from `there` to `here` is this user's, or root's. Blocks for a moment.
    pub fn is_ours(there: SocketAddr, here: SocketAddr) -> bool {
        let (SocketAddr::V4(there), SocketAddr::V4(here)) = (there, here) else {
            return false;
        };
        let us = rustix::process::geteuid().as_raw();
        let mut readable = false;
        for table in TABLES {
            let Ok(file) = File::open(table) else {
                continue;
            };
            readable = true;
            let lines = BufReader::new(file).lines().map_while(Result::ok);
            if let Some(owner) = owner(lines, there, here) {
                return owner == us || owner == 0;
            }
        }
        // Without tables nobody can tell. With them, a socket that is in none is gone, and needs no answer.
        !readable
    }

    /// The user of the socket at `there` that is connected to `here`.
    fn owner(
        lines: impl Iterator<Item = String>,
        there: SocketAddrV4,
        here: SocketAddrV4,
    ) -> Option<u32> {
        // sl, local, remote, state, queues, timer, retransmits, uid, …
        lines.skip(1).find_map(|line| {
            let mut fields = line.split_ascii_whitespace().skip(1);
            let ends = (address(fields.next()?)?, address(fields.next()?)?);
            let owner = fields.nth(4)?.parse().ok()?;
            (ends == (there, here)).then_some(owner)
        })
    }

    /// `0100007F:130D`, the address in this machine's order of bytes; of IPv6 the last part is the IPv4 one.
    fn address(text: &str) -> Option<SocketAddrV4> {
        let (address, port) = text.split_once(':')?;
        let at = address.len().checked_sub(8)?;
        let (before, last) = address.split_at_checked(at)?;
        let mapped = "0000000000000000FFFF0000";
        if !(before.is_empty() || before == mapped) {
            return None;
        }
        let ip = u32::from_str_radix(last, 16).ok()?.to_ne_bytes();
        let port = u16::from_str_radix(port, 16).ok()?;
        Some(SocketAddrV4::new(Ipv4Addr::from(ip), port))
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use std::net::{TcpListener, TcpStream};

        const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:130D 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1 1 0 100 0 0 10 0
   1: 0100007F:130D 0100007F:D431 01 00000000:00000000 00:00000000 00000000  1000        0 2 1 0 20 4 30 10 -1
   2: 0100007F:D431 0100007F:130D 01 00000000:00000000 00:00000000 00000000  1001        0 3 1 0 20 4 30 10 -1
   3: 0000000000000000FFFF00000100007F:D432 0000000000000000FFFF00000100007F:130D 01 00000000:00000000 00:00000000 00000000  1002        0 3 1
   4: 00000000000000000000000001000000:D433 00000000000000000000000001000000:130D 01 00000000:00000000 00:00000000 00000000  1003        0 3 1
   5: rubbish";

        #[test]
        #[cfg(target_endian = "little")]
        fn the_owner_is_that_of_the_other_end() {
            let at = |port| SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
            for (port, uid) in [
                (0xD431, Some(1001)),
                (0xD432, Some(1002)),
                (0xD433, None),
                (0xD434, None),
            ] {
                let lines = TABLE.lines().map(str::to_owned);
                assert_eq!(owner(lines, at(port), at(0x130D)), uid, "{port:x}");
            }
        }

        #[test]
        fn a_connection_of_our_own_is_ours() {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let here = listener.local_addr().unwrap();
            let stream = TcpStream::connect(here).unwrap();
            let there = stream.local_addr().unwrap();
            assert!(is_ours(there, here));
            let (_accepted, _) = listener.accept().unwrap();
            assert!(is_ours(there, here));
            let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
            assert!(!is_ours(nobody, here), "a socket that is in no table");
        }
    }
}
