//! Tally's pages, as npm built them, and the answers to who asks for them: encodings, caching, policy.
//!
//! Everything is in the binary. Where the build found no Node.js there are no pages, and [`Pages::absent`] says why.

mod answer;

/// The viewer: running jobs, and one channel's events with its account.
pub use built::VIEWER;

/// The dashboard for operators.
pub use built::OPS;

mod built {
    include!(concat!(env!("OUT_DIR"), "/pages.rs"));
}

/// The files of one page. One named `index.html` is the page itself.
#[derive(Debug)]
pub struct Pages {
    absent: Option<&'static str>,
    assets: &'static [Asset],
}

/// One file, as it is and as it was packed beforehand.
#[derive(Debug)]
struct Asset {
    /// Relative to the page, with `/`.
    path: &'static str,
    content_type: &'static str,
    /// Weak, so that it holds for every encoding.
    tag: &'static str,
    /// Its name has a hash of its content: it never changes.
    is_hashed: bool,
    plain: &'static [u8],
    gzip: Option<&'static [u8]>,
    brotli: Option<&'static [u8]>,
}

impl Pages {
    /// Why the build made no pages, as a sentence; `None` where they are there.
    #[must_use]
    pub fn absent(&self) -> Option<&'static str> {
        self.absent
    }
}
