use std::fs::{self, Metadata};
use std::io::Read;
use std::path::Path;
use std::time::SystemTime;

use xxhash_rust::xxh3::xxh3_64;

use super::{InvalidFile, Settings};
use crate::discover::Update;
use crate::http::Address;

/// What is known of a file without reading it. While this stays, the file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signature {
    length: u64,
    modified: Option<SystemTime>,
    /// Which file it is, and when it was changed in any way: another one that was renamed to this
    /// name can have the times of the old.
    #[cfg(unix)]
    identity: (u64, u64, i64, i64),
}

/// What a file had in it when it was read.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) signature: Signature,
    pub(super) hash: u64,
    /// `None` if it is what is known already.
    pub(super) update: Option<Update<Address>>,
}

impl Signature {
    /// Follows symbolic links, so that it changes when one of them does.
    pub(super) fn of(path: &Path) -> Option<Self> {
        fs::metadata(path)
            .ok()
            .map(|metadata| Self::from(&metadata))
    }

    pub(super) fn modified(&self) -> Option<SystemTime> {
        self.modified
    }
}

impl From<&Metadata> for Signature {
    fn from(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt;
        Self {
            length: metadata.len(),
            modified: metadata.modified().ok(),
            #[cfg(unix)]
            identity: (
                metadata.dev(),
                metadata.ino(),
                metadata.ctime(),
                metadata.ctime_nsec(),
            ),
        }
    }
}

/// Reads the file. Blocks.
pub(super) fn look(settings: &Settings, known: Option<u64>) -> Result<Look, InvalidFile> {
    // Before it is opened: to open a pipe waits for who writes to it.
    if !fs::metadata(&settings.path)?.is_file() {
        return Err(InvalidFile::NotAFile);
    }
    let file = fs::File::open(&settings.path)?;
    let metadata = file.metadata()?;
    if metadata.len() > settings.max_size {
        return Err(InvalidFile::TooLarge(settings.max_size));
    }
    let mut text = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
    // It may grow meanwhile.
    file.take(settings.max_size.saturating_add(1))
        .read_to_end(&mut text)?;
    if text.len() as u64 > settings.max_size {
        return Err(InvalidFile::TooLarge(settings.max_size));
    }
    let hash = xxh3_64(&text);
    let update = if known == Some(hash) {
        None
    } else {
        Some(settings.format.read(&text)?)
    };
    Ok(Look {
        signature: Signature::from(&metadata),
        hash,
        update,
    })
}
