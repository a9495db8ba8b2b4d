//! Weights, cut into panels of columns for the kernel.

use std::ops::Range;

use super::Element;

/// A weight matrix W of (columns, k), cut into panels of three cache lines of columns.
///
/// Inside a panel the columns of one k stand side by side: `[panel][k][column]`. The last panel may be
/// one or two lines wide instead; its last line is filled up with zeros, so that the kernel can read
/// whole vectors everywhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Panels<'a, T> {
    data: &'a [T],
    columns: usize,
    k: usize,
}

impl<'a, T: Element> Panels<'a, T> {
    /// Columns of a panel: with three vectors of sixteen, eight rows fill the registers of AVX-512.
    pub(crate) const WIDTH: usize = 3 * T::LINE;

    /// Elements that the panels of a (columns, k) matrix take; `None` where the number overflows.
    pub(crate) fn len(columns: usize, k: usize) -> Option<usize> {
        columns.checked_next_multiple_of(T::LINE)?.checked_mul(k)
    }

    /// Panels that [`Panels::pack`] has filled. `data` has [`Panels::len`] elements.
    pub(crate) fn new(data: &'a [T], columns: usize, k: usize) -> Self {
        assert_eq!(Some(data.len()), Self::len(columns, k));
        Panels { data, columns, k }
    }

    /// Cuts `weights`, (columns, k) in row-major order, into `data`.
    pub(crate) fn pack(weights: &[T], columns: usize, k: usize, data: &mut [T]) {
        assert_eq!(weights.len(), columns * k);
        assert_eq!(Some(data.len()), Self::len(columns, k));
        data.fill(T::ZERO);
        for (column, row) in weights.chunks_exact(k).enumerate() {
            let (first, stride) = Self::place(column, columns, k);
            for (to, &weight) in data[first..].iter_mut().step_by(stride).zip(row) {
                *to = weight;
            }
        }
    }

    /// The weights again, (columns, k) in row-major order.
    pub(crate) fn unpack(self) -> impl Iterator<Item = T> {
        (0..self.columns).flat_map(move |column| {
            let (first, stride) = Self::place(column, self.columns, self.k);
            self.data[first..].iter().step_by(stride).take(self.k).copied()
        })
    }

    /// Where the weights of a column begin, and how far apart they are.
    fn place(column: usize, columns: usize, k: usize) -> (usize, usize) {
        let first = column / Self::WIDTH * Self::WIDTH;
        (first * k + column - first, Self::width(first, columns))
    }

    /// Width of the panel that begins at column `first` of `columns`, in whole lines.
    fn width(first: usize, columns: usize) -> usize {
        (columns - first).next_multiple_of(T::LINE).min(Self::WIDTH)
    }

    /// Some of the columns, in the same panels: `range` begins and ends where a panel does.
    pub(crate) fn columns_in(self, range: Range<usize>) -> Self {
        assert!(range.start.is_multiple_of(Self::WIDTH) && range.end <= self.columns);
        assert!(range.end.is_multiple_of(Self::WIDTH) || range.end == self.columns);
        let end = range.end.next_multiple_of(T::LINE);
        let data = &self.data[range.start * self.k..end * self.k];
        Panels { data, columns: range.len(), k: self.k }
    }

    /// The number of panels.
    pub(super) fn count(self) -> usize {
        self.columns.div_ceil(Self::WIDTH)
    }

    /// A panel, `[k][width]`, and its width.
    pub(super) fn panel(self, panel: usize) -> (&'a [T], usize) {
        let first = panel * Self::WIDTH;
        let width = Self::width(first, self.columns);
        (&self.data[first * self.k..][..width * self.k], width)
    }

    /// Rows of W: features that the product puts out.
    pub(crate) fn columns(self) -> usize {
        self.columns
    }

    /// Columns of W: features that the product takes in.
    pub(crate) fn k(self) -> usize {
        self.k
    }

    /// Bytes of all panels.
    pub(super) fn bytes(self) -> usize {
        size_of_val(self.data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpack_undoes_pack() {
        for (columns, k) in [(1, 1), (5, 3), (16, 2), (17, 2), (48, 2), (49, 7), (130, 65)] {
            let weights: Vec<f32> = (0..columns * k).map(|value| value as f32).collect();
            let mut data = vec![f32::NAN; Panels::<f32>::len(columns, k).unwrap()];
            Panels::pack(&weights, columns, k, &mut data);
            let panels = Panels::new(&data, columns, k);
            assert_eq!(panels.unpack().collect::<Vec<_>>(), weights, "({columns}, {k})");
            let tail = panels.columns_in((columns - 1) / 48 * 48..columns);
            assert_eq!(tail.unpack().last(), weights.last().copied());
        }
    }

    #[test]
    fn sizes_that_overflow_are_seen() {
        assert_eq!(Panels::<f32>::len(usize::MAX, 1), None);
        assert_eq!(Panels::<f64>::len(64, usize::MAX), None);
    }
}
