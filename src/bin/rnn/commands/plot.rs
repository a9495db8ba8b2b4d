//! `rnn plot`: hidden states and weights as a picture.

mod saved;
mod surface;

use anyhow::Result;
use elman::files::Source;
use elman::{Config, Element, Nonlinearity};
use ndarray::{Array2, Ix2};

use super::explain::below;
use crate::args::{Kind, PartArgs, Plot, ReportForm};
use crate::explain::command_line::typed_flags;
use crate::explain::hint;
use crate::failure::{Usage, with_hint};
use crate::info::MAX_ROWS;
use crate::layer::{merged_config, read_model};
use crate::model_flags::ModelFlags;
use crate::plot::Figure;
use crate::plot::kinds::{Named, of_weights, over_steps, spectrum};
use crate::report::{Notes, counted, say};
use crate::states::{About, Opened, RowStates, Sources, open_sources};
use crate::threads;

use surface::Surface;

/// Units without `--units`.
const FIRST_UNITS: usize = 5;

/// Flags without effect on pictures of weights, and of saved states.
const NOT_OF_WEIGHTS: [&str; 10] = [
    "--input",
    "--h0",
    "--lengths",
    "--dtype",
    "--row",
    "--units",
    "--columns",
    "--header",
    "--no-header",
    "--missing",
];
const NOT_OF_SAVED: [&str; 10] = [
    "--h0",
    "--lengths",
    "--dtype",
    "--prefix",
    "--strict",
    "--input-size",
    "--num-layers",
    "--no-bias",
    "--bidirectional",
    "--dropout",
];

pub(crate) fn plot(args: &Plot) -> Result<()> {
    let saved = args.seen.weights.is_none() && args.seen.layer.hidden_size.is_none();
    let (unused, what) = match args.kind {
        Kind::Weights | Kind::Spectrum => (&NOT_OF_WEIGHTS[..], "weights"),
        _ if saved => (&NOT_OF_SAVED[..], "saved states"),
        _ => (&[][..], ""),
    };
    refuse(unused, what)?;
    if args.kind != Kind::Units {
        refuse(&["--units"], "another kind than units")?;
    }
    let surface = Surface::new(args)?;
    let mut notes = Notes::new(ReportForm::Text);
    let figure = if args.kind.is_of_weights() {
        weights(args, &surface, &mut notes)?
    } else if saved {
        saved::figure(args, &surface)?
    } else {
        let sources = Sources::new(&args.seen)?;
        let opened = open_sources(&sources, &mut notes)?;
        typed!(opened.dtype(), states(args, opened, &surface, &mut notes))?
    };
    surface.show(&figure)?;
    notes.print_said();
    notes.lines().for_each(|line| say(&(line + "\n")));
    Ok(())
}

/// Refuses flags without effect on a picture.
fn refuse(flags: &[&str], what: &str) -> Result<()> {
    let typed = typed_flags(&[]);
    let name = |flag: &str| flag.split('=').next().map(str::to_owned);
    let mut typed = typed.iter().filter_map(|flag| name(flag));
    let Some(flag) = typed.find(|flag| flags.contains(&flag.as_str())) else { return Ok(()) };
    let message = format!("{flag} has no effect on a picture of {what}");
    Err(with_hint(Usage(message), hint::without(&[&flag])))
}

/// The hidden states of a layer on an input.
fn states<T: Element>(
    args: &Plot,
    opened: Opened<'_>,
    surface: &Surface,
    notes: &mut Notes,
) -> Result<Figure> {
    let sequences = opened.read::<T>(notes)?;
    below("--row", args.row, sequences.count(), "the sequences of the input")?;
    check_places(args, &sequences.about.config)?;
    let pool = threads::pool(None, &mut notes.notes)?;
    let bar = sequences.bar(args.row..args.row + 1);
    let states = pool.install(|| sequences.pass(args.row, &bar))?;
    bar.display.finish_and_clear();
    Ok(of_states(args, &sequences.about, sequences.count(), &states, surface))
}

