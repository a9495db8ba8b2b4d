//! The layer of a command: from weights, from flags, or from both.

use std::ffi::OsStr;

use anyhow::Result;
use elman::files::{Source, Tensor};
use elman::{
    Checkpoint, Config, Dtype, Element, Generator, NamedTensor, Nonlinearity, Params, Rnn,
};

use crate::args::{LayerArgs, WeightsArgs};
use crate::explain::{hint, weights};
use crate::failure::{Data, Usage, with_hint};
use crate::finite::not_finite;
use crate::report::Notes;

/// Weights from a file, with their saved or inferred configuration.
pub(crate) struct Weights {
    pub(crate) place: String,
    pub(crate) dtype: Dtype,
    checkpoint: Checkpoint,
}

impl Weights {
    /// Reads the layer from a file. Numbers become `dtype`, if there is one.
    pub(crate) fn read(
        args: &WeightsArgs,
        path: &OsStr,
        dtype: Option<Dtype>,
        notes: &mut Notes,
    ) -> Result<Self> {
        let source = Source::parse(path);
        let checkpoint = Checkpoint::read(&source, dtype, args.prefix.as_deref())?;
        let place = checkpoint.place.clone();
        for NamedTensor { name, stored, tensor } in &checkpoint.tensors {
            if !stored.is_computed() || stored.natural() != tensor.dtype() {
                notes.note(format!("{place}: {name}: {stored} converted to {}", tensor.dtype()));
            }
        }
        let others = others_left_alone(&checkpoint);
        for note in others.iter().chain(&checkpoint.notes) {
            notes.note(format!("{place}: {note}"));
        }
        Ok(Weights { place, dtype: checkpoint.dtype, checkpoint })
    }

    /// How the file was recognised.
    pub(crate) fn recognised(&self) -> String {
        format!("{}: recognised as {}", self.place, self.checkpoint.recognised)
    }

    /// The saved configuration, merged with the flags. A flag that contradicts the weights is an error;
    /// `--batch-first` and `--dropout` do not concern weights, and override.
    pub(crate) fn config(&self, args: &LayerArgs, notes: &mut Notes) -> Result<Config> {
        let (config, saved) = (&self.checkpoint.config, self.checkpoint.explicit_nonlinearity);
        let size = |size: Option<usize>| size.map(|size| size.to_string());
        let nonlinearity = args.nonlinearity.filter(|_| saved).map(|name| name.to_string());
        let set = |is_set: bool, value: &str| is_set.then(|| value.to_owned());
        let typed = [
            ("--input-size", size(args.input_size), config.input_size.to_string()),
            ("--hidden-size", size(args.hidden_size), config.hidden_size.to_string()),
            ("--num-layers", size(args.num_layers), config.num_layers.to_string()),
            ("--nonlinearity", nonlinearity, config.nonlinearity.to_string()),
            ("--no-bias", set(args.no_bias, "false"), config.bias.to_string()),
            ("--bidirectional", set(args.bidirectional, "true"), config.bidirectional.to_string()),
        ];
        let mut typed =
            typed.into_iter().filter_map(|(flag, typed, saved)| Some((flag, typed?, saved)));
        if let Some(contradiction) = typed.find(|(_, typed, saved)| typed != saved) {
            return Err(self.contradiction(contradiction, args));
        }
        if !saved && args.nonlinearity.is_none() {
            notes.note(format!(
                "{}: the weights do not say their nonlinearity; tanh, PyTorch's default, is assumed",
                self.place
            ));
        }
        Ok(Config {
            nonlinearity: args.nonlinearity.unwrap_or(config.nonlinearity),
            batch_first: args.batch_first.unwrap_or(config.batch_first),
            dropout: args.dropout.unwrap_or(config.dropout),
            ..config.clone()
        })
    }

