//! Bytes in any portions, made into lines of a bounded length.
//!
//! Law 3: of a line, `kept_max` bytes are kept; of the rest only the number.

use bytes::{Bytes, BytesMut};

/// One line, without its newline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// The first `kept_max` bytes.
    pub(crate) kept: Bytes,
    /// The length of the whole line, in bytes, without its newline.
    pub(crate) bytes: u64,
}

impl Line {
    pub(crate) fn is_cut(&self) -> bool {
        self.bytes > self.kept.len() as u64
    }
}

/// Holds the line that has not ended yet.
#[derive(Debug)]
pub(crate) struct Splitter {
    kept: BytesMut,
    bytes: u64,
    kept_max: usize,
    is_begun: bool,
}

impl Splitter {
    pub(crate) fn new(kept_max: usize) -> Self {
        Self { kept: BytesMut::new(), bytes: 0, kept_max, is_begun: false }
    }

    /// Takes from the front of `portion` up to and with the next newline. `None`: it is used up.
    pub(crate) fn next_line(&mut self, portion: &mut &[u8]) -> Option<Line> {
        match portion.iter().position(|byte| *byte == b'\n') {
            Some(end) => {
                self.keep(&portion[..end]);
                *portion = &portion[end + 1..];
                Some(self.take())
            }
            None => {
                self.keep(portion);
                self.is_begun |= !portion.is_empty();
                *portion = &[];
                None
            }
        }
    }

    /// What came after the last newline, if anything did.
    pub(crate) fn finish(&mut self) -> Option<Line> {
        self.is_begun.then(|| self.take())
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = self.kept_max - self.kept.len();
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.bytes += bytes.len() as u64;
    }

    fn take(&mut self) -> Line {
        self.is_begun = false;
        Line { kept: self.kept.split().freeze(), bytes: std::mem::take(&mut self.bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(portions: &[&[u8]], kept_max: usize) -> Vec<(Vec<u8>, u64)> {
        let mut splitter = Splitter::new(kept_max);
        let mut lines = Vec::new();
        for portion in portions {
            let mut rest = *portion;
            while let Some(line) = splitter.next_line(&mut rest) {
                lines.push(line);
            }
            assert!(rest.is_empty());
        }
        lines.extend(splitter.finish());
        assert_eq!(splitter.finish(), None, "nothing is told twice");
        lines.into_iter().map(|line| (line.kept.to_vec(), line.bytes)).collect()
    }

    #[test]
    fn lines_are_the_same_however_the_bytes_come() {
        let cases: &[(&[u8], &[&[u8]])] = &[
            (b"", &[]),
            (b"\n", &[b""]),
            (b"\n\n", &[b"", b""]),
            (b"a", &[b"a"]),
            (b"a\n", &[b"a"]),
            (b"a\nb", &[b"a", b"b"]),
            (b"a\n\nb\n", &[b"a", b"", b"b"]),
            (b"a\r\nb\r", &[b"a\r", b"b\r"]),
            (b"10%\r20%\r\n", &[b"10%\r20%\r"]),
            (b"\xff\xfe\n\xc3\xa9", &[b"\xff\xfe", b"\xc3\xa9"]),
            (b"\0\n", &[b"\0"]),
        ];
        for (bytes, lines) in cases {
            let expected: Vec<(Vec<u8>, u64)> =
                lines.iter().map(|line| (line.to_vec(), line.len() as u64)).collect();
            for size in 1..=bytes.len().max(1) {
                let portions: Vec<&[u8]> = bytes.chunks(size).collect();
                assert_eq!(split(&portions, 100), expected, "{bytes:?} in portions of {size}");
            }
        }
    }

    #[test]
    fn of_a_long_line_the_beginning_and_the_length_are_kept() {
        for size in 1..12 {
            let portions: Vec<&[u8]> = b"123456789\n1234\n12345\n".chunks(size).collect();
            let expected = vec![(b"1234".to_vec(), 9), (b"1234".to_vec(), 4), (b"1234".to_vec(), 5)];
            assert_eq!(split(&portions, 4), expected, "in portions of {size}");
        }
    }

    #[test]
    fn an_endless_line_holds_no_more_than_its_bound() {
        let mut splitter = Splitter::new(1024);
        for _ in 0..1000 {
            assert_eq!(splitter.next_line(&mut &[b'x'; 4096][..]), None);
        }
        assert!(splitter.kept.capacity() <= 8 * 1024);
        assert_eq!(splitter.finish().map(|line| line.bytes), Some(4_096_000));
    }
}
