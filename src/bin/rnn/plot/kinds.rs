//! A figure of each kind.

use ndarray::{Array2, ArrayView2};

use super::figure::{Content, Curve, Figure, Heat, Lines, Panel, Scale};
use crate::args::Kind;
use crate::info::{eigenvalues, norm, radius};
use crate::pipeline::flow::FLAT;
use crate::report::counted;

/// Most rows of panels.
const MAX_ROWS: usize = 8;
/// Most points of a curve: as many as a picture has columns, more or less.
const MAX_POINTS: usize = 1000;

impl Kind {
    /// The beginning of a title.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Kind::States => "Hidden states",
            Kind::Weights => "Weights",
            Kind::Spectrum => "Eigenvalues of weight_hh",
            Kind::Saturation => "Saturation",
            Kind::Norm => "Norm of the hidden states",
            Kind::Units => "Units",
        }
    }

    pub(crate) fn is_spectrum(self) -> bool {
        self == Kind::Spectrum
    }

    /// Whether the weights alone are drawn.
    pub(crate) fn is_of_weights(self) -> bool {
        matches!(self, Kind::Weights | Kind::Spectrum)
    }
}

/// The states of one layer and direction, or of one saved tensor, (L, `H_out`), under a name.
pub(crate) struct Named<'a> {
    pub(crate) name: String,
    pub(crate) states: ArrayView2<'a, f64>,
}

/// The numbers of the cells that a picture has room for, below each other and side by side.
pub(crate) type Limit = [usize; 2];

