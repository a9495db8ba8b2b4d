//! PyTorch's random numbers on the CPU, bit for bit: the generator, its state, and the three
//! kinds of samples that an RNN needs: uniform weights, normal tensors and dropout masks.
//!
//! Every function draws from one stream in memory order, so the order of the calls is part of the
//! result, as it is in PyTorch.

mod state;

use std::f64::consts::TAU;

pub use state::STATE_BYTES;

use crate::element::{Element, elementary};

/// The parameters of the 32-bit Mersenne Twister of M. Matsumoto and T. Nishimura (1998), MT19937:
/// the degree and the middle word of the recurrence, its matrix, and the masks of its two halves.
const N: usize = 624;
const M: usize = 397;
const MATRIX_A: u32 = 0x9908_b0df;
const UPPER_MASK: u32 = 0x8000_0000;
const LOWER_MASK: u32 = 0x7fff_ffff;

/// Samples of a block of normal samples; PyTorch computes shorter tensors in another way.
const BLOCK: usize = 16;

/// PyTorch's CPU generator: MT19937 and, beside it, one normal sample in reserve.
///
/// ```
/// use elman::Generator;
///
/// // generator = torch.Generator().manual_seed(0)
/// let mut generator = Generator::new(0);
/// assert_eq!((generator.seed(), generator.position()), (0, 0));
/// // torch.randn(3, generator=generator)
/// let mut values = [0.0_f32; 3];
/// generator.normal(&mut values);
/// assert_eq!(format!("{values:.4?}"), "[1.5410, -0.2934, -2.1788]");
/// // They come in pairs; a pair takes two f64, which are four words.
/// assert!(generator.keeps_normal());
/// assert_eq!(generator.position(), 8);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Generator {
    seed: u64,
    words: [u32; N],
    /// Words of the block that have been drawn. 0 means a new generator, whose block holds the seed's words
    /// and is not yet twisted; a block of which all `N` words are drawn is twisted at the next draw.
    next: usize,
    /// The second of a pair of normal samples, if only the first has been used.
    next_normal: Option<f64>,
}

impl Generator {
    /// The seed of a new `torch.Generator()`.
    pub const DEFAULT_SEED: u64 = 67_280_421_310_721;

    /// Words of a block.
    pub const BLOCK_WORDS: usize = N;

    /// The generator after `torch.manual_seed(seed)`; a negative seed counts modulo 2^64.
    ///
    /// As in PyTorch, only the lower 32 bits influence the numbers; [`Generator::seed`] keeps
    /// all of them.
    pub fn new(seed: u64) -> Self {
        // The multiplier is the one of Matsumoto and Nishimura's `init_genrand` of 2002.
        let mut words = [0; N];
        #[allow(clippy::cast_possible_truncation, reason = "PyTorch takes the lower half")]
        let mut word = seed as u32;
        for (slot, i) in words.iter_mut().zip(1..) {
            *slot = word;
            word = (word ^ (word >> 30)).wrapping_mul(1_812_433_253).wrapping_add(i);
        }
        Generator { seed, words, next: 0, next_normal: None }
    }

    /// The seed of the generator, `torch.initial_seed()`.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Words of the current block, of [`Generator::BLOCK_WORDS`], that have been drawn; 0 only if none has been
    /// drawn since the generator was seeded.
    pub fn position(&self) -> usize {
        self.next
    }

    /// Whether a normal sample is kept for the next draw: normal samples are computed in pairs.
    pub fn keeps_normal(&self) -> bool {
        self.next_normal.is_some()
    }

    /// Fills `out` with samples from [low, high), as `tensor.uniform_(low, high)` does.
    ///
    /// Both bounds are rounded to `T` first. A number takes one word of the stream in f32, two in
    /// f64. The value is u (high - low) + low with one rounding, because PyTorch's AVX2 and
    /// AVX-512 kernels fuse the two operations; a value that rounds to `high` becomes `low`.
    pub fn uniform<T: Element>(&mut self, low: f64, high: f64, out: &mut [T]) {
        let (low, high) = (T::from_f64(low), T::from_f64(high));
        let width = high - low;
        for value in out {
            let sample = T::unit(|| self.next_u32()).mul_add(width, low);
            *value = if sample == high { low } else { sample };
        }
    }

