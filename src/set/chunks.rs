use std::sync::Arc;

/// A vector whose clones share what they did not change, in pieces of 128 elements.
///
/// Copying a pool of 10,000 backends for one change then means copying one piece and 79 pointers.
#[derive(Debug)]
pub(crate) struct Chunks<V>(Vec<Arc<[Option<V>]>>);

const BITS: usize = 7;
const SIZE: usize = 1 << BITS;

impl<V> Chunks<V> {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<&V> {
        self.0.get(index >> BITS)?[index & (SIZE - 1)].as_ref()
    }
}

impl<V> Chunks<V> {
    /// No element is at this index or after it.
    pub(crate) fn end(&self) -> usize {
        self.0.len() << BITS
    }

    /// The elements of the pieces that are not shared with another.
    pub(crate) fn differing(&self, other: Option<&Self>) -> impl Iterator<Item = &V> {
        let is_shared = move |(at, chunk): &(usize, &Arc<[Option<V>]>)| {
            let other = other.and_then(|other| other.0.get(*at));
            other.is_some_and(|other| Arc::ptr_eq(other, chunk))
        };
        let chunks = self.0.iter().enumerate();
        chunks
            .filter(move |chunk| !is_shared(chunk))
            .flat_map(|(_, chunk)| chunk.iter().flatten())
    }
}

impl<V: Clone> Chunks<V> {
    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut V> {
        let chunk = self.0.get_mut(index >> BITS)?;
        // Looks before it copies: a shared piece is copied only for an element that is there.
        chunk[index & (SIZE - 1)].as_ref()?;
        Arc::make_mut(chunk)[index & (SIZE - 1)].as_mut()
    }

    /// Sets the element at `index`, growing as needed; returns what was there.
    pub(crate) fn replace(&mut self, index: usize, value: Option<V>) -> Option<V> {
        while self.0.len() <= index >> BITS {
            self.0
                .push(std::iter::repeat_with(|| None).take(SIZE).collect());
        }
        std::mem::replace(
            &mut Arc::make_mut(&mut self.0[index >> BITS])[index & (SIZE - 1)],
            value,
        )
    }
}

// Not derived: a derive would ask for `V: Clone`, which sharing does not need.
impl<V> Clone for Chunks<V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
