//! The content of a picture, without places and colours.

use ndarray::{Array2, ArrayView2};

/// Panels on a grid, with words around them.
pub(crate) struct Figure {
    /// Lines above the panels, the first one larger.
    pub(super) title: Vec<String>,
    /// Row by row.
    pub(super) panels: Vec<Panel>,
    /// Panels in a row.
    pub(super) columns: usize,
    /// The scale of all heat maps.
    pub(super) scale: Option<Scale>,
    /// Lines below the panels.
    pub(super) notes: Vec<String>,
}

/// One pair of axes.
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) x_label: &'static str,
    pub(super) y_label: &'static str,
    pub(super) content: Content,
}

pub(super) enum Content {
    Heat(Heat),
    Lines(Lines),
    /// Points of the complex plane, with the unit circle.
    Plane(Vec<(f64, f64)>),
}

/// Numbers as colours. Both axes count from 0, the vertical one downwards.
pub(super) struct Heat {
    /// A number for each cell.
    pub(super) cells: Array2<f64>,
    /// Numbers below each other and side by side in a cell; the last cells may have fewer.
    pub(super) per_cell: [usize; 2],
    /// Numbers below each other and side by side in all.
    pub(super) size: [usize; 2],
}

/// Curves over steps.
pub(super) struct Lines {
    pub(super) curves: Vec<Curve>,
    /// Steps.
    pub(super) count: usize,
    /// The limits of the vertical axis.
    pub(super) range: [f64; 2],
}

pub(super) struct Curve {
    pub(super) name: String,
    /// Step and number; a number that is not finite interrupts the curve.
    pub(super) points: Vec<(f64, f64)>,
}

/// The numbers at the ends of the colours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Scale {
    /// The scale of some numbers: zero in the middle if one is negative, else from zero on.
    pub(super) fn of<'a>(heats: impl Iterator<Item = &'a Heat>) -> Self {
        let numbers = heats.flat_map(|heat| heat.cells.iter()).filter(|x| x.is_finite());
        let (mut most, mut negative) = (0.0_f64, false);
        for &x in numbers {
            most = most.max(x.abs());
            negative |= x < 0.0;
        }
        let high = if most == 0.0 { 1.0 } else { most };
        Scale { low: if negative { -high } else { 0.0 }, high }
    }

    pub(super) fn is_signed(self) -> bool {
        self.low < 0.0
    }

    /// The place of a finite number between the ends, from 0 to 1.
    pub(super) fn place(self, number: f64) -> f64 {
        ((number - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }
}

impl Heat {
    /// Numbers, in cells of their means if there are more than `limit` below each other or side by side. A NaN or an
    /// infinity is the number of its whole cell.
    pub(super) fn new(numbers: &ArrayView2<'_, f64>, limit: [usize; 2]) -> Self {
        let size = [numbers.nrows(), numbers.ncols()];
        let per_cell: [usize; 2] =
            std::array::from_fn(|axis| size[axis].div_ceil(limit[axis].max(1)).max(1));
        let count: [usize; 2] = std::array::from_fn(|axis| size[axis].div_ceil(per_cell[axis]));
        let (mut cells, mut odd) = (Array2::zeros(count), Array2::from_elem(count, None));
        for ((row, column), &number) in numbers.indexed_iter() {
            let (cell, number) = ([row / per_cell[0], column / per_cell[1]], number);
            let odd: &mut Option<f64> = &mut odd[cell];
            if !number.is_finite() && !odd.is_some_and(f64::is_nan) {
                *odd = Some(number);
            }
            cells[cell] += number;
        }
        for ((row, column), cell) in cells.indexed_iter_mut() {
            let width =
                |axis: usize, at: usize| per_cell[axis].min(size[axis] - at * per_cell[axis]);
            let mean = *cell / (width(0, row) * width(1, column)) as f64;
            *cell = odd[[row, column]].unwrap_or(mean);
        }
        Heat { cells, per_cell, size }
    }

    /// The numbers of a cell on an axis.
    pub(super) fn span(&self, axis: usize, cell: usize) -> [usize; 2] {
        [cell * self.per_cell[axis], ((cell + 1) * self.per_cell[axis]).min(self.size[axis])]
    }
}

impl Figure {
    /// The same figure below these lines.
    pub(crate) fn titled(self, title: Vec<String>) -> Self {
        Figure { title, ..self }
    }

    /// Rows of panels.
    pub(crate) fn rows(&self) -> usize {
        self.panels.len().div_ceil(self.columns.max(1)).max(1)
    }

    pub(super) fn heats(&self) -> impl Iterator<Item = &Heat> {
        self.panels.iter().filter_map(|panel| match &panel.content {
            Content::Heat(heat) => Some(heat),
            _ => None,
        })
    }

    /// Lines below the panels, with the marks of NaN and infinity in curves.
    pub(super) fn notes(&self, [nan, infinite]: [&str; 2]) -> Vec<String> {
        let curves = self.panels.iter().any(|panel| matches!(panel.content, Content::Lines(_)));
        let marks = [format!("NaN as {nan}"), format!("infinity as {infinite}")];
        let marks = marks.into_iter().zip(self.odd()).filter(|(_, odd)| *odd && curves);
        let marks = marks.map(|(mark, _)| format!("{mark} at the lower edge"));
        marks.chain(self.notes.iter().cloned()).collect()
    }

    /// Whether a number of a heat map or a curve is NaN, and whether one is infinite.
    pub(super) fn odd(&self) -> [bool; 2] {
        let mut odd = [false; 2];
        let mut look = |x: f64| {
            odd[0] |= x.is_nan();
            odd[1] |= x.is_infinite();
        };
        for panel in &self.panels {
            match &panel.content {
                Content::Heat(heat) => heat.cells.iter().for_each(|&x| look(x)),
                Content::Lines(lines) => {
                    let points = lines.curves.iter().flat_map(|curve| &curve.points);
                    points.for_each(|&(_, y)| look(y));
                }
                Content::Plane(_) => {}
            }
        }
        odd
    }
}

#[cfg(test)]
mod tests {
    use ndarray::arr2;

    use super::{Heat, Scale};

    #[test]
    fn cells_are_means_and_a_nan_wins() {
        let inf = f64::INFINITY;
        let numbers = arr2(&[
            [1.0, 3.0, 5.0, 7.0, 9.0],
            [1.0, 3.0, f64::NAN, inf, 9.0],
            [0.0, 4.0, inf, 1.0, 2.0],
        ]);
        let heat = Heat::new(&numbers.view(), [2, 3]);
        assert_eq!((heat.per_cell, heat.size), ([2, 2], [3, 5]));
        assert_eq!(heat.cells.row(1).to_vec(), [2.0, inf, 2.0]);
        assert_eq!((heat.cells[[0, 0]], heat.cells[[0, 2]]), (2.0, 9.0));
        assert!(heat.cells[[0, 1]].is_nan());
        assert_eq!((heat.span(0, 1), heat.span(1, 2)), ([2, 3], [4, 5]));
        let scale = Scale::of(std::iter::once(&heat));
        assert_eq!(scale, Scale { low: 0.0, high: 9.0 });
        assert_eq!((scale.place(4.5), scale.place(100.0)), (0.5, 1.0));
        let signed = Heat::new(&arr2(&[[-2.0, 1.0]]).view(), [9, 9]);
        assert_eq!(Scale::of(std::iter::once(&signed)), Scale { low: -2.0, high: 2.0 });
    }
}