    /// Fills `out` with standard normal samples, as `torch.randn` does for a contiguous tensor.
    ///
    /// Sixteen samples and more are computed in blocks by the Box-Muller transform, in `T`. Fewer are computed one by
    /// one, in f64 for either type, and may leave one in reserve for the next such call. In f32 all samples have
    /// PyTorch's bits. In f64 PyTorch's depend on its C library; more than 99 % of the samples have its bits, the
    /// others differ by a few units in the last place.
    pub fn normal<T: Element>(&mut self, out: &mut [T]) {
        if out.len() < BLOCK {
            out.fill_with(|| T::from_f64(self.single_normal()));
            return;
        }
        out.fill_with(|| T::unit(|| self.next_u32()));
        let (blocks, rest) = out.as_chunks_mut();
        for block in blocks {
            box_muller(block);
        }
        // The samples that do not fill a block are drawn again, together with the samples before them.
        if !rest.is_empty()
            && let Some(last) = out.last_chunk_mut()
        {
            last.fill_with(|| T::unit(|| self.next_u32()));
            box_muller(last);
        }
    }

    /// Fills `out` with a dropout mask as `bernoulli_(1 - dropout)` does for tensors of either type: true for a
    /// kept element, with probability 1 - `dropout`.
    ///
    /// `dropout` is in [0, 1]. For 0 and 1 the mask is constant and, as in `torch.dropout`, no word
    /// is drawn; otherwise an element takes two words of the stream.
    pub fn keep_mask(&mut self, dropout: f64, out: &mut [bool]) {
        if dropout <= 0.0 || dropout >= 1.0 {
            out.fill(dropout <= 0.0);
            return;
        }
        let keep = 1.0 - dropout;
        out.fill_with(|| f64::unit(|| self.next_u32()) < keep);
    }

    /// One sample of `at::normal_distribution<double>`, with r = sqrt(-2 ln(1 - u2)):
    /// r cos(2π u1) now, r sin(2π u1) the next time.
    fn single_normal(&mut self) -> f64 {
        let sample = self.next_normal.take().unwrap_or_else(|| {
            let u1 = f64::unit(|| self.next_u32());
            let u2 = f64::unit(|| self.next_u32());
            let radius = (-2.0 * elementary::ln_1m(u2)).sqrt();
            let (sin, cos) = elementary::sin_cos(TAU * u1);
            self.next_normal = Some(radius * sin);
            radius * cos
        });
        // PyTorch adds the mean, 0, which turns -0.0 into 0.0.
        sample + 0.0
    }

    fn next_u32(&mut self) -> u32 {
        if self.next == 0 || self.next == N {
            self.twist();
            self.next = 0;
        }
        let mut word = self.words[self.next];
        self.next += 1;
        // The tempering of MT19937.
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    /// Replaces the block by the next one: word k becomes a function of the words k, k+1 and k+M modulo N, of
    /// which those before k are already new.
    fn twist(&mut self) {
        let words = &mut self.words;
        let mix = |word: u32, next: u32, middle: u32| {
            let joined = word & UPPER_MASK | next & LOWER_MASK;
            middle ^ (joined >> 1) ^ if next & 1 == 1 { MATRIX_A } else { 0 }
        };
        for k in 0..N - M {
            words[k] = mix(words[k], words[k + 1], words[k + M]);
        }
        for k in N - M..N - 1 {
            words[k] = mix(words[k], words[k + 1], words[k + M - N]);
        }
        words[N - 1] = mix(words[N - 1], words[0], words[M - 1]);
    }
}

/// Turns a block of uniform samples into one of normal samples. Elements j and j + 8, u and v, are a pair:
/// with r = sqrt(-2 ln(1 - u)) they become r cos(2π v) and r sin(2π v).
fn box_muller<T: Element>(block: &mut [T; BLOCK]) {
    for j in 0..BLOCK / 2 {
        let radius = (T::from_f64(-2.0) * (T::ONE - block[j]).portable_ln()).sqrt();
        let (sin, cos) = (T::from_f64(TAU) * block[j + BLOCK / 2]).portable_sin_cos();
        // PyTorch adds the mean, 0, here too.
        block[j] = radius * cos + T::ZERO;
        block[j + BLOCK / 2] = radius * sin + T::ZERO;
    }
}

/// The expected values are those of PyTorch 2.15, unless a comment says otherwise.
#[cfg(test)]
mod tests {
    #![allow(clippy::float_cmp, reason = "the same bits are what is promised")]

