use std::error::Error;
use std::io;

/// Returns an error, its cause, the cause of that, and so on.
///
/// The source of an [`io::Error`] is that of the error inside it, so the one inside would be left
/// out. Not so here.
pub(crate) fn causes<'e>(
    error: &'e (dyn Error + 'static),
) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        if let Some(inside) = error.downcast_ref().and_then(io::Error::get_ref) {
            return Some(inside);
        }
        error.source()
    })
}
