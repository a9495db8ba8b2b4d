//! Weights, cut into panels of columns for the kernel.

use super::Element;

/// A weight matrix W of (columns, k), cut into panels of [`Element::PANEL`] columns.
///
/// Inside a panel the columns of one k stand side by side: `[panel][k][column]`. The last panel is
/// filled up with zeros, so that the kernel can read whole vectors everywhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Panels<'a, T> {
    data: &'a [T],
    columns: usize,
    k: usize,
}

impl<'a, T: Element> Panels<'a, T> {
    /// Elements that the panels of a (columns, k) matrix take; `None` where the number overflows.
    pub(crate) fn len(columns: usize, k: usize) -> Option<usize> {
        columns.checked_next_multiple_of(T::PANEL)?.checked_mul(k)
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
            let first = column / T::PANEL * T::PANEL * k + column % T::PANEL;
            for (to, &weight) in data[first..].iter_mut().step_by(T::PANEL).zip(row) {
                *to = weight;
            }
        }
    }

    /// The weights again, (columns, k) in row-major order.
    pub(crate) fn unpack(self) -> impl Iterator<Item = T> {
        (0..self.columns).flat_map(move |column| {
            let first = column / T::PANEL * T::PANEL * self.k + column % T::PANEL;
            self.data[first..].iter().step_by(T::PANEL).take(self.k).copied()
        })
    }

    /// All panels, one after the other.
    pub(super) fn data(self) -> &'a [T] {
        self.data
    }

    /// Rows of W: features that the product puts out.
    pub(crate) fn columns(self) -> usize {
        self.columns
    }

    /// Columns of W: features that the product takes in.
    pub(crate) fn k(self) -> usize {
        self.k
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpack_undoes_pack() {
        for (columns, k) in [(1, 1), (5, 3), (64, 2), (65, 7), (130, 65)] {
            let weights: Vec<f32> = (0..columns * k).map(|value| value as f32).collect();
            let mut data = vec![f32::NAN; Panels::<f32>::len(columns, k).unwrap()];
            Panels::pack(&weights, columns, k, &mut data);
            let panels = Panels::new(&data, columns, k);
            assert_eq!(panels.unpack().collect::<Vec<_>>(), weights, "({columns}, {k})");
        }
    }

    #[test]
    fn sizes_that_overflow_are_seen() {
        assert_eq!(Panels::<f32>::len(usize::MAX, 1), None);
        assert_eq!(Panels::<f64>::len(64, usize::MAX), None);
    }
}