/// A panel, or a curve, for each layer and direction.
fn of_states(
    args: &Plot,
    about: &About,
    count: usize,
    states: &RowStates,
    surface: &Surface,
) -> Figure {
    let config = &about.config;
    let chosen = |layer| args.layer_number.is_none_or(|own| own == layer);
    let named: Vec<_> = about
        .cells()
        .filter(|&(layer, _)| chosen(layer))
        .map(|(layer, direction)| {
            let reverse = if states.is_reverse(direction) { ", reverse" } else { "" };
            let forward = if config.bidirectional && direction == 0 { ", forward" } else { "" };
            let name = format!("layer {layer}{forward}{reverse}");
            Named { name, states: states.states(layer, direction) }
        })
        .collect();
    let relu = config.nonlinearity == Nonlinearity::Relu;
    let title = title(args, about, count, states.steps());
    draw(args, &named, config.num_directions(), relu, surface, title)
}

/// The files, and the shapes.
fn title(args: &Plot, about: &About, count: usize, steps: usize) -> Vec<String> {
    let About { config, dtype, input, .. } = about;
    let weights = about.weights.as_deref().unwrap_or("fresh weights");
    let (kind, row) = (args.kind.title(), args.row);
    let each = if config.bidirectional { " in each direction" } else { "" };
    let (steps, units) = (counted(steps, "step"), counted(config.hidden_size, "unit"));
    vec![
        format!("{kind} of {weights} on {input}, row {row} of {count}"),
        format!("{config}, {}, {dtype}; {steps}, {units}{each}", config.nonlinearity),
    ]
}

/// The panels of a kind over steps.
fn draw(
    args: &Plot,
    named: &[Named<'_>],
    columns: usize,
    relu: bool,
    surface: &Surface,
    title: Vec<String>,
) -> Figure {
    let first: Vec<_> = (0..FIRST_UNITS).collect();
    let units = if args.units.is_empty() { &first } else { &args.units };
    let limit = surface.limit(named.len().div_ceil(columns).clamp(1, 8), columns);
    over_steps(args.kind, named, columns, relu, units, limit).titled(title)
}

fn check_places(args: &Plot, config: &Config) -> Result<()> {
    if let Some(layer) = args.layer_number {
        below("--layer", layer, config.num_layers, "the layers of the RNN")?;
    }
    for &unit in &args.units {
        below("--units", unit, config.hidden_size, "the units of the hidden state")?;
    }
    Ok(())
}

/// The weights of a layer, or the eigenvalues of its `weight_hh`.
fn weights(args: &Plot, surface: &Surface, notes: &mut Notes) -> Result<Figure> {
    let Some(path) = &args.seen.weights else {
        let message =
            format!("expected --weights for {}, got none", args.kind.title().to_lowercase());
        return Err(with_hint(Usage(message), hint::set("--weights", "w.npz")));
    };
    let source = Source::parse(path).open()?;
    let parts = PartArgs::default();
    let flags = ModelFlags::of_parts(&parts)?;
    let weights = read_model(source, &args.seen.of_weights, None, &flags, notes)?.layer;
    let (place, dtype) = (weights.place.clone(), weights.dtype);
    let config = merged_config(&weights, &args.seen.layer)?;
    check_places(args, &config)?;
    // f64 holds the numbers of either type.
    let params = elman::Params::<f64>::from_tensors(config.clone(), weights.into_tensors())?;
    let own = |name: &str| {
        args.layer_number.is_none_or(|layer| {
            let suffix = format!("_l{layer}");
            name.ends_with(&suffix) || name.ends_with(&format!("{suffix}_reverse"))
        })
    };
    if args.kind.is_spectrum() && config.hidden_size > MAX_ROWS {
        notes.announce(format!("the eigenvalues of more than {MAX_ROWS} rows take minutes"));
    }
    let kind = if args.kind.is_spectrum() { "weight_hh" } else { "weight_" };
    let tensors = params.into_tensors().into_iter();
    let matrices = tensors.filter(|(name, _)| name.starts_with(kind) && own(name));
    let matrices = matrices.map(|(name, matrix)| Ok((name, matrix.into_dimensionality::<Ix2>()?)));
    let matrices: Vec<(String, Array2<f64>)> = matrices.collect::<Result<_>>()?;
    let figure = if args.kind.is_spectrum() {
        spectrum(&matrices, matrices.len().clamp(1, 2))
    } else {
        of_weights(&matrices, surface.limit(matrices.len().div_ceil(2).clamp(1, 8), 2))
    };
    let title = vec![
        format!("{} of {place}", args.kind.title()),
        format!("{config}, {}, {dtype}", config.nonlinearity),
    ];
    Ok(figure.titled(title))
}
