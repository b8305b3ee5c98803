//! A file or standard input, read in portions by a thread of its own.
//!
//! Law 3: `PORTIONS_MAX` portions wait; then the thread does, and with it the program that writes to us.

use anyhow::Context;
use bytes::Bytes;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::thread;
use tokio::sync::mpsc;

const PORTION_BYTES_MAX: usize = 64 * 1024;
const PORTIONS_MAX: usize = 4;

#[derive(Debug)]
pub(super) struct Input {
    /// Ends with the input; an error is the last.
    pub(super) portions: mpsc::Receiver<io::Result<Bytes>>,
    /// Of a file whose size is known.
    pub(super) bytes: Option<u64>,
}

impl Input {
    /// `-` is standard input.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let file = if path.as_os_str() == "-" {
            File::from(io::stdin().as_fd().try_clone_to_owned()?)
        } else {
            File::open(path).with_context(|| format!("cannot read {}", path.display()))?
        };
        let bytes = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len());
        let (sender, portions) = mpsc::channel(PORTIONS_MAX);
        thread::Builder::new().name("input".into()).spawn(move || read_all(file, &sender))?;
        Ok(Self { portions, bytes })
    }
}

fn read_all(mut file: File, portions: &mpsc::Sender<io::Result<Bytes>>) {
    let mut buffer = vec![0; PORTION_BYTES_MAX];
    loop {
        let portion = match file.read(&mut buffer) {
            Ok(0) => return,
            Ok(bytes) => Ok(Bytes::copy_from_slice(&buffer[..bytes])),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let is_last = portion.is_err();
        if portions.blocking_send(portion).is_err() || is_last {
            return;
        }
    }
}
