//! The hidden states of every layer and direction, sequence by sequence, for the commands that show them. A sequence
//! alone has the bits that it has in a batch.

mod about;
mod cell;
mod row;
mod sequences;

use std::ffi::OsStr;

use anyhow::Result;
use elman::files::Source;
use elman::{Checkpoint, Dtype, Element, Generator, Model, ModelCheckpoint, Params};
use ndarray::{Array3, ArrayD, Axis, Ix3};

use crate::args::{LayerArgs, PartArgs, Seen, TableArgs, WeightsArgs};
use crate::explain::hint;
use crate::explain::layer::{Places, explain};
use crate::failure::{Usage, with_hint};
use crate::layer::{assume, build, config_from_flags, described, merged_config, read_model};
use crate::model_flags::ModelFlags;
use crate::pipeline::input::{Input, check_stdin};
use crate::pipeline::pass::{Pass, PassOptions};
use crate::pipeline::rows::Given;
use crate::pipeline::sequences::{Lengths, unwanted_lengths};
use crate::report::Notes;
use crate::start::{Start, open_tensor};

use sequences::{Kept, of_params, split};

pub(crate) use about::About;
pub(crate) use cell::Cell;
pub(crate) use row::RowStates;
pub(crate) use sequences::Sequences;

/// The files of a layer and of its input, and the flags that say how they are read.
pub(crate) struct Sources<'a> {
    pub(crate) weights: Option<&'a OsStr>,
    pub(crate) of_weights: &'a WeightsArgs,
    pub(crate) input: &'a OsStr,
    pub(crate) h_0: Option<&'a OsStr>,
    pub(crate) lengths: Option<&'a OsStr>,
    pub(crate) dtype: Option<Dtype>,
    pub(crate) table: &'a TableArgs,
    pub(crate) layer: &'a LayerArgs,
}

impl<'a> Sources<'a> {
    pub(crate) fn new(seen: &'a Seen) -> Result<Self> {
        let Some(input) = &seen.input else {
            let message = "expected --input, the sequences that the layer is shown on, got none";
            return Err(with_hint(Usage(message.to_owned()), hint::set("--input", "x.npy")));
        };
        Ok(Sources {
            weights: seen.weights.as_deref(),
            of_weights: &seen.of_weights,
            input,
            h_0: seen.h0.as_deref(),
            lengths: seen.lengths.as_deref(),
            dtype: seen.dtype,
            table: &seen.table,
            layer: &seen.layer,
        })
    }
}

/// A layer and an input whose headers have been read.
pub(crate) struct Opened<'a> {
    sources: &'a Sources<'a>,
    weights: Option<ModelCheckpoint>,
    input: Input,
    lengths: Option<Lengths<'a>>,
}

/// Opens the files, and reads the weights.
pub(crate) fn open_sources<'a>(sources: &'a Sources<'a>, notes: &mut Notes) -> Result<Opened<'a>> {
    check_stdin([sources.weights, Some(sources.input), sources.h_0, sources.lengths])?;
    let around = PartArgs::default();
    let flags = ModelFlags::of_parts(&around)?;
    let source = sources.weights.map(|path| Source::parse(path).open()).transpose()?;
    let weights = source
        .map(|source| read_model(source, sources.of_weights, sources.dtype, &flags, notes))
        .transpose()?;
    let around = weights.as_ref().map(|weights| weights.config.clone()).unwrap_or_default();
    let (input, own) = match &around.vocabulary {
        Some(vocabulary) => (Input::text(sources.input, vocabulary, &sources.table.flags())?, None),
        None => Input::open(sources.input, Some(sources.table), false, around.encoder.is_some())?,
    };
    if sources.lengths.is_some() && !matches!(input, Input::Tensor(_)) {
        return Err(unwanted_lengths(input.place()));
    }
    let lengths = sources.lengths.map(Lengths::Typed).or(own);
    Ok(Opened { sources, weights, input, lengths })
}

