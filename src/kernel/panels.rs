//! Weights, cut into panels of columns for the kernel.

use std::ops::Range;

use super::vector::Registers;

/// Sixteen numbers, the first of them at the beginning of a cache line.
///
/// Panels consist of these, because a vector that crosses the end of a line takes two reads: with unaligned panels, a
/// step of one row of 512 features takes 1.4 times as long.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
pub(crate) struct Aligned<T>([T; 16]);

impl<T: Registers> Aligned<T> {
    pub(super) const NUMBERS: usize = 16;

    fn numbers(all: &[Self]) -> &[T] {
        // SAFETY: numbers of 4 or 8 bytes leave no padding between the arrays, and both slices cover the same
        // bytes.
        unsafe { std::slice::from_raw_parts(all.as_ptr().cast(), all.len() * Self::NUMBERS) }
    }

    pub(super) fn numbers_mut(all: &mut [Self]) -> &mut [T] {
        // SAFETY: as above.
        unsafe {
            std::slice::from_raw_parts_mut(all.as_mut_ptr().cast(), all.len() * Self::NUMBERS)
        }
    }
}

/// A weight matrix W of (columns, k), cut into panels of three cache lines of columns.
///
/// Inside a panel the columns of one k are adjacent: `[panel][k][column]`. The remaining lines form one or two panels
/// of two lines. A panel of a single line would have too few independent sums, so
/// there is one only if W has no other line. Zeros fill the last line, so that the kernel can read whole vectors
/// everywhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Panels<'a, T> {
    pub(super) data: &'a [T],
    /// Rows of W: features that the product puts out.
    pub(super) columns: usize,
    /// Columns of W: features that the product takes in.
    pub(super) k: usize,
}

impl<'a, T: Registers> Panels<'a, T> {
    /// Columns of a panel: with three vectors of sixteen, eight rows fill the registers of AVX-512.
    pub(crate) const WIDTH: usize = 3 * T::LINE;

    /// The length of the panels of a (columns, k) matrix; `None` if it overflows.
    pub(crate) fn len(columns: usize, k: usize) -> Option<usize> {
        let numbers = columns.checked_next_multiple_of(T::LINE)?.checked_mul(k)?;
        Some(numbers.div_ceil(Aligned::<T>::NUMBERS))
    }

    /// Panels that [`Panels::pack`] has filled. `data` is of [`Panels::len`].
    pub(crate) fn new(data: &'a [Aligned<T>], columns: usize, k: usize) -> Self {
        assert_eq!(Some(data.len()), Self::len(columns, k));
        let data = &Aligned::numbers(data)[..columns.next_multiple_of(T::LINE) * k];
        Panels { data, columns, k }
    }

    /// Cuts `weights`, (columns, k) in row-major order, into `data`.
    pub(crate) fn pack(weights: &[T], columns: usize, k: usize, data: &mut [Aligned<T>]) {
        assert_eq!(weights.len(), columns * k);
        assert_eq!(Some(data.len()), Self::len(columns, k));
        let data = Aligned::numbers_mut(data);
        data.fill(T::ZERO);
        for (column, row) in weights.chunks_exact(k).enumerate() {
            let (first, stride) = Self::place(column, columns, k);
            for (to, &weight) in data[first..].iter_mut().step_by(stride).zip(row) {
                *to = weight;
            }
        }
    }

    /// The weights, (columns, k) in row-major order: the inverse of [`Panels::pack`].
    pub(crate) fn unpack(self) -> impl Iterator<Item = T> {
        (0..self.columns).flat_map(move |column| {
            let (first, stride) = Self::place(column, self.columns, self.k);
            self.data[first..].iter().step_by(stride).take(self.k).copied()
        })
    }

    /// The first weight of a column, and the distance from one to the next.
    fn place(column: usize, columns: usize, k: usize) -> (usize, usize) {
        let tail = Self::tail(columns);
        let width = if column < tail { Self::WIDTH } else { Self::narrow(columns) };
        let base = if column < tail { 0 } else { tail };
        let first = base + (column - base) / width * width;
        (first * k + column - first, width)
    }

    /// The column where whole panels end and narrow ones begin.
    fn tail(columns: usize) -> usize {
        let lines = columns.div_ceil(T::LINE);
        let narrow = match lines % 3 {
            1 if lines > 1 => 4,
            rest => rest,
        };
        (lines - narrow) * T::LINE
    }

