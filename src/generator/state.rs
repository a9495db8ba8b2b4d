//! The generator's state as bytes, to save it and to exchange it with PyTorch.

use std::fmt;

use super::{Generator, N};
use crate::error::Error;

/// The length of a generator's state in bytes, that of `torch.get_rng_state()`.
pub const STATE_BYTES: usize = 5056;

/// The offsets of the fields of a state. PyTorch writes its structure `CPUGeneratorImplState` as it
/// lies in memory, little-endian: u64 seed, i32 left, i32 seeded, u64 next, 624 words as u64,
/// f64 `normal_x`, `normal_y` and `normal_rho`, i32 `normal_is_valid`, and, aligned to 8 bytes,
/// the reserve of a normal distribution in f32 with its flag.
mod offset {
    pub(super) const SEED: usize = 0;
    pub(super) const LEFT: usize = 8;
    pub(super) const SEEDED: usize = 12;
    pub(super) const NEXT: usize = 16;
    pub(super) const WORDS: usize = 24;
    pub(super) const NORMAL_Y: usize = 5024;
    pub(super) const NORMAL_IS_VALID: usize = 5040;
    pub(super) const NORMAL_F32_IS_VALID: usize = 5052;
}

impl Generator {
    /// The state, in the bytes of `torch.get_rng_state()`.
    pub fn state(&self) -> [u8; STATE_BYTES] {
        let mut bytes = [0; STATE_BYTES];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(offset::SEED, &self.seed.to_le_bytes());
        put(offset::LEFT, &self.left().to_le_bytes());
        put(offset::SEEDED, &1_u32.to_le_bytes());
        put(offset::NEXT, &(self.next as u64).to_le_bytes());
        for (i, &word) in self.words.iter().enumerate() {
            put(offset::WORDS + 8 * i, &u64::from(word).to_le_bytes());
        }
        if let Some(sample) = self.next_normal {
            put(offset::NORMAL_Y, &sample.to_le_bytes());
            put(offset::NORMAL_IS_VALID, &1_u32.to_le_bytes());
        }
        bytes
    }

    /// The generator with this state, to continue the stream of PyTorch or of [`Generator::state`].
    ///
    /// # Errors
    /// [`Error::Invalid`] if there are too few or too many bytes, or a field has a value that no generator
    /// has. Fields that PyTorch does not read back, like the padding, are ignored.
    pub fn from_state(bytes: &[u8]) -> Result<Self, Error> {
        expect("size in bytes", bytes.len(), STATE_BYTES, bytes.len() == STATE_BYTES)?;
        let mut generator = Generator::new(u64_at(bytes, offset::SEED));
        generator.next = usize::try_from(u64_at(bytes, offset::NEXT)).unwrap_or(usize::MAX);
        expect("next", generator.next, "0 to 624", generator.next <= N)?;
        let left = u32_at(bytes, offset::LEFT);
        expect("left", left, generator.left(), left == generator.left())?;
        let seeded = u32_at(bytes, offset::SEEDED);
        expect("seeded", seeded, 1, seeded == 1)?;
        for (i, word) in generator.words.iter_mut().enumerate() {
            let field = u64_at(bytes, offset::WORDS + 8 * i);
            *word = u32::try_from(field).unwrap_or_default();
            expect("every word", field, "at most 32 bits long", field == u64::from(*word))?;
        }
        let valid = u32_at(bytes, offset::NORMAL_IS_VALID);
        expect("normal_is_valid", valid, "0 or 1", valid <= 1)?;
        let sample = f64::from_bits(u64_at(bytes, offset::NORMAL_Y));
        if valid == 1 {
            expect("normal_y", sample, "a finite number", sample.is_finite())?;
            generator.next_normal = Some(sample);
        }
        let valid = bytes[offset::NORMAL_F32_IS_VALID];
        expect("the flag of a normal sample in f32", valid, 0, valid == 0)?;
        Ok(generator)
    }

    /// PyTorch's second counter: the words left in the block, plus one. It is 1 in a new generator, because
    /// its block is twisted at the first draw.
    fn left(&self) -> u32 {
        let left = if self.next == 0 { 1 } else { N + 1 - self.next };
        #[allow(clippy::cast_possible_truncation, reason = "at most 624")]
        let left = left as u32;
        left
    }
}

