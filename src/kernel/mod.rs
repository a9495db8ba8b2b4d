//! The arithmetic, on slices: products with panels of weights, and the nonlinearity.
//!
//! One algorithm ([`product`], [`tanh`]), written once over a small trait ([`vector`]), and thin instances of the
//! trait for each instruction set ([`x86`], [`portable`]). All of them give the same bits.
//!
//! This module uses std alone. It must not know files, threads, ndarray or errors; it cannot
//! fail, and it allocates nothing: it fills slices of its callers. It is single-threaded, except for
//! [`double_buffer`], through which workers on several threads write one matrix.
//!
//! A new instruction set needs a register for each type in a file like [`x86`], its name in
//! [`vector::Registers`] and [`Kernel`], and a branch in `run_on!`.

mod double_buffer;
mod elementwise;
mod many_rows;
mod one_row;
mod panels;
mod peak;
mod portable;
mod product;
mod rows;
mod tanh;
mod tiles;
mod unspecified;
mod vector;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use double_buffer::{DoubleBuffer, Progress, Worker};
pub(crate) use panels::{Aligned, Panels};
pub(crate) use product::{Activation, Product, Walk};
pub(crate) use rows::RowsMut;
pub(crate) use unspecified::lengthen_unspecified;
pub(crate) use vector::Registers;

/// A way to run the arithmetic that this CPU supports.
///
/// A value exists only after the CPU was asked for the instructions, so holding one is the proof that
/// they may be used.
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

/// Rows of the largest tile of a product with AVX-512, whose 32 registers hold its sums.
#[cfg(target_arch = "x86_64")]
const AVX512_ROWS: usize = 8;
/// The same with the other instruction sets, of 16 registers.
const ROWS: usize = 4;

/// Runs a function on one argument, compiled for the instruction set of a kernel.
macro_rules! run_on {
    ($kernel:expr, $T:ident, $argument:ident: $type:ty, $output:ty,
     $avx512:expr, $avx2:expr, $portable:expr) => {{
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512dq,avx2,fma")]
        fn avx512<$T: Registers>($argument: $type) -> $output {
            $avx512($argument)
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma")]
        fn avx2<$T: Registers>($argument: $type) -> $output {
            $avx2($argument)
        }
        match $kernel.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a Kernel of this set is only made when the CPU has the features.
            InstructionSet::Avx512 => unsafe { avx512::<$T>($argument) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a Kernel of this set is only made when the CPU has the features.
            InstructionSet::Avx2 => unsafe { avx2::<$T>($argument) },
            InstructionSet::Portable => $portable($argument),
        }
    }};
}

impl Kernel {
    /// Every kernel that this CPU supports, the fastest first.
    ///
    /// The last one is always `portable`: plain arrays, compiled for the target's base instructions.
    /// If the target has no fused multiply-add, it is some hundred times slower than the others.
    pub fn supported() -> impl Iterator<Item = Kernel> {
        #[cfg(target_arch = "x86_64")]
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        #[cfg(target_arch = "x86_64")]
        let avx512 = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq");
        let sets = [
            #[cfg(target_arch = "x86_64")]
            (InstructionSet::Avx512, avx512 && avx2),
            #[cfg(target_arch = "x86_64")]
            (InstructionSet::Avx2, avx2),
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

    /// Rows and columns of the largest tile of a product.
    pub fn tile<T: Registers>(self) -> (usize, usize) {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => (AVX512_ROWS, Panels::<T>::WIDTH),
            _ => (ROWS, Panels::<T>::WIDTH / 2),
        }
    }

    /// Runs `rounds` rounds of independent fused multiply-adds, and returns the number of floating-point operations.
    pub fn multiply_adds<T: Registers>(self, rounds: usize) -> f64 {
        let sum = run_on!(
            self, T, rounds: usize, T,
            peak::multiply_add::<T::Avx512, 24>,
            peak::multiply_add::<T::Avx2, 12>,
            peak::multiply_add::<T::Portable, 12>
        );
        std::hint::black_box(sum);
        let sums = match self.0 {
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => 24 * T::LINE,
            _ => 12 * T::LINE / 2,
        };
        2.0 * sums as f64 * rounds as f64
    }

    /// Reads all of `data`.
    pub fn read<T: Registers>(self, data: &[T]) {
        let sum = run_on!(
            self, T, data: &[T], T,
            peak::read::<T::Avx512, 16>,
            peak::read::<T::Avx2, 8>,
            peak::read::<T::Portable, 8>
        );
        std::hint::black_box(sum);
    }

    /// Computes a product; see [`Product`].
    ///
    /// AVX-512 has 32 registers: 8 rows x 3 vectors keep 24 sums, and leave room for a row of the panel and
    /// the input. AVX2 has 16: 4 rows x 3 vectors keep 12 sums.
    pub(crate) fn product<T: Registers>(self, product: Product<'_, T>) {
        run_on!(
            self, T, product: Product<'_, T>, (),
            tiles::compute::<T::Avx512, AVX512_ROWS, 1>,
            tiles::compute::<T::Avx2, ROWS, 2>,
            tiles::compute::<T::Portable, ROWS, 2>
        );
    }

    /// Scans one sequence; see [`Product`]. It is a product for each step, in one call, because the code around a call
    /// would take as long as a short step. A scan in `reverse` runs from the last row of `start` and `out` to the first.
    pub(crate) fn recur<T: Registers>(self, product: Product<'_, T>, reverse: bool) {
        let scan = (product, reverse);
        run_on!(
            self, T, scan: (Product<'_, T>, bool), (),
            one_row::recur::<T::Avx512, 1>,
            one_row::recur::<T::Avx2, 2>,
            one_row::recur::<T::Portable, 2>
        );
    }

    /// Applies a nonlinearity to every number.
    pub(crate) fn activate<T: Registers>(self, values: &mut [T], activation: Activation) {
        let both = (values, activation);
        run_on!(
            self, T, both: (&mut [T], Activation), (),
            elementwise::apply::<T::Avx512>,
            elementwise::apply::<T::Avx2>,
            elementwise::apply::<T::Portable>
        );
    }
}