    /// The error of a flag whose typed value is not the saved one.
    fn contradiction(
        &self,
        (flag, typed, saved): (&str, String, String),
        args: &LayerArgs,
    ) -> anyhow::Error {
        let name = flag.trim_start_matches("--no-").trim_start_matches('-').replace('-', "_");
        let config = &self.checkpoint.config;
        let sizes = (Some(config.hidden_size), Some(config.input_size));
        let looks = if (args.input_size, args.hidden_size) == sizes && sizes.0 != sizes.1 {
            " (input_size and hidden_size look swapped)"
        } else {
            ""
        };
        let message = format!(
            "{}: expected {name} {saved}, as in the weights, got {typed} from {flag}{looks}",
            self.place
        );
        let hidden = if looks.is_empty() { flag } else { "--hidden-size" };
        with_hint(Data(message), hint::without(&[flag, hidden]))
    }

    /// Whether the nonlinearity was saved.
    pub(crate) fn says_nonlinearity(&self) -> bool {
        self.checkpoint.explicit_nonlinearity
    }

    /// Whether the layer runs from each sequence's last step to its first.
    pub(crate) fn is_reversed(&self) -> bool {
        self.checkpoint.reversed
    }

    /// A sentence about the first NaN or infinity.
    pub(crate) fn not_finite(&self) -> Option<String> {
        self.checkpoint.tensors.iter().find_map(|NamedTensor { name, tensor, .. }| {
            let name = format!("{}: {name}", self.place);
            match tensor {
                Tensor::F32(array) => not_finite(&name, &array.view(), &[], &[]),
                Tensor::F64(array) => not_finite(&name, &array.view(), &[], &[]),
            }
        })
    }

    /// The layer with these weights.
    pub(crate) fn into_rnn<T: Element>(self, config: &Config) -> Result<Rnn<T>> {
        let made = self.checkpoint.into_rnn(config.clone());
        made.map_err(|error| weights::hinted(error, config))
    }

    /// The parameters of the layer.
    pub(crate) fn into_params<T: Element>(self, config: &Config) -> Result<Params<T>> {
        let made = self.checkpoint.into_params(config.clone());
        made.map_err(|error| weights::hinted(error, config))
    }
}

/// A note about the other tensors in a file of weights, if there are any.
pub(crate) fn others_left_alone(checkpoint: &Checkpoint) -> Option<String> {
    let under = match checkpoint.prefix.as_str() {
        "" => "without a prefix".to_owned(),
        prefix => format!("under {prefix}"),
    };
    let others = checkpoint.ignored;
    let note = || format!("the layer {under}; {others} other tensors of the model are left alone");
    (others > 0).then(note)
}

/// The configuration from flags alone. `features` is the width of the input, used without `--input-size`.
pub(crate) fn config_from_flags(args: &LayerArgs, features: Option<usize>) -> Result<Config> {
    let Some(input_size) = args.input_size.or(features) else {
        let message = "expected --input-size, the features of one step, got none".to_owned();
        return Err(with_hint(Usage(message), hint::set("--input-size", "10")));
    };
    let Some(hidden_size) = args.hidden_size else {
        let message = match features {
            Some(_) => "expected --weights, or --hidden-size for fresh ones, got neither",
            None => "expected --hidden-size, the features of a hidden state, got none",
        };
        let hint = hint::set("--hidden-size", "20");
        return Err(with_hint(Usage(message.to_owned()), hint));
    };
    Ok(Config {
        num_layers: args.num_layers.unwrap_or(1),
        nonlinearity: args.nonlinearity.unwrap_or(Nonlinearity::Tanh),
        bias: !args.no_bias,
        batch_first: args.batch_first.unwrap_or(false),
        dropout: args.dropout.unwrap_or(0.0),
        bidirectional: args.bidirectional,
        ..Config::new(input_size, hidden_size)
    })
}

/// A layer with fresh weights.
pub(crate) fn fresh<T: Element>(config: &Config, generator: &mut Generator) -> Result<Rnn<T>> {
    let params = Params::init(config.clone(), generator)?;
    Ok(Rnn::from_params(params)?)
}

/// Notes a dropout without effect.
pub(crate) fn note_dropout(config: &Config, train: bool, notes: &mut Notes) {
    let p = config.dropout;
    if p > 0.0 && config.num_layers == 1 {
        notes.warn(format!("dropout {p} has no effect: it acts between layers, and there is one"));
    } else if p > 0.0 && !train {
        notes.note(format!("dropout {p} is inactive, as after eval(); --train applies it"));
    }
}