    use super::*;
    use crate::element::elementary::tests::checksum;

    /// A seed with the numbers of seed 5.
    const SEED_5: u64 = (1 << 32) + 5;

    /// 1/sqrt(20), the bound of the weights of 20 hidden units.
    const BOUND: f64 = 0.223_606_797_749_979;

    /// Seed, size, and the checksums of `uniform_(-BOUND, BOUND)` in f32 and in f64 and of `randn`
    /// in f32 and in f64. In `randn` in f64 of size 1000, some samples of the last two seeds differ from
    /// PyTorch's: those two checksums are the crate's own.
    #[rustfmt::skip]
    const CHECKSUMS: [(u64, usize, [u32; 4]); 32] = [
        (0, 1, [0x91e1_ecb0, 0x495f_9552, 0xef34_6e5c, 0xc744_065b]),
        (0, 5, [0x937f_1301, 0x8f33_1526, 0xb777_a096, 0xbcbd_7e46]),
        (0, 15, [0xdec5_fa05, 0x46b8_c70d, 0x4bbe_1a99, 0xa59e_5cd8]),
        (0, 16, [0xa6a6_9b04, 0xd65e_359b, 0x682e_1036, 0x623d_f5f9]),
        (0, 17, [0xbd73_c592, 0x2f33_e7fa, 0xe7df_515a, 0xd105_d0c9]),
        (0, 24, [0x44ea_2f9c, 0x7421_5ffa, 0x46a8_295c, 0x390b_c9e3]),
        (0, 40, [0xeea7_0301, 0x2e12_b223, 0xf8b8_4176, 0x2eb5_cbe1]),
        (0, 1000, [0x61bf_1560, 0xedc7_69de, 0xf0b4_28be, 0x0388_e620]),
        (42, 1, [0xfe50_8851, 0xf5ec_f8c3, 0xabbb_8b73, 0x753f_85c8]),
        (42, 5, [0x0428_1c52, 0xc6f1_bf1f, 0x6663_ff94, 0x8c23_cd3f]),
        (42, 15, [0x5035_0b8f, 0x12cb_ce63, 0x165c_e26b, 0xd14a_e03c]),
        (42, 16, [0x2aa8_68cd, 0xd171_c1e4, 0x25d5_de34, 0x0359_3207]),
        (42, 17, [0x1983_9711, 0x9b6c_d358, 0x51a4_8af6, 0x5c70_efef]),
        (42, 24, [0xd1bf_caaa, 0xd4be_5979, 0xfa63_a300, 0xe537_8c87]),
        (42, 40, [0x637b_0f43, 0x42da_6dac, 0x5a93_29ec, 0x7d9a_6759]),
        (42, 1000, [0xbe7c_9d05, 0x2545_2111, 0xf518_9c3a, 0x7be7_255c]),
        (u64::MAX, 1, [0xcd48_3012, 0x63a2_d4a7, 0xaa22_30ad, 0x4295_8362]),
        (u64::MAX, 5, [0xa46c_c734, 0x7d90_aef8, 0xab54_2103, 0xf4fa_2907]),
        (u64::MAX, 15, [0xf1c2_ad46, 0x9305_c611, 0xc1cb_4c00, 0x9532_58fc]),
        (u64::MAX, 16, [0xd953_e4b4, 0x39cc_e3ac, 0xe855_858a, 0x515a_f4eb]),
        (u64::MAX, 17, [0xf574_65ce, 0x0ca9_0ed1, 0xe0c4_2f5c, 0x3dbf_389d]),
        (u64::MAX, 24, [0xce01_243f, 0x4ca0_f499, 0xe311_7fc3, 0x0c37_955a]),
        (u64::MAX, 40, [0xc1e3_1d27, 0xd363_02d3, 0x5234_d86b, 0x4873_1a67]),
        (u64::MAX, 1000, [0xa760_e13c, 0x85bd_36ec, 0xacc8_a838, 0xab7b_0ee4]),
        (SEED_5, 1, [0x005c_318a, 0xd6f3_ce2b, 0xd647_07c7, 0xcc85_f21c]),
        (SEED_5, 5, [0xa267_2f94, 0xa952_1654, 0xfd84_b882, 0xacf8_48a7]),
        (SEED_5, 15, [0x1e20_6834, 0xd7a1_5fdc, 0x3455_c1db, 0xe25e_f400]),
        (SEED_5, 16, [0x7a95_a353, 0xc496_3574, 0x4ba8_b850, 0x2fe0_df47]),
        (SEED_5, 17, [0xb0fa_2323, 0x82a9_c6e2, 0xf1ed_e852, 0xacb6_dcdf]),
        (SEED_5, 24, [0xbdf9_d40f, 0x5484_26f8, 0x0409_51b8, 0x1f2f_810e]),
        (SEED_5, 40, [0xc2b6_e579, 0x0120_dbe2, 0x673c_6ae1, 0x5d11_5d2b]),
        (SEED_5, 1000, [0x1f33_cf17, 0xd2f9_8230, 0xa379_0394, 0x2557_7503]),
    ];

