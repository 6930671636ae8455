use crate::InvalidSetting;

/// The slot of the member who has each slot of the table.
#[derive(Debug)]
pub struct Slots(Box<[u32]>);

/// How one backend likes the table's slots.
pub(super) struct Permutation {
    next: u32,
    skip: u32,
    size: u32,
}

/// Who has which slot of the table, while it is built.
pub(super) struct Claims {
    owners: Vec<u32>,
    /// A bit for each slot. Small enough to stay in the nearest cache, unlike the owners.
    taken: Vec<u64>,
    free: usize,
}

const MOST: u32 = 5_000_011;

/// Only with a prime number of slots does each skip lead to all of them.
pub(super) fn check_size(size: u32) -> Result<u32, InvalidSetting> {
    let divides = |divisor: u32| size.is_multiple_of(divisor);
    let prime = size >= 2 && !(2..=size.isqrt()).any(divides);
    if prime && size <= MOST {
        Ok(size)
    } else {
        let expected = "a prime from 2 to 5000011";
        Err(InvalidSetting::new("table size", size, expected))
    }
}

impl Permutation {
    pub(super) fn new(offset: u64, skip: u64, size: u32) -> Self {
        Self {
            next: (offset % u64::from(size)) as u32,
            skip: (skip % u64::from((size - 1).max(1))) as u32 + 1,
            size,
        }
    }

    pub(super) fn advance(&mut self) -> u32 {
        let slot = self.next;
        let next = u64::from(slot) + u64::from(self.skip);
        self.next = (next % u64::from(self.size)) as u32;
        slot
    }
}

impl Claims {
    pub(super) fn new(size: u32) -> Self {
        Self {
            owners: vec![0; size as usize],
            taken: vec![0; (size as usize).div_ceil(64)],
            free: size as usize,
        }
    }

    /// Gives an owner the next free slot of its permutation. Returns whether any is left after it.
    pub(super) fn claim(&mut self, permutation: &mut Permutation, owner: u32) -> bool {
        if self.free == 0 {
            return false;
        }
        while !self.take(permutation.advance(), owner) {}
        self.free > 0
    }

    /// Gives an owner a slot, if it is free.
    pub(super) fn take(&mut self, slot: u32, owner: u32) -> bool {
        let slot = slot as usize;
        let (word, bit) = (&mut self.taken[slot / 64], 1 << (slot % 64));
        if *word & bit != 0 {
            return false;
        }
        *word |= bit;
        self.owners[slot] = owner;
        self.free -= 1;
        true
    }

    /// Without any claim there is no table.
    pub(super) fn into_slots(mut self) -> Slots {
        if self.free == self.owners.len() {
            self.owners.clear();
        }
        Slots(self.owners.into())
    }
}

impl Slots {
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    #[inline]
    pub(super) fn owner(&self, at: usize) -> Option<u32> {
        self.0.get(at).copied()
    }
}
