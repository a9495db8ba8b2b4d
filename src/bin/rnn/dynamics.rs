//! `rnn info --dynamics`: a layer at work on an input. For each layer and direction: the size of `weight_hh`, saturated
//! or dead units, the first number that is not finite with its origin, and the life of a perturbation.

mod birth;
mod perturbation;

use std::ffi::OsStr;

use anyhow::Result;
use elman::{Element, Nonlinearity};
use ndarray::{Array2, ArrayD, ArrayView2};
use serde::Serialize;

use crate::args::{Info, LayerArgs, WeightsArgs};
use crate::info::{MAX_ROWS, norm, spectral_radius};
use crate::pipeline::flow::FLAT;
use crate::report::{Notes, short};
use crate::states::{Opened, Sequences, Sources, open_sources};
use crate::{progress, threads};

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
    pool.install(|| observe(&sequences, args.spectral_radius))
}

/// Passes the sequences one after the other, and gathers what each layer and direction does.
fn observe<T: Element>(sequences: &Sequences<T>, any_size: bool) -> Result<Dynamics> {
    let config = sequences.model.rnn().config();
    let weights: Vec<Weights<T>> = Weights::of(sequences)?;
    let mut gathered: Vec<_> = weights.iter().map(|_| Gathered::new(config.hidden_size)).collect();
    let (mut steps, mut lives) = (0, Vec::new());
    let bar = progress::things(sequences.count());
    bar.display.set_message("sequences");
    for row in (0..sequences.count()).filter(|&row| sequences.steps(row) > 0) {
        let states = sequences.pass(row)?;
        for (index, (own, weights)) in gathered.iter_mut().zip(&weights).enumerate() {
            let (layer, direction) =
                (index / config.num_directions(), index % config.num_directions());
            own.add(config.nonlinearity, &states.states(layer, direction));
            if own.born.is_none() {
                own.born = birth::find(sequences, &states, weights, (layer, direction, row));
            }
            if steps == 0 {
                lives.push(perturbation::lives(
                    config.nonlinearity,
                    &states,
                    weights,
                    (layer, direction),
                ));
            }
        }
        steps += states.steps();
        bar.inc(1);
    }
    bar.display.finish_and_clear();
    lives.resize_with(weights.len(), || None);
    let cells = weights.iter().zip(gathered).zip(lives).enumerate();
    let cells = cells.map(|(index, ((weights, own), lives))| {
        let perturbation = lives;
        CellDynamics { perturbation, ..cell(sequences, index, weights, own, any_size) }
    });
    let cells = cells.collect();
    Ok(Dynamics { input: sequences.input.clone(), sequences: sequences.count(), steps, cells })
}

/// One layer and direction, without its perturbations.
fn cell<T: Element>(
    sequences: &Sequences<T>,
    index: usize,
    weights: &Weights<T>,
    own: Gathered,
    any_size: bool,
) -> CellDynamics {
    let config = sequences.model.rnn().config();
    let (layer, direction) = (index / config.num_directions(), index % config.num_directions());
    let reverse = direction == 1 || sequences.model.rnn().is_reversed();
    let numbers: Vec<f64> = weights.hh.iter().map(|&w| w.into()).collect();
    let computed = config.hidden_size <= MAX_ROWS || any_size;
    let radius = || spectral_radius(config.hidden_size, &numbers);
    CellDynamics {
        layer,
        direction: if reverse { "reverse" } else { "forward" },
        spectral_radius: computed.then(radius).flatten(),
        norm: norm(&numbers),
        flat: own.flat(config.nonlinearity),
        born: own.born,
        perturbation: None,
    }
}

/// The parameters of one layer and direction.
struct Weights<T> {
    ih: Array2<T>,
    hh: Array2<T>,
    biases: Vec<ArrayD<T>>,
}

impl<T: Element> Weights<T> {
    /// Those of every layer and direction.
    fn of(sequences: &Sequences<T>) -> Result<Vec<Self>> {
        let rnn = sequences.model.rnn();
        let per_cell = if rnn.config().bias { 4 } else { 2 };
        let tensors: Vec<_> = rnn.to_tensors().into_iter().map(|(_, tensor)| tensor).collect();
        let cells = tensors.chunks(per_cell).map(|own| {
            let [ih, hh] = [own[0].clone(), own[1].clone()].map(ArrayD::into_dimensionality);
            Ok(Weights { ih: ih?, hh: hh?, biases: own[2..].to_vec() })
        });
        cells.collect()
    }
}

/// Counts over the sequences so far.
struct Gathered {
    /// Finite states, and flat ones, of each unit.
    finite: Vec<usize>,
    flat: Vec<usize>,
    born: Option<Birth>,
}

impl Gathered {
    fn new(hidden_size: usize) -> Self {
        Gathered { finite: vec![0; hidden_size], flat: vec![0; hidden_size], born: None }
    }

    fn add<T: Element>(&mut self, nonlinearity: Nonlinearity, states: &ArrayView2<'_, T>) {
        for state in states.rows() {
            for (unit, &h) in state.iter().enumerate().filter(|(_, h)| h.is_finite()) {
                let h: f64 = h.into();
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