/// Returns an error with the expected and the found value unless the condition holds.
fn expect(
    field: &str,
    found: impl fmt::Display,
    expected: impl fmt::Display,
    condition: bool,
) -> Result<(), Error> {
    if condition {
        return Ok(());
    }
    let what = format!("expected {field} to be {expected}, got {found}");
    Err(Error::invalid("generator state", what))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::elementary::tests::checksum;

    fn sum(generator: &Generator) -> u32 {
        checksum(generator.state())
    }

    #[test]
    fn the_bytes_are_those_of_torch_after_every_step_of_a_history() {
        // Each checksum is that of torch.get_rng_state() in PyTorch 2.15.
        assert_eq!(sum(&Generator::new(u64::MAX)), 0x9f21_27a2);
        let mut generator = Generator::new(0);
        assert_eq!(sum(&generator), 0xec67_1584);
        // 1, 623, 624 and 625 words: the block is twisted when the next word is needed.
        for (size, expected) in
            [(1, 0x50f8_7ae3), (622, 0x3fa3_b70f), (1, 0xdf49_1d03), (1, 0x4ff4_0f27)]
        {
            generator.uniform(0.0, 1.0, &mut vec![0.0_f32; size]);
            assert_eq!(sum(&generator), expected);
        }
        // Three normal samples leave a fourth, which the next call takes.
        generator.normal(&mut [0.0_f32; 3]);
        assert_eq!(sum(&generator), 0xc71c_f3f3);
        generator.normal(&mut [0.0_f64; 1]);
        assert_eq!(sum(&generator), 0x8f1a_5627);
        generator.normal(&mut [0.0_f32; 20]);
        assert_eq!(sum(&generator), 0xd747_1acf);
        generator.uniform(0.0, 1.0, &mut [0.0_f64; 5]);
        assert_eq!(sum(&generator), 0x7a8a_d29b);
        generator.keep_mask(0.3, &mut [false; 7]);
        assert_eq!(sum(&generator), 0x522d_e63f);
        generator.normal(&mut [0.0_f32; 1]);
        assert_eq!(sum(&generator), 0xfb02_1d2f);
        generator.uniform(0.0, 1.0, &mut [0.0_f32; 2000]);
        assert_eq!(sum(&generator), 0x990d_c91d);
    }

    #[test]
    fn a_generator_goes_on_from_its_state() {
        for drawn in [0, 1, 2, 311, 312, 313, 623, 624, 625, 1248, 1249] {
            for normals in [0, 1, 2] {
                let mut generator = Generator::new(42);
                generator.uniform(0.0, 1.0, &mut vec![0.0_f32; drawn]);
                generator.normal(&mut vec![0.0_f64; normals]);
                let copy = Generator::from_state(&generator.state()).unwrap();
                assert_eq!(copy, generator, "{drawn} words, then {normals} normal samples");
            }
        }
    }

    #[test]
    fn fields_that_torch_does_not_read_back_are_ignored() {
        let generator = Generator::new(7);
        let mut bytes = generator.state();
        // normal_x, normal_y while it is not valid, normal_rho, and both paddings.
        for at in [5016, offset::NORMAL_Y, 5032, 5044, 5048, 5053] {
            bytes[at] = 3;
        }
        assert_eq!(Generator::from_state(&bytes).unwrap(), generator);
    }

    /// The error for a state whose bytes from `at` on are replaced by `field`.
    fn refusal(at: usize, field: &[u8]) -> String {
        let mut bytes = Generator::new(7).state();
        bytes[at..at + field.len()].copy_from_slice(field);
        Generator::from_state(&bytes).unwrap_err().to_string()
    }

    #[test]
    fn bytes_that_are_no_state_are_refused() {
        let bytes = Generator::new(7).state();
        let refused = |bytes: &[u8]| Generator::from_state(bytes).unwrap_err().to_string();
        let size = "generator state: expected size in bytes to be 5056, got";
        assert_eq!(refused(&[]), format!("{size} 0"));
        assert_eq!(refused(&bytes[..5055]), format!("{size} 5055"));
        assert_eq!(refused(&[bytes.as_slice(), &[0]].concat()), format!("{size} 5057"));
        assert_eq!(refused(&[0; STATE_BYTES]), "generator state: expected left to be 1, got 0");
    }

    #[test]
    fn fields_that_no_generator_has_are_refused() {
        let nan = f64::NAN.to_le_bytes();
        let normal = [nan.as_slice(), &[0; 8], &[1]].concat();
        let cases: [(usize, &[u8], &str); 8] = [
            (offset::NEXT, &625_u64.to_le_bytes(), "next to be 0 to 624, got 625"),
            (offset::NEXT, &600_u64.to_le_bytes(), "left to be 25, got 1"),
            (offset::LEFT, &2_u32.to_le_bytes(), "left to be 1, got 2"),
            (offset::SEEDED, &[0], "seeded to be 1, got 0"),
            (offset::WORDS + 4, &[1], "every word to be at most 32 bits long, got 4294967303"),
            (offset::NORMAL_IS_VALID, &[2], "normal_is_valid to be 0 or 1, got 2"),
            (offset::NORMAL_Y, &normal, "normal_y to be a finite number, got NaN"),
            (
                offset::NORMAL_F32_IS_VALID,
                &[1],
                "the flag of a normal sample in f32 to be 0, got 1",
            ),
        ];
        for (at, field, expected) in cases {
            assert_eq!(refusal(at, field), format!("generator state: expected {expected}"));
        }
    }
}