/// The figure of a kind over steps. `flat_at_zero` for ReLU; `units` are those of [`Kind::Units`].
pub(crate) fn over_steps(
    kind: Kind,
    named: &[Named<'_>],
    columns: usize,
    flat_at_zero: bool,
    units: &[usize],
    limit: Limit,
) -> Figure {
    let mut figure = match kind {
        Kind::Saturation => {
            let share = |h: f64| if flat_at_zero { h == 0.0 } else { h.abs() > FLAT };
            let title =
                if flat_at_zero { "share of states at zero" } else { "share of |h| > 0.999" };
            curves(title, "share", named, Some([0.0, 1.0]), |row| {
                let flat = row.iter().filter(|&&h| share(h)).count();
                if row.iter().all(|h| h.is_finite()) {
                    flat as f64 / row.len() as f64
                } else {
                    f64::NAN
                }
            })
        }
        Kind::Norm => curves("norm of the hidden state", "norm", named, None, |row| norm(row)),
        Kind::Units => of_units(named, columns, units),
        _ => heats(
            named.iter().map(|own| (own.name.clone(), own.states.t())),
            ["step", "unit"],
            columns,
            limit,
        ),
    };
    figure.note_reduction();
    figure
}

/// Matrices of weights, two for each layer and direction.
pub(crate) fn of_weights(tensors: &[(String, Array2<f64>)], limit: Limit) -> Figure {
    let named = tensors
        .iter()
        .map(|(name, matrix)| (format!("{name} {:?}", matrix.shape()), matrix.view()));
    let mut figure = heats(named, ["feature in", "unit"], 2, limit);
    figure.note_reduction();
    figure
}

/// The eigenvalues of each `weight_hh`.
pub(crate) fn spectrum(tensors: &[(String, Array2<f64>)], columns: usize) -> Figure {
    let panels = tensors.iter().map(|(name, matrix)| {
        let numbers: Vec<_> = matrix.iter().copied().collect();
        let found = eigenvalues(matrix.nrows(), &numbers);
        let radius = found.as_deref().map_or("no eigenvalues, not finite".to_owned(), |all| {
            format!("radius {:.3}", radius(all))
        });
        Panel {
            title: format!("{name}: {radius}"),
            x_label: "real",
            y_label: "imaginary",
            content: Content::Plane(found.unwrap_or_default()),
        }
    });
    Figure::of(panels, columns)
}

impl Figure {
    /// A figure of the first rows of panels; the others are not computed.
    fn of(panels: impl ExactSizeIterator<Item = Panel>, columns: usize) -> Self {
        let (all, most) = (panels.len(), MAX_ROWS * columns);
        let panels = panels.take(most).collect();
        let notes = if all > most {
            vec![format!("the first {most} of {all} panels; --layer chooses one layer")]
        } else {
            Vec::new()
        };
        Figure { title: Vec::new(), panels, columns, scale: None, notes }
    }

    /// Says that a cell or a point stands for several numbers.
    fn note_reduction(&mut self) {
        let most = |axis: usize| self.heats().map(|heat| heat.per_cell[axis]).max().unwrap_or(1);
        let [rows, columns] = [most(0), most(1)];
        if rows * columns > 1 {
            let steps = self.panels.iter().any(|panel| panel.x_label == "step");
            let across = counted(columns, if steps { "step" } else { "feature" });
            let down = counted(rows, "unit");
            self.notes.push(format!(
                "each cell is the mean of up to {down} x {across}; a NaN or an infinity fills its cell"
            ));
        }
        let steps = self.panels.iter().find_map(|panel| match &panel.content {
            Content::Lines(Lines { count, .. }) if *count > MAX_POINTS => {
                Some(count.div_ceil(MAX_POINTS))
            }
            _ => None,
        });
        self.notes
            .extend(steps.map(|steps| format!("each point is the mean of up to {steps} steps")));
    }
}

fn heats<'a>(
    named: impl ExactSizeIterator<Item = (String, ArrayView2<'a, f64>)>,
    [x_label, y_label]: [&'static str; 2],
    columns: usize,
    limit: Limit,
) -> Figure {
    let panels = named.map(|(title, numbers)| {
        let content = Content::Heat(Heat::new(&numbers, limit));
        Panel { title, x_label, y_label, content }
    });
    let figure = Figure::of(panels, columns);
    Figure { scale: Some(Scale::of(figure.heats())), ..figure }
}

/// One panel with a curve for each layer and direction: a number of each state.
fn curves(
    title: &str,
    y_label: &'static str,
    named: &[Named<'_>],
    range: Option<[f64; 2]>,
    number: impl Fn(&[f64]) -> f64,
) -> Figure {
    let curves: Vec<_> = named
        .iter()
        .map(|Named { name, states }| {
            let numbers = states.rows().into_iter().map(|row| number(&row.to_vec()));
            Curve { name: name.clone(), points: points(&numbers.collect::<Vec<_>>()) }
        })
        .collect();
    let count = named.iter().map(|own| own.states.nrows()).max().unwrap_or(0);
    let range = range.unwrap_or_else(|| range_of(&curves, true));
    let content = Content::Lines(Lines { curves, count, range });
    let panel = Panel { title: title.to_owned(), x_label: "step", y_label, content };
    Figure::of(std::iter::once(panel), 1)
}

/// A panel for each layer and direction with a curve for each unit.
fn of_units(named: &[Named<'_>], columns: usize, units: &[usize]) -> Figure {
    let panels = named.iter().map(|Named { name, states }| {
        let units = units.iter().filter(|&&unit| unit < states.ncols());
        let curves: Vec<_> = units
            .map(|&unit| {
                let numbers = states.column(unit).to_vec();
                Curve { name: format!("unit {unit}"), points: points(&numbers) }
            })
            .collect();
        let range = range_of(&curves, false);
        let content = Content::Lines(Lines { curves, count: states.nrows(), range });
        Panel { title: name.clone(), x_label: "step", y_label: "h", content }
    });
    Figure::of(panels, columns)
}

/// A point for each step, or for the mean of several.
fn points(numbers: &[f64]) -> Vec<(f64, f64)> {
    let per_point = numbers.len().div_ceil(MAX_POINTS).max(1);
    let point = |(i, own): (usize, &[f64])| {
        let (first, count) = ((i * per_point) as f64, own.len() as f64);
        (first + (count - 1.0) / 2.0, own.iter().sum::<f64>() / count)
    };
    numbers.chunks(per_point).enumerate().map(point).collect()
}

/// The limits of all finite points, with zero if it is asked for.
#[allow(clippy::float_cmp, reason = "equal limits leave no range")]
fn range_of(curves: &[Curve], zero: bool) -> [f64; 2] {
    let numbers =
        || curves.iter().flat_map(|curve| &curve.points).map(|&(_, y)| y).filter(|y| y.is_finite());
    let start = if zero { 0.0 } else { f64::INFINITY };
    let low = numbers().fold(start, f64::min);
    let high = numbers().fold(if zero { 0.0 } else { f64::NEG_INFINITY }, f64::max);
    if low > high {
        [-1.0, 1.0]
    } else if low == high {
        [low - 0.5, high + 0.5]
    } else {
        [low, high]
    }
}
