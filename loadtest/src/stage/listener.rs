//! Which process listens on a port of this machine: how a gateway that runs already is measured like one of ours.

use nix::unistd::Pid;
use std::net::SocketAddr;
use std::path::Path;

/// How /proc/net/tcp writes the state of a socket that listens.
const LISTENS: &str = "0A";

/// `None` where no process of this machine that we may look into listens there.
pub(super) fn pid_of(door: SocketAddr) -> Option<u32> {
    let tables =
        ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| std::fs::read_to_string(path).unwrap_or_default());
    let inode = tables.iter().flat_map(|table| table.lines()).find_map(|line| inode_of(line, door.port()))?;
    let socket = format!("socket:[{inode}]");
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    let ids = processes.filter_map(|process| process.file_name().to_str()?.parse::<u32>().ok());
    ids.filter(|id| *id != Pid::this().as_raw().unsigned_abs()).find(|id| holds(*id, &socket))
}

fn holds(id: u32, socket: &str) -> bool {
    let Ok(open) = std::fs::read_dir(format!("/proc/{id}/fd")) else { return false };
    open.flatten().any(|file| std::fs::read_link(file.path()).is_ok_and(|target| target == Path::new(socket)))
}

fn inode_of(line: &str, port: u16) -> Option<&str> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (_, local_port) = fields.get(1)?.rsplit_once(':')?;
    let listens = *fields.get(3)? == LISTENS && u16::from_str_radix(local_port, 16) == Ok(port);
    listens.then(|| fields.get(9).copied())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_kernels_table_gives_the_inode_of_who_listens() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 8123 1";
        assert_eq!(inode_of(line, 8_080), Some("8123"));
        assert_eq!(inode_of(line, 8_081), None);
        assert_eq!(inode_of(&line.replace(" 0A ", " 01 "), 8_080), None, "connected, not listening");
        assert_eq!(inode_of("  sl  local_address rem_address", 8_080), None);
    }
}
