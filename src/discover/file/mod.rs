//! A file of backends.

mod error;
mod format;
mod look;
mod notices;
mod settled;
mod stream;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use self::error::InvalidFile;
pub use self::format::Format;
use super::source::{Source, Updates};
use crate::InvalidSetting;
use crate::http::Address;

/// A file of backends, read again when it changes.
///
/// The file is TOML or JSON. It has the entries that a [configuration](crate::config) has as
/// `[[backend]]`, and can be the same file: other sections are left alone.
///
/// ```toml
/// [[backend]]
/// address = "10.0.0.1:8080"
/// weight = 3
///
/// [[backend]]
/// id = "b"
/// address = "https://10.0.0.2:8443"
/// health = "draining"
/// ```
///
/// As JSON it is `{"backend": [...]}`, or only the list. An entry that is nothing but an address can
/// be a text: `["10.0.0.1:8080"]`.
///
/// An entry that is no good is [skipped](crate::set::Happened::Skipped), and hides none of the
/// others; so is a field that nobody knows. A file that is missing, cannot be read or cannot be
/// parsed is an error, and the pool keeps the last good set. So does it when the file has no list:
/// `backend = []` is how to say that there is nobody, for a
/// [`Follow`](super::Follow::allow_empty) that takes it.
///
/// # How to change it
///
/// Write another file beside it and rename that over it. So nobody sees a half of it. What mounts
/// Kubernetes' `ConfigMap`s does that with a symbolic link, which is as good. An editor that writes in
/// place works, too: a file is read when it has not changed for 50 ms, and one that makes no sense is
/// looked at again, 100 ms later, before that is an error. A half that makes sense is taken for the
/// whole.
///
/// # How a change is noticed
///
/// The operating system tells of changes in the file's directory, and in the one where it really is.
/// Network file systems do not tell what others change, and there may be no watch left to have
/// (`fs.inotify.max_user_watches`). So the file's times and size are compared every
/// [five seconds](Self::check_every), too.
///
/// # Examples
///
/// ```
/// use evenkeel::Pool;
/// use evenkeel::discover::{File, Follow};
/// use evenkeel::http::Address;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = std::env::temp_dir().join(format!("evenkeel-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory)?;
/// # let path = directory.join("backends.json");
/// std::fs::write(&path, r#"[{"address": "10.0.0.1:8080", "weight": 3}, "10.0.0.2:8080"]"#)?;
///
/// let pool = Pool::<Address>::new();
/// let _feeding = Follow::new(File::new(&path)?).spawn(&pool);
/// while pool.is_empty() {
///     tokio::time::sleep(std::time::Duration::from_millis(10)).await;
/// }
/// assert_eq!(pool.get("10.0.0.1:8080").unwrap().weight(), 3);
/// # std::fs::remove_dir_all(&directory)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a source does nothing before it is followed"]
pub struct File {
    settings: Settings,
    complaint: Complaint,
}

#[derive(Clone, Debug)]
struct Settings {
    path: PathBuf,
    format: Format,
    max_size: u64,
    check_every: Duration,
    notices: bool,
}

/// What is wrong with the file, as it was told last. A stream that is opened after an error waits
/// for a change, instead of telling the same again.
type Complaint = Arc<Mutex<Option<String>>>;

impl File {
    /// A file of which the extension says what it is: `.toml` or `.json`.
    ///
    /// It does not have to be there yet.
    ///
    /// # Errors
    ///
    /// With another extension.
    pub fn new(path: impl AsRef<Path>) -> Result<Self, InvalidSetting> {
        let path = path.as_ref();
        let format = Format::of(path).ok_or_else(|| {
            let expected = "one that ends with .toml or .json, or a format that is given";
            InvalidSetting::new("file of backends", path.display(), expected)
        })?;
        Ok(Self::with_format(path, format))
    }

    /// A file with any name.
    pub fn with_format(path: impl AsRef<Path>, format: Format) -> Self {
        Self {
            settings: Settings {
                path: path.as_ref().to_owned(),
                format,
                max_size: 64 << 20,
                check_every: Duration::from_secs(5),
                notices: true,
            },
            complaint: Complaint::default(),
        }
    }

    /// Sets how large the file may be, in bytes; a larger one is an error. Default 64 MiB.
    pub fn max_size(mut self, bytes: u64) -> Self {
        self.settings.max_size = bytes;
        self
    }

    /// Sets how often the file is looked at although nobody has told of a change. Default 5 s.
    ///
    /// # Errors
    ///
    /// With a zero.
    pub fn check_every(mut self, interval: Duration) -> Result<Self, InvalidSetting> {
        if interval.is_zero() {
            let expected = "more than 0";
            return Err(InvalidSetting::new("interval of checks", "0s", expected));
        }
        self.settings.check_every = interval;
        Ok(self)
    }

    /// Sets whether the operating system is asked to tell of changes. Default true. Without it they
    /// are noticed by [checks](Self::check_every) alone.
    pub fn notices(mut self, wanted: bool) -> Self {
        self.settings.notices = wanted;
        self
    }
}

impl Source for File {
    type Value = Address;

    fn name(&self) -> String {
        format!("file {}", self.settings.path.display())
    }

    fn watch(&mut self) -> Option<Updates<Address>> {
        let complaint = Arc::clone(&self.complaint);
        Some(stream::updates(self.settings.clone(), complaint))
    }
}
