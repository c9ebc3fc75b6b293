//! Random numbers for election timeouts (rule E1).

use std::time::Duration;

/// The generator `SplitMix64`: one addition and a mix of the bits for each number. Source: Steele, Lea
/// and Flood, *Fast splittable pseudorandom number generators*, 2014. Its numbers are good enough to
/// keep servers from waking together, and no secret.
#[derive(Clone, Debug)]
pub(super) struct Random {
    state: u64,
}

impl Random {
    /// A generator of its own for each server and each start, even where all have one seed: servers with
    /// the same numbers would split every vote.
    pub(super) fn new(seed: u64, server: u64, incarnation: u64) -> Random {
        let mut random = Random { state: seed };
        for salt in [server, incarnation] {
            random.state = random.next_number() ^ salt;
        }
        random
    }

    fn next_number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A time from `least` up to twice that, every one as likely as any other.
    pub(super) fn between_once_and_twice(&mut self, least: Duration) -> Duration {
        // The upper half of the product is a fraction of the bound, without the bias of a remainder.
        let bound = least.as_nanos().min(u128::from(u64::MAX));
        let fraction = (u128::from(self.next_number()) * bound) >> 64;
        least.saturating_add(Duration::from_nanos(u64::try_from(fraction).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_spread_between_once_and_twice_the_least() {
        let least = Duration::from_millis(100);
        let mut random = Random::new(1, 2, 3);
        let mut quarters = [0; 4];
        for _ in 0..4000 {
            let drawn = random.between_once_and_twice(least);
            assert!((least..2 * least).contains(&drawn), "{drawn:?}");
            quarters[usize::try_from((drawn - least).as_millis() / 25).unwrap_or(4)] += 1;
        }
        assert!(quarters.iter().all(|drawn| (900..1100).contains(drawn)), "{quarters:?}");
    }

    #[test]
    fn servers_and_starts_draw_different_timeouts_from_one_seed() {
        let least = Duration::from_secs(1);
        let drawn =
            |server, incarnation| Random::new(7, server, incarnation).between_once_and_twice(least);
        assert_eq!(drawn(1, 1), drawn(1, 1));
        assert!(drawn(1, 1) != drawn(2, 1) && drawn(1, 1) != drawn(1, 2));
    }
}
