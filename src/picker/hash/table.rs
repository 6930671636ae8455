use std::fmt;

use super::place::Place;

/// Where keys go: one of the algorithms of this module, for [`Keyed`](super::Keyed).
///
/// It is sealed: to place keys by a rule of your own, write a [`Picker`](crate::Picker).
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not place keys",
    label = "none of the algorithms of `evenkeel::picker::hash`",
    note = "is a `?` missing where it was made?"
)]
pub trait Table: Built {}

#[diagnostic::do_not_recommend]
impl<T: Built> Table for T {}

/// What a table does.
pub trait Built: Clone + fmt::Debug + Send + Sync + 'static {
    /// What is built for a set of members.
    type Map: Send + Sync + 'static;

    /// Builds it. Members of weight 0 are among the places, and have no keys.
    fn build(&self, places: &[Place]) -> Self::Map;

    /// Asks the members at the slots of a key's choices, in their order, until one accepts. Those
    /// that have not been asked after some tries are left to the [ranking](super::Ranking).
    fn find(map: &Self::Map, key: &[u8], accept: impl FnMut(u32) -> Option<usize>) -> Found;
}

/// The rank of the one who accepted, or what of the key the ranking should go by.
#[derive(Debug)]
pub enum Found {
    Rank(usize),
    Nobody(u64),
}