    fn checksum_f32(values: &[f32]) -> u32 {
        checksum(values.iter().flat_map(|value| value.to_le_bytes()))
    }

    fn checksum_f64(values: &[f64]) -> u32 {
        checksum(values.iter().flat_map(|value| value.to_le_bytes()))
    }

    fn uniform<T: Element>(generator: &mut Generator, size: usize, bound: f64) -> Vec<T> {
        let mut out = vec![T::default(); size];
        generator.uniform(-bound, bound, &mut out);
        out
    }

    fn rand<T: Element>(generator: &mut Generator, size: usize) -> Vec<T> {
        let mut out = vec![T::default(); size];
        generator.uniform(0.0, 1.0, &mut out);
        out
    }

    fn randn<T: Element>(generator: &mut Generator, size: usize) -> Vec<T> {
        let mut out = vec![T::default(); size];
        generator.normal(&mut out);
        out
    }

    fn keep_mask(generator: &mut Generator, size: usize, dropout: f64) -> Vec<bool> {
        let mut out = vec![false; size];
        generator.keep_mask(dropout, &mut out);
        out
    }

    #[test]
    fn every_kind_of_sample_of_many_sizes_and_seeds() {
        for (seed, size, expected) in CHECKSUMS {
            let new = || Generator::new(seed);
            let found = [
                checksum_f32(&uniform(&mut new(), size, BOUND)),
                checksum_f64(&uniform(&mut new(), size, BOUND)),
                checksum_f32(&randn(&mut new(), size)),
                checksum_f64(&randn(&mut new(), size)),
            ];
            assert_eq!(found, expected, "seed {seed}, size {size}");
        }
    }

    #[test]
    fn the_first_samples_in_clear() {
        let new = || Generator::new(0);
        assert_eq!(rand::<f32>(&mut new(), 2), [0.496_256_6, 0.768_221_8]);
        assert_eq!(rand::<f64>(&mut new(), 2), [0.970_053_001_806_553_1, 0.707_819_864_399_788]);
        assert_eq!(randn::<f32>(&mut new(), 2), [1.540_996_1, -0.293_428_9]);
        assert_eq!(
            randn::<f64>(&mut new(), 2),
            [1.540_996_108_244_043_3, -0.293_428_905_760_946_4]
        );
        assert_eq!(randn::<f32>(&mut new(), 16)[..2], [-1.125_839_8, -1.152_360_2]);
        assert_eq!(
            randn::<f64>(&mut new(), 16)[..2],
            [-2.310_411_800_234_176, -0.373_250_861_257_764_3]
        );
    }

    #[test]
    fn the_lower_half_of_the_seed_counts_and_the_whole_is_kept() {
        let mut generator = Generator::new(SEED_5);
        assert_eq!(rand::<f32>(&mut generator, 700), rand::<f32>(&mut Generator::new(5), 700));
        assert_eq!(generator.seed(), SEED_5);
        let new = || Generator::new(u64::MAX);
        assert_eq!(randn::<f32>(&mut new(), 2), [1.219_763, -0.392_979_47]);
    }

