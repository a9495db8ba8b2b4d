//! `rnn info --dynamics`: a layer at work on an input. For each layer and direction: the size of `weight_hh`, saturated
//! or dead units, the first number that is not finite with its origin, and the life of a perturbation.

mod birth;
mod perturbation;

use std::ffi::OsStr;

use anyhow::Result;
use elman::{Element, Nonlinearity};
use ndarray::ArrayView2;
use serde::Serialize;

use crate::args::{Info, LayerArgs, WeightsArgs};
use crate::info::{MAX_ROWS, norm, spectral_radius};
use crate::pipeline::flow::FLAT;
use crate::progress::Bar;
use crate::report::{Notes, short};
use crate::states::{About, Cell, Opened, RowStates, Sources, open_sources};
use crate::threads;

use birth::Birth;
use perturbation::Lives;

/// A unit is saturated if this share of its states is.
const MOST: f64 = 0.9;

/// A layer at work: the fields are those of the JSON report.
#[derive(Debug, Serialize)]
pub(crate) struct Dynamics {
    input: String,
    sequences: usize,
    /// Steps of all sequences.
    steps: usize,
    cells: Vec<CellDynamics>,
}

/// One layer and direction at work.
#[derive(Debug, Serialize)]
struct CellDynamics {
    layer: usize,
    direction: &'static str,
    spectral_radius: Option<f64>,
    norm: f64,
    /// The share of states, and the number of units, in the flat part of tanh, or at zero of ReLU.
    flat: Flat,
    born: Option<Birth>,
    perturbation: Option<Lives>,
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
    typed!(opened.dtype(), describe_as(args, opened, notes))
}

fn describe_as<T: Element>(args: &Info, opened: Opened<'_>, notes: &mut Notes) -> Result<Dynamics> {
    let sequences = opened.read::<T>(notes)?;
    let pool = threads::pool(None, &mut notes.notes)?;
    let rows = 0..sequences.count();
    let bar = sequences.bar(rows.clone());
    let cells = Cell::of(sequences.model.rnn())?;
    let mut observed = Observed::new(&sequences.about, &cells);
    for row in rows.filter(|&row| sequences.steps(row) > 0) {
        let states = pool.install(|| sequences.pass(row, &bar))?;
        observed.add(row, &states, &bar);
    }
    bar.display.finish_and_clear();
    Ok(observed.dynamics(sequences.count(), args.spectral_radius))
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
            if own.born.is_none() {
                own.born = birth::find(self.about, states, cell, (place.0, place.1, row));
            }
            if self.steps == 0 {
                own.lives = perturbation::lives(nonlinearity, states, cell, place, bar);
            }
        }
        self.steps += states.steps();
    }

    fn dynamics(self, sequences: usize, any_size: bool) -> Dynamics {
        let Observed { about, cells, gathered, steps } = self;
        let cells = about.cells().zip(cells).zip(gathered);
        let cells = cells
            .map(|((place, cell), own)| CellDynamics::new(about, place, cell, own, any_size))
            .collect();
        Dynamics { input: about.input.clone(), sequences, steps, cells }
    }
}

impl CellDynamics {
    fn new(
        about: &About,
        (layer, direction): (usize, usize),
        cell: &Cell,
        own: Gathered,
        any_size: bool,
    ) -> Self {
        let (hidden_size, nonlinearity) = (about.config.hidden_size, about.config.nonlinearity);
        let reverse = direction == 1 || about.reversed;
        let numbers: Vec<f64> = cell.weight_hh.iter().copied().collect();
        let computed = hidden_size <= MAX_ROWS || any_size;
        let radius = || spectral_radius(hidden_size, &numbers);
        CellDynamics {
            layer,
            direction: if reverse { "reverse" } else { "forward" },
            spectral_radius: computed.then(radius).flatten(),
            norm: norm(&numbers),
            flat: own.flat(nonlinearity),
            born: own.born,
            perturbation: own.lives,
        }
    }
}

/// Counts over the sequences so far.
struct Gathered {
    /// Finite states, and flat ones, of each unit.
    finite: Vec<usize>,
    flat: Vec<usize>,
    born: Option<Birth>,
    lives: Option<Lives>,
}

impl Gathered {
    fn new(hidden_size: usize) -> Self {
        Gathered {
            finite: vec![0; hidden_size],
            flat: vec![0; hidden_size],
            born: None,
            lives: None,
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
        let s = |count: usize| if count == 1 { "" } else { "s" };
        let Dynamics { input, sequences, steps, cells } = self;
        let (a, b) = (s(*sequences), s(*steps));
        let mut lines =
            vec![format!("dynamics on {input}, {sequences} sequence{a}, {steps} step{b}:")];
        for cell in cells {
            lines.push(format!("layer {}, {}:", cell.layer, cell.direction));
            lines.extend(cell.lines().into_iter().map(|line| format!("  {line}")));
        }
        lines
    }
}

impl CellDynamics {
    fn lines(&self) -> Vec<String> {
        let radius = self.spectral_radius.map_or("none".to_owned(), short);
        let Flat { kind, states, units, of_units } = &self.flat;
        let unit = match *kind {
            "dead" => "zero at every step",
            _ => "beyond 0.999 at more than 90 % of their steps",
        };
        let mut lines = vec![
            format!("weight_hh: spectral radius {radius}, norm {}", short(self.norm)),
            format!(
                "{kind}: {:.1} % of the states, {units} of {of_units} units ({unit})",
                100.0 * states
            ),
        ];
        lines.extend(self.born.as_ref().map(Birth::text));
        lines.extend(self.perturbation.as_ref().map(Lives::text));
        lines
    }
}
