//! `rnn info --dynamics`: the dynamics of a layer on an input. For each layer and direction: saturated or dead units, the first number that is not finite with its origin, and the life of a perturbation.

mod non_finite;
mod perturbation;

use std::ffi::OsStr;

use anyhow::Result;
use elman::{Element, Nonlinearity};
use ndarray::ArrayView2;
use serde::Serialize;

use crate::args::{Info, LayerArgs, WeightsArgs};
use crate::pipeline::flow::FLAT;
use crate::progress::Bar;
use crate::report::{Notes, counted};
use crate::states::{About, Cell, Opened, RowStates, Sources, open_sources};
use crate::threads;

use non_finite::NonFinite;
use perturbation::Decay;

/// A unit counts as saturated if more than this share of its states is.
const MOST: f64 = 0.9;

/// The dynamics of a layer: the fields are those of the JSON report.
#[derive(Debug, Serialize)]
pub(crate) struct Dynamics {
    input: String,
    sequences: usize,
    /// Steps of all sequences.
    steps: usize,
    cells: Vec<CellDynamics>,
}

/// The dynamics of one layer and direction.
#[derive(Debug, Serialize)]
struct CellDynamics {
    layer: usize,
    direction: &'static str,
    /// The share of states, and the number of units, in the flat part of tanh, or at zero of ReLU.
    flat: Flat,
    first_non_finite: Option<NonFinite>,
    perturbation: Option<Decay>,
}

/// States and units in the flat part of the nonlinearity.
#[derive(Debug, Serialize)]
struct Flat {
    /// `saturated` of tanh, `dead` of ReLU.
    kind: &'static str,
    /// Share of the finite states.
    states: f64,
    /// Units that are flat at more than 90 % of their steps for tanh, at every step for ReLU.
    units: usize,
    of_units: usize,
}

pub(crate) fn describe(file: &OsStr, args: &Info, notes: &mut Notes) -> Result<Dynamics> {
    let own = &args.dynamics;
    let layer = LayerArgs {
        batch_first: own.batch_first,
        nonlinearity: own.nonlinearity,
        ..LayerArgs::default()
    };
    let of_weights = WeightsArgs { prefix: args.prefix.clone(), strict: false };
    let input = own.input.as_deref().unwrap_or_else(|| unreachable!("the grammar asks for it"));
    let sources = Sources {
        weights: Some(file),
        of_weights: &of_weights,
        input,
        h_0: own.h0.as_deref(),
        lengths: own.lengths.as_deref(),
        dtype: None,
        table: &args.table,
        layer: &layer,
    };
    let opened = open_sources(&sources, notes)?;
    typed!(opened.dtype(), describe_as(opened, notes))
}

fn describe_as<T: Element>(opened: Opened<'_>, notes: &mut Notes) -> Result<Dynamics> {
    let sequences = opened.read::<T>(notes)?;
    let pool = threads::pool(None, &mut notes.notes)?;
    let rows = 0..sequences.count();
    let bar = sequences.bar(rows.clone());
    let cells = Cell::all(sequences.model.rnn())?;
    let mut observed = Observed::new(&sequences.about, &cells);
    for row in rows.filter(|&row| sequences.steps(row) > 0) {
        let states = pool.install(|| sequences.pass(row, &bar))?;
        observed.add(row, &states, &bar);
    }
    bar.display.finish_and_clear();
    Ok(observed.dynamics(sequences.count()))
}

/// The layers and directions over the sequences so far.
struct Observed<'a> {
    about: &'a About,
    cells: &'a [Cell],
    gathered: Vec<Gathered>,
    steps: usize,
}

impl<'a> Observed<'a> {
    fn new(about: &'a About, cells: &'a [Cell]) -> Self {
        let new = |_: &Cell| Gathered::new(about.config.hidden_size);
        Observed { about, cells, gathered: cells.iter().map(new).collect(), steps: 0 }
    }

