//! Hidden states in a file: an output, sequences of their own lengths, or the tensors of `--all-hidden`.

use anyhow::Result;
use elman::Nonlinearity;
use elman::files::{Accepts, Bundle, File, Source, open_with};
use ndarray::{Array2, ArrayD, Axis};

use super::super::explain::below;
use super::draw;
use super::surface::Surface;
use crate::args::Plot;
use crate::explain::command_line::quoted;
use crate::explain::hint;
use crate::failure::{Data, Usage, with_hint};
use crate::pipeline::sequences::PACKED;
use crate::plot::Figure;
use crate::plot::kinds::Named;

pub(super) fn figure(args: &Plot, surface: &Surface) -> Result<Figure> {
    let Some(input) = &args.seen.input else {
        let message = "expected --weights and --input, or hidden states as --input, got neither";
        return Err(with_hint(Usage(message.to_owned()), hint::set("--input", "output.npy")));
    };
    let (source, columns) = (Source::parse(input), args.seen.table.columns());
    let file = open_with(&source, Accepts::Tensors, &args.seen.table.options(&columns))?;
    let place = source.to_string();
    let tensors = match file {
        File::Bundle(bundle) => members(args, &place, bundle)?,
        file => vec![(place.clone(), file.into_tensor()?.read::<f64>()?)],
    };
    let has_layers = tensors.iter().all(|(name, _)| layer_of(name).is_some());
    if args.layer_number.is_some() && !has_layers {
        let message = format!("{place}: expected the .npz of --all-hidden with --layer");
        return Err(with_hint(Usage(message), hint::without(&["--layer"])));
    }
    let own = |name: &str| args.layer_number.is_none_or(|layer| layer_of(name) == Some(layer));
    let (mut shapes, mut rows) = (Vec::new(), Vec::new());
    for (name, tensor) in tensors.iter().filter(|(name, _)| own(name)) {
        shapes.push(format!("{:?}", tensor.shape()));
        let member = if *name == place { name.clone() } else { format!("{place}:{name}") };
        rows.push((name.clone(), row_of(args, &member, tensor)?));
    }
    let named = rows.iter().map(|(name, row)| Named { name: name.clone(), states: row.view() });
    let named: Vec<_> = named.collect();
    shapes.dedup();
    let title = vec![
        format!("{} in {place}, row {}", args.kind.title(), args.row),
        format!("shape {}", shapes.join(", ")),
    ];
    let reverse = named.iter().any(|own| own.name.ends_with("_reverse"));
    let relu = args.seen.layer.nonlinearity == Some(Nonlinearity::Relu);
    Ok(draw(args, &named, if reverse { 2 } else { 1 }, relu, surface, title))
}

/// The layer of a tensor of `--all-hidden`, by its name.
fn layer_of(name: &str) -> Option<usize> {
    let name = name.strip_prefix("h_l")?;
    name.strip_suffix("_reverse").unwrap_or(name).parse().ok()
}

/// The tensors of an archive: those of `--all-hidden`, or one of the sequences, which `--row` chooses.
fn members(args: &Plot, place: &str, mut bundle: Bundle) -> Result<Vec<(String, ArrayD<f64>)>> {
    if let [Some(_), Some(_)] = [PACKED[0], PACKED[1]].map(|name| bundle.position(name)) {
        let message = format!("{place}: expected padded hidden states, got a packed sequence");
        let unpack = format!("rnn unpack -i {} -o states.npy", quoted(place));
        return Err(with_hint(Data(message), unpack));
    }
    let names: Vec<_> = bundle.entries().iter().map(|entry| entry.name.clone()).collect();
    let layers = names.iter().map(|name| layer_of(name)).collect::<Option<Vec<_>>>();
    let chosen = if let Some(layers) = layers {
        if let Some(layer) = args.layer_number {
            let count = layers.iter().max().map_or(0, |last| last + 1);
            below("--layer", layer, count, "the layers of the hidden states")?;
        }
        0..names.len()
    } else if names.len() == 1 {
        0..1
    } else {
        below("--row", args.row, names.len(), "the sequences of the archive")?;
        args.row..args.row + 1
    };
    chosen.map(|index| Ok((names[index].clone(), bundle.read_as::<f64>(index)?))).collect()
}

/// One sequence of a tensor of hidden states, (L, features).
fn row_of(args: &Plot, place: &str, tensor: &ArrayD<f64>) -> Result<Array2<f64>> {
    let axis = Axis(usize::from(!args.seen.layer.batch_first.unwrap_or(false)));
    let shape = tensor.shape();
    let row = match tensor.ndim() {
        2 => tensor.view(),
        3 => {
            below("--row", args.row, tensor.len_of(axis), "the sequences of the tensor")?;
            tensor.index_axis(axis, args.row)
        }
        _ => {
            let expected = "hidden states, (L, features) or (L, N, features)";
            return Err(Data(format!("{place}: expected {expected}, got shape {shape:?}")).into());
        }
    };
    for &unit in &args.units {
        below("--units", unit, row.len_of(Axis(1)), "the units of the hidden state")?;
    }
    if row.is_empty() {
        let message = format!("{place}: expected hidden states, got shape {shape:?}");
        return Err(Data(message).into());
    }
    Ok(row.to_owned().into_dimensionality()?)
}
