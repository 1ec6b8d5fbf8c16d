//! The random choices of a stress test.

/// A reproducible generator of pseudo-random numbers (`SplitMix64`).
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for index in (1..items.len()).rev() {
            let other = self.below(u64::try_from(index).unwrap() + 1);
            items.swap(index, usize::try_from(other).unwrap());
        }
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        let bound = u64::try_from(of.len()).unwrap();
        &of[usize::try_from(self.below(bound)).unwrap()]
    }
}