    /// Adds a sequence. Perturbations are followed through the first one.
    fn add(&mut self, row: usize, states: &RowStates, bar: &Bar) {
        let nonlinearity = self.about.config.nonlinearity;
        let all = self.gathered.iter_mut().zip(self.cells).zip(self.about.cells());
        for ((own, cell), place) in all {
            own.add(nonlinearity, &states.states(place.0, place.1));
            if own.first_non_finite.is_none() {
                own.first_non_finite =
                    non_finite::find(self.about, states, cell, (place.0, place.1, row));
            }
            if self.steps == 0 {
                own.perturbation = perturbation::decay(nonlinearity, states, cell, place, bar);
            }
        }
        self.steps += states.steps();
    }

    fn dynamics(self, sequences: usize) -> Dynamics {
        let Observed { about, gathered, steps, .. } = self;
        let cells = about.cells().zip(gathered).map(|((layer, direction), own)| CellDynamics {
            layer,
            direction: about.direction(direction),
            flat: own.flat(about.config.nonlinearity),
            first_non_finite: own.first_non_finite,
            perturbation: own.perturbation,
        });
        Dynamics { input: about.input.clone(), sequences, steps, cells: cells.collect() }
    }
}

/// Counts over the sequences so far.
struct Gathered {
    /// Finite states, and flat ones, of each unit.
    finite: Vec<usize>,
    flat: Vec<usize>,
    first_non_finite: Option<NonFinite>,
    perturbation: Option<Decay>,
}

impl Gathered {
    fn new(hidden_size: usize) -> Self {
        Gathered {
            finite: vec![0; hidden_size],
            flat: vec![0; hidden_size],
            first_non_finite: None,
            perturbation: None,
        }
    }

    fn add(&mut self, nonlinearity: Nonlinearity, states: &ArrayView2<'_, f64>) {
        for state in states.rows() {
            for (unit, &h) in state.iter().enumerate().filter(|(_, h)| h.is_finite()) {
                self.finite[unit] += 1;
                self.flat[unit] += usize::from(match nonlinearity {
                    Nonlinearity::Tanh => h.abs() > FLAT,
                    Nonlinearity::Relu => h == 0.0,
                });
            }
        }
    }

    fn flat(&self, nonlinearity: Nonlinearity) -> Flat {
        let tanh = nonlinearity == Nonlinearity::Tanh;
        let [finite, flat] = [&self.finite, &self.flat].map(|counts| counts.iter().sum::<usize>());
        let is_flat = |(&finite, &flat): (&usize, &usize)| {
            finite > 0 && if tanh { flat as f64 > MOST * finite as f64 } else { flat == finite }
        };
        Flat {
            kind: if tanh { "saturated" } else { "dead" },
            states: flat as f64 / finite.max(1) as f64,
            units: self.finite.iter().zip(&self.flat).filter(|&pair| is_flat(pair)).count(),
            of_units: self.finite.len(),
        }
    }
}

impl Dynamics {
    /// The report as text.
    pub(crate) fn lines(&self) -> Vec<String> {
        let Dynamics { input, sequences, steps, cells } = self;
        let (sequences, steps) = (counted(*sequences, "sequence"), counted(*steps, "step"));
        let mut lines = vec![format!("dynamics on {input}, {sequences}, {steps}:")];
        for cell in cells {
            lines.push(format!("layer {}, {}:", cell.layer, cell.direction));
            lines.extend(cell.lines().into_iter().map(|line| format!("  {line}")));
        }
        lines
    }
}

impl CellDynamics {
    fn lines(&self) -> Vec<String> {
        let Flat { kind, states, units, of_units } = &self.flat;
        let unit = match *kind {
            "dead" => "zero at every step",
            _ => "beyond 0.999 at more than 90 % of their steps",
        };
        let states = 100.0 * states;
        let mut lines = vec![format!(
            "{kind}: {states:.1} % of the states, {units} of {of_units} units ({unit})"
        )];
        lines.extend(self.first_non_finite.as_ref().map(NonFinite::text));
        lines.extend(self.perturbation.as_ref().map(Decay::text));
        lines
    }
}