    #[test]
    fn weights_then_input_then_h0_of_the_documentation() {
        // torch.manual_seed(0); nn.RNN(10, 20, 2); torch.randn(5, 3, 10); torch.randn(2, 3, 20)
        let generator = &mut Generator::new(0);
        let weight_ih_l0 = uniform::<f32>(generator, 20 * 10, BOUND);
        uniform::<f32>(generator, 20 * 20 + 20 + 20 + 2 * (20 * 20 + 20), BOUND);
        let input = randn::<f32>(generator, 5 * 3 * 10);
        let h_0 = randn::<f32>(generator, 2 * 3 * 20);
        assert_eq!(weight_ih_l0[..3], [-0.001_674_103_9, 0.119_952_43, -0.184_038_49]);
        assert_eq!(input[..3], [2.234_212_2, -1.940_228_6, 0.577_203]);
        assert_eq!(h_0[..3], [-0.077_426_94, 1.085_483_2, -0.838_057_04]);
    }

    #[test]
    fn the_cached_normal_survives_other_draws() {
        let generator = &mut Generator::new(42);
        let mut all = randn::<f32>(generator, 3);
        assert_eq!(all, [0.336_690_37, 0.128_809_4, 0.234_462_37]);
        all.extend(rand::<f32>(generator, 2));
        all.extend(randn::<f32>(generator, 2));
        assert_eq!(all[5..], [0.230_333_03, -2.466_057]);
        all.extend(randn::<f32>(generator, 20));
        all.extend(randn::<f32>(generator, 1));
        assert_eq!(all[27..], [0.362_286_2]);
        assert_eq!(checksum_f32(&all), 0x4076_17a3);
        assert_eq!(checksum(generator.state()), 0xaf9a_0dc7);
    }

    #[test]
    fn the_cached_normal_survives_other_draws_in_f64() {
        let generator = &mut Generator::new(42);
        let mut all = randn::<f64>(generator, 3);
        all.extend(rand::<f64>(generator, 2));
        all.extend(randn::<f64>(generator, 2));
        all.extend(randn::<f64>(generator, 20));
        all.extend(randn::<f64>(generator, 1));
        assert_eq!(all[27..], [-0.637_997_056_767_218_3]);
        assert_eq!(checksum_f64(&all), 0xc7f7_a70f);
        assert_eq!(checksum(generator.state()), 0x9f2b_71ab);
    }

    #[test]
    fn masks_are_bernoulli_draws() {
        let cases = [
            (0, 16, 0.5, 9, 0x1bb1_9f0c, 0xe246_b767),
            (42, 1000, 0.3, 734, 0xfcfe_75f3, 0x65f5_866c),
            (u64::MAX, 1000, 0.9, 105, 0x86de_279a, 0xf6ad_813b),
        ];
        for (seed, size, dropout, kept, mask, state) in cases {
            let mut generator = Generator::new(seed);
            let found = keep_mask(&mut generator, size, dropout);
            assert_eq!(found.iter().filter(|&&kept| kept).count(), kept);
            assert_eq!(checksum(found.into_iter().map(u8::from)), mask);
            assert_eq!(checksum(generator.state()), state);
        }
    }

    #[test]
    fn masks_that_are_known_draw_nothing() {
        let mut generator = Generator::new(0);
        assert_eq!(keep_mask(&mut generator, 5, 0.0), [true; 5]);
        assert_eq!(keep_mask(&mut generator, 5, 1.0), [false; 5]);
        assert_eq!(generator, Generator::new(0));
    }

    #[test]
    fn nothing_is_drawn_for_nothing() {
        let mut generator = Generator::new(0);
        randn::<f32>(&mut generator, 0);
        rand::<f64>(&mut generator, 0);
        assert_eq!(generator, Generator::new(0));
    }

    #[test]
    fn a_sample_that_rounds_to_the_upper_bound_becomes_the_lower() {
        // Next to 1 there is no room for 24 bits: half of all samples round to one of the bounds.
        let high = 1.0 + f64::from(f32::EPSILON);
        let mut out = [0.0_f32; 100];
        Generator::new(0).uniform(1.0, high, &mut out);
        assert_eq!(out, [1.0; 100]);
    }
}
