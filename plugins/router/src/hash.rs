//! Hashes that are the same on every gateway and in every version: sticky choices depend on them. Not for secrets, and no
//! defence against keys that are chosen to collide: whoever chooses a key chooses only where its own requests go.

/// Hash of some bytes: FNV-1a, 64 bits (Fowler, Noll, Vo), and a finaliser, for its high bits say little
/// of the last bytes.
pub(crate) fn of(bytes: &[u8]) -> u64 {
    let fnv = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    mix(fnv)
}

/// One hash of two, in which each decides every bit.
pub(crate) fn join(first: u64, second: u64) -> u64 {
    mix(first ^ mix(second))
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014).
fn mix(bits: u64) -> u64 {
    let bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_never_change() {
        // Another value here moves every sticky client to another target.
        assert_eq!(of(b""), 14_087_677_454_934_409_008);
        assert_eq!(of(b"a"), 6_857_225_946_766_476_583);
        assert_eq!(of(b"client-1"), 7_458_469_056_374_042_044);
        assert_eq!(join(1, 2), 16_171_810_823_986_729_605);
        assert_ne!(join(1, 2), join(2, 1));
    }

    #[test]
    fn one_bit_of_the_input_changes_about_half_of_the_output() {
        let mut changed = 0;
        for n in 0..1_000_u32 {
            let bytes = n.to_le_bytes();
            let mut other = bytes;
            other[3] ^= 1;
            changed += (of(&bytes) ^ of(&other)).count_ones();
        }
        // 64,000 fair coins: six standard deviations are 759.
        assert!((31_241..=32_759).contains(&changed), "{changed}");
    }
}
