//! The caches of the machine, as Linux describes them.

use std::fs::read_to_string;
use std::sync::OnceLock;

/// A level of the cache of the first core that holds data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cache {
    /// 1 for the cache next to the core.
    pub level: usize,
    /// Its size, which several cores may share.
    pub bytes: usize,
}

/// Bytes of the second-level cache if the system does not tell them: those of the machine that the plan was tuned on.
const DEFAULT_L2: usize = 2 << 20;
/// Sizes of a second-level cache that a plan believes. A guess: the caches of all known machines lie between them.
const BELIEVED_L2: std::ops::RangeInclusive<usize> = 256 << 10..=16 << 20;
/// Most caches of a core: a guess, twice as many as known machines have.
const MAX_CACHES: usize = 8;

/// The caches of the first core, level by level; none if the system does not tell them.
pub fn caches() -> impl Iterator<Item = Cache> {
    (0..MAX_CACHES).filter_map(cache)
}

/// Bytes of the second-level cache that a plan counts on. The system is asked once, and for no cache behind it.
pub(crate) fn l2_bytes() -> usize {
    static L2: OnceLock<usize> = OnceLock::new();
    *L2.get_or_init(|| {
        let l2 = caches().find(|cache| cache.level == 2);
        l2.map_or(DEFAULT_L2, |l2| l2.bytes.clamp(*BELIEVED_L2.start(), *BELIEVED_L2.end()))
    })
}

/// Cache `index` of the first core, unless it holds instructions.
fn cache(index: usize) -> Option<Cache> {
    let field = |name: &str| {
        let path = format!("/sys/devices/system/cpu/cpu0/cache/index{index}/{name}");
        read_to_string(path).ok().map(|text| text.trim().to_owned())
    };
    let (level, bytes) = (field("level")?.parse().ok()?, bytes(&field("size")?)?);
    (field("type")? != "Instruction").then_some(Cache { level, bytes })
}

/// `48K` in bytes.
fn bytes(size: &str) -> Option<usize> {
    size.strip_suffix('K')?.parse::<usize>().ok()?.checked_mul(1 << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_in_kibibytes() {
        assert_eq!(bytes("2048K"), Some(2 << 20));
        assert_eq!(bytes("2048"), None);
        assert_eq!(bytes("K"), None);
        assert_eq!(bytes(&format!("{}K", usize::MAX)), None);
    }

    #[test]
    fn a_plan_counts_on_a_believable_cache() {
        assert!(BELIEVED_L2.contains(&l2_bytes()));
    }
}
