use std::io;

/// A file is no list of backends.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidFile {
    /// It cannot be read: it is missing, say, or not for this user to read.
    #[error("it cannot be read")]
    Io(#[from] io::Error),
    /// It is a directory, a pipe, a device.
    #[error("it is no regular file")]
    NotAFile,
    /// It is larger than [`File::max_size`](super::File::max_size).
    #[error("it has more than {0} bytes")]
    TooLarge(u64),
    /// It is not UTF-8 from this byte on.
    #[error("it is not UTF-8 at byte {0}")]
    NotUtf8(usize),
    /// There is nothing in it, as if somebody had just begun to write it.
    #[error("it is empty; `backend = []` says that there is nobody")]
    Blank,
    /// It has something in it, but no list of backends.
    #[error("it has no list `backend`")]
    NoList,
    /// It is not what its format asks for.
    #[error("it cannot be parsed: {0}")]
    Syntax(String),
}
