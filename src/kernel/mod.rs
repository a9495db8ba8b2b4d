//! The arithmetic, on slices: products with panels of weights, and the nonlinearity.
//!
//! One algorithm ([`product`], [`tanh`]), written once over a small vector trait
//! ([`crate::element::Vector`]), and thin instances of the trait for each instruction set ([`x86`],
//! [`vector`]). All of them give the same bits.
//!
//! This module uses std and `element` alone. It must not know files, threads, ndarray or errors; it cannot fail, and
//! it allocates nothing: it fills slices that it is given. It is single-threaded, but for [`relay`], which
//! lets several hands write one matrix and does not know where they are.

mod one_row;
mod panels;
mod peak;
mod product;
mod relay;
mod rows;
mod tanh;
mod tiles;
mod vector;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use panels::{Aligned, Panels};
pub(crate) use product::{Activation, Product, Recurrence, Walk};
pub(crate) use relay::{Hand, Progress, Relay};
pub(crate) use rows::RowsMut;

use crate::element::Element;

/// A way to run the arithmetic that this CPU supports.
///
/// A value exists only after the CPU was asked for the instructions, so holding one is the proof that
/// they may be used.
///
/// ```
/// use elman::Kernel;
///
/// // avx512, avx2, portable where the CPU has all of them.
/// let names: Vec<_> = Kernel::supported().map(Kernel::name).collect();
/// assert_eq!(names.first(), Some(&Kernel::best().name()));
/// assert_eq!(names.last(), Some(&"portable"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel(InstructionSet);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InstructionSet {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

impl Kernel {
    /// Every kernel that this CPU supports, the fastest first.
    ///
    /// The last one is always `portable`: plain arrays, compiled for the target's base instructions.
    /// Where those have no fused multiply-add it is some hundred times slower than the others.
    pub fn supported() -> impl Iterator<Item = Kernel> {
        let sets = [
            #[cfg(target_arch = "x86_64")]
            (InstructionSet::Avx512, has_avx512()),
            #[cfg(target_arch = "x86_64")]
            (InstructionSet::Avx2, has_avx2()),
            (InstructionSet::Portable, true),
        ];
        sets.into_iter().filter(|(_, supported)| *supported).map(|(set, _)| Kernel(set))
    }

    /// The fastest kernel that this CPU supports.
    pub fn best() -> Kernel {
        Kernel::supported().next().unwrap_or(Kernel(InstructionSet::Portable))
    }

    /// `avx512`, `avx2` or `portable`.
    pub fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => "avx2",
            InstructionSet::Portable => "portable",
        }
    }

    /// Runs `rounds` of a loop of independent fused multiply-adds that does nothing else, and returns how
    /// many floating-point operations that were.
    ///
    /// ```
    /// use std::time::Instant;
    /// use elman::Kernel;
    ///
    /// let start = Instant::now();
    /// let operations = Kernel::best().multiply_adds::<f32>(1000);
    /// let peak = operations / start.elapsed().as_secs_f64();
    /// assert!(peak > 0.0, "FLOP/s of one core");
    /// ```
    pub fn multiply_adds<T: Element>(self, rounds: usize) -> f64 {
        let (sums, sum) = match self.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a Kernel of this set is only made when the CPU has the features.
            InstructionSet::Avx512 => (24 * T::LINE, unsafe { multiply_add_avx512::<T>(rounds) }),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a Kernel of this set is only made when the CPU has the features.
            InstructionSet::Avx2 => (12 * T::LINE / 2, unsafe { multiply_add_avx2::<T>(rounds) }),
            InstructionSet::Portable => {
                (12 * T::LINE / 2, peak::multiply_add::<T::Portable, 12>(rounds))
            }
        };
        std::hint::black_box(sum);
        2.0 * sums as f64 * rounds as f64
    }

    /// Reads all of `data`, and does nothing else.
    ///
    /// ```
    /// use std::time::Instant;
    /// use elman::Kernel;
    ///
    /// let weights = vec![1.0_f32; 1 << 16];
    /// let start = Instant::now();
    /// Kernel::best().read(&weights);
    /// let bandwidth = size_of_val(&weights[..]) as f64 / start.elapsed().as_secs_f64();
    /// assert!(bandwidth > 0.0, "bytes per second that one core reads");
    /// ```
    pub fn read<T: Element>(self, data: &[T]) {
        let sum = match self.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a Kernel of this set is only made when the CPU has the features.
            InstructionSet::Avx512 => unsafe { read_avx512(data) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a Kernel of this set is only made when the CPU has the features.
            InstructionSet::Avx2 => unsafe { read_avx2(data) },
            InstructionSet::Portable => peak::read::<T::Portable, 8>(data),
        };
        std::hint::black_box(sum);
    }

    /// Computes a product; see [`Product`].
    pub(crate) fn product<T: Element>(self, product: Product<'_, T>) {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a Kernel of this set is only made when the CPU has the features.
            InstructionSet::Avx512 => unsafe { product_avx512(product) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a Kernel of this set is only made when the CPU has the features.
            InstructionSet::Avx2 => unsafe { product_avx2(product) },
            InstructionSet::Portable => product::compute::<T::Portable, 4, 2>(product),
        }
    }

    /// Computes a recurrence; see [`Recurrence`].
    pub(crate) fn recur<T: Element>(self, recurrence: Recurrence<'_, T>) {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a Kernel of this set is only made when the CPU has the features.
            InstructionSet::Avx512 => unsafe { recur_avx512(recurrence) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a Kernel of this set is only made when the CPU has the features.
            InstructionSet::Avx2 => unsafe { recur_avx2(recurrence) },
            InstructionSet::Portable => product::recur::<T::Portable, 2>(recurrence),
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq") && has_avx2()
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

/// 32 registers: 8 rows x 3 vectors keep 24 sums, and leave room for a row of the panel and the input.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx2,fma")]
fn product_avx512<T: Element>(product: Product<'_, T>) {
    product::compute::<T::Avx512, 8, 1>(product);
}

/// 16 registers: 4 rows x 3 vectors keep 12 sums.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn product_avx2<T: Element>(product: Product<'_, T>) {
    product::compute::<T::Avx2, 4, 2>(product);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx2,fma")]
fn recur_avx512<T: Element>(recurrence: Recurrence<'_, T>) {
    product::recur::<T::Avx512, 1>(recurrence);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn recur_avx2<T: Element>(recurrence: Recurrence<'_, T>) {
    product::recur::<T::Avx2, 2>(recurrence);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx2,fma")]
fn multiply_add_avx512<T: Element>(rounds: usize) -> T {
    peak::multiply_add::<T::Avx512, 24>(rounds)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn multiply_add_avx2<T: Element>(rounds: usize) -> T {
    peak::multiply_add::<T::Avx2, 12>(rounds)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx2,fma")]
fn read_avx512<T: Element>(data: &[T]) -> T {
    peak::read::<T::Avx512, 16>(data)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn read_avx2<T: Element>(data: &[T]) -> T {
    peak::read::<T::Avx2, 8>(data)
}