    /// Width of a narrow panel.
    fn narrow(columns: usize) -> usize {
        T::LINE * if columns <= T::LINE { 1 } else { 2 }
    }

    /// Some of the columns, in whole panels: `range` begins and ends at a multiple of [`Panels::WIDTH`] that is
    /// not in the tail, or ends with W.
    pub(crate) fn columns_in(self, range: Range<usize>) -> Self {
        let tail = Self::tail(self.columns);
        assert!(range.start.is_multiple_of(Self::WIDTH) && range.start <= tail);
        assert!(
            range.end == self.columns
                || (range.end.is_multiple_of(Self::WIDTH) && range.end <= tail)
        );
        let end = range.end.next_multiple_of(T::LINE);
        let data = &self.data[range.start * self.k..end * self.k];
        Panels { data, columns: range.len(), k: self.k }
    }

    /// The number of whole panels, and of narrow panels after them.
    pub(super) fn counts(self) -> (usize, usize) {
        let (tail, all) = (Self::tail(self.columns), self.columns.next_multiple_of(T::LINE));
        (tail / Self::WIDTH, (all - tail) / Self::narrow(self.columns))
    }

    /// A panel, `[k][width]`, its width, and its first column.
    pub(super) fn panel(self, panel: usize) -> (&'a [T], usize, usize) {
        let (whole, _) = self.counts();
        let narrow = Self::narrow(self.columns);
        let (first, width) = if panel < whole {
            (panel * Self::WIDTH, Self::WIDTH)
        } else {
            (whole * Self::WIDTH + (panel - whole) * narrow, narrow)
        };
        (&self.data[first * self.k..][..width * self.k], width, first)
    }

    /// The ends of up to `shares` shares of the columns, each at the panel's end that is nearest to an even division. The
    /// last share has the tail.
    pub(crate) fn share_out(columns: usize, shares: usize) -> impl Iterator<Item = usize> {
        let (tail, all) = (Self::tail(columns), columns.next_multiple_of(T::LINE));
        let panels = tail / Self::WIDTH + usize::from(tail < all);
        let shares = shares.min(panels).max(1);
        let end = move |share: usize| {
            let even = (share + 1) * all;
            let nearest = (2 * even + shares * Self::WIDTH) / (2 * shares * Self::WIDTH);
            nearest.clamp(share + 1, panels + share + 1 - shares) * Self::WIDTH
        };
        (0..shares).map(move |share| if share + 1 == shares { columns } else { end(share) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpack_undoes_pack() {
        for (columns, k) in [(1, 1), (5, 3), (16, 2), (17, 2), (48, 2), (49, 7), (64, 3), (130, 65)]
        {
            let weights: Vec<f32> = (0..columns * k).map(|value| value as f32).collect();
            let mut data = vec![Aligned([f32::NAN; 16]); Panels::<f32>::len(columns, k).unwrap()];
            Panels::pack(&weights, columns, k, &mut data);
            let panels = Panels::new(&data, columns, k);
            assert_eq!(panels.unpack().collect::<Vec<_>>(), weights, "({columns}, {k})");
            let mut first = 0;
            let mut shared = Vec::new();
            for end in Panels::<f32>::share_out(columns, 3) {
                shared.extend(panels.columns_in(first..end).unpack());
                first = end;
            }
            assert_eq!(shared, weights, "({columns}, {k}) in shares");
        }
    }

    #[test]
    fn shares_are_as_even_as_panels_allow() {
        for (columns, shares, ends) in [
            (40, 2, &[40][..]),
            (128, 2, &[48, 128]),
            (256, 2, &[144, 256]),
            (256, 5, &[48, 96, 144, 192, 256]),
            (512, 2, &[240, 512]),
            (528, 11, &[48, 96, 144, 192, 240, 288, 336, 384, 432, 480, 528]),
        ] {
            assert_eq!(Panels::<f32>::share_out(columns, shares).collect::<Vec<_>>(), ends);
        }
        for columns in 1..1000 {
            for shares in 1..20 {
                let ends: Vec<_> = Panels::<f32>::share_out(columns, shares).collect();
                assert!(ends.is_sorted_by(|a, b| a < b) && ends.last() == Some(&columns));
            }
        }
    }

    #[test]
    fn sizes_that_overflow_have_no_length() {
        assert_eq!(Panels::<f32>::len(usize::MAX, 1), None);
        assert_eq!(Panels::<f64>::len(64, usize::MAX), None);
    }
}