impl Opened<'_> {
    /// The type that the layer is computed in.
    pub(crate) fn dtype(&self) -> Dtype {
        let of_weights = self.weights.as_ref().map(|weights| weights.layer.dtype);
        self.sources.dtype.or(of_weights).unwrap_or_else(|| self.input.natural())
    }

    /// Reads the input, and makes the model.
    pub(crate) fn read<T: Element>(self, notes: &mut Notes) -> Result<Sequences<T>> {
        let Opened { sources, mut weights, mut input, lengths } = self;
        let layer = weights.as_mut().map(|weights| described(&mut weights.layer));
        let start = Start::new(layer.as_ref());
        let has_lengths = lengths.is_some() || input.is_archive();
        let places = places(sources, layer.as_ref(), &input, has_lengths);
        let model = model::<T>(sources, weights, &places, notes)?;
        let config = model.rnn().config().clone();
        let explained = |error| explain(error, &config, &places);
        let lengths = start.lengths_of_pass(&input, &model, lengths, sources.dtype, notes);
        let options = PassOptions::default();
        let pass = lengths.and_then(|own| input.pass(&model, &options, &places.input, own));
        let pass = pass.map_err(explained)?;
        let file = sources.h_0.map(open_tensor).transpose()?;
        let h_0 = start.state_of_pass(&pass, file, sources.dtype, notes).map_err(explained)?;
        let h_0 = first_state(&pass, h_0)?;
        let about = About {
            config: config.clone(),
            dtype: T::DTYPE,
            reversed: model.rnn().is_reversed(),
            encoded: model.encoder().is_some(),
            weights: places.weights.clone(),
            state_dict: layer.as_ref().is_none_or(is_state_dict),
            input: places.input.clone(),
            h_0: places.h_0.clone().or_else(|| start.name()),
            names: pass.names(),
            packed: matches!(input, Input::Packed(..)),
            batched: pass.batched().is_some(),
            shape: places.input_shape.clone(),
        };
        let batch_first = pass.batch_first();
        let rows = match input.read_whole(&pass).map_err(explained)? {
            Given::Numbers(rows) => Kept::Numbers(split(rows, batch_first)?),
            Given::Ids(rows) => Kept::Ids(split(rows, batch_first)?),
        };
        Ok(Sequences { about, model, rows, h_0 })
    }
}

/// Whether the file of a layer has the names and the tensors of PyTorch's `state_dict`.
fn is_state_dict(layer: &Checkpoint) -> bool {
    layer.prefix.is_empty() && layer.notes.is_empty()
}

/// The inputs, for messages.
fn places(
    sources: &Sources<'_>,
    layer: Option<&Checkpoint>,
    input: &Input,
    lengths: bool,
) -> Places {
    Places {
        input: input.place().to_owned(),
        input_shape: input.shape(),
        h_0: sources.h_0.map(|path| Source::parse(path).to_string()),
        weights: layer.map(|layer| layer.place.clone()),
        hidden_size: sources.layer.hidden_size,
        may_be_text: false,
        lengths,
    }
}

/// The model of the weights, or a layer with fresh ones, as `rnn run` makes them.
fn model<T: Element>(
    sources: &Sources<'_>,
    weights: Option<ModelCheckpoint>,
    places: &Places,
    notes: &mut Notes,
) -> Result<Model<T>> {
    let Some(weights) = weights else {
        let config = config_from_flags(sources.layer, places.input_shape.last().copied())?;
        let params = Params::init(config.clone(), &mut Generator::new(Generator::DEFAULT_SEED));
        return params.and_then(of_params).map_err(|error| explain(error.into(), &config, places));
    };
    let open = ["nonlinearity", "batch_first"];
    let open = &open[..if places.input_shape.len() == 3 { 2 } else { 1 }];
    assume(&weights.layer, sources.layer, open, sources.of_weights.strict, notes)?;
    let config = merged_config(&weights.layer, sources.layer)?;
    build(weights, &config, None)
}

/// The states that the sequences start from, (D * `num_layers`, N, `H_out`).
fn first_state<T: Element>(pass: &Pass<'_, T>, state: Option<ArrayD<T>>) -> Result<Array3<T>> {
    let state = state.unwrap_or_else(|| ArrayD::zeros(pass.rnn.hidden_shape(pass.batched())));
    let state = if state.ndim() == 2 { state.insert_axis(Axis(1)) } else { state };
    Ok(state.into_dimensionality::<Ix3>()?)
}
