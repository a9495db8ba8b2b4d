//! Flags of the parts around a layer.

use std::ffi::OsString;

use clap::Args as ClapArgs;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use elman::{Function, LinkConfig, Pool, Tokens};
use serde_json::from_value;

use super::typed_flags;
use super::values::size;

/// The encoder and the head of a model. They are those that the weights were saved with, unless a flag says otherwise.
#[derive(Debug, Default, ClapArgs)]
#[command(next_help_heading = "The model around the layer")]
pub(crate) struct PartArgs {
    /// nn.Embedding before the layer: NAME.weight, (V, H_in). The input holds ids, whole numbers from 0 to V-1: (L, N),
    /// (N, L) with --batch-first, or (L). A name may leave out what stands before it in the checkpoint.
    #[arg(long, value_name = "NAME", conflicts_with = "one_hot")]
    pub(crate) embedding: Option<String>,
    /// The input holds ids, which become one-hot rows of H_in numbers.
    #[arg(long)]
    pub(crate) one_hot: bool,
    /// The input is text, a line for each sequence; FILE has a token on each line, whose id is its number from 0 on, or
    /// is a JSON list or an object from token to id.
    #[arg(long, value_name = "FILE")]
    pub(crate) vocab: Option<OsString>,
    /// The tokens of the text: char or word [default: char].
    #[arg(long, value_name = "UNIT", value_parser = tokens(), hide_possible_values = true)]
    pub(crate) tokens: Option<Tokens>,
    /// The token that stands for those that are not in the vocabulary.
    #[arg(long, value_name = "TOKEN")]
    pub(crate) unknown: Option<String>,
    /// nn.Linear layers behind the layer, with relu, tanh and sigmoid between them: fc, or fc.0,relu,fc.2; none for none
    /// of a saved model.
    #[arg(long, value_name = "NAME,..", value_parser = chain)]
    pub(crate) head: Option<Chain>,
}

/// The parts of a model around its layer, and the form of its prediction.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "The model around the layer")]
#[allow(clippy::struct_excessive_bools, reason = "flags, of which clap allows one")]
pub(crate) struct ModelArgs {
    #[command(flatten)]
    pub(crate) parts: PartArgs,
    /// The part of the layer's output that the head sees [default: steps]: steps, every one; last, the last valid one,
    /// output[:, -1]; state, h_n[-1] or, of two directions, torch.cat((h_n[-2], h_n[-1]), 1); mean or max, over valid
    /// steps.
    #[arg(long, value_name = "PART", value_parser = pool)]
    pub(crate) pool: Option<Pool>,
    /// Softmax of the last axis.
    #[arg(long, group = "function")]
    softmax: bool,
    /// The logarithm of softmax.
    #[arg(long, group = "function")]
    log_softmax: bool,
    /// 1 / (1 + e^-x) of every number.
    #[arg(long, group = "function")]
    sigmoid: bool,
    /// The index of the largest number of the last axis, as int64: the lowest one on ties, -1 behind a sequence's end.
    #[arg(long, group = "function")]
    argmax: bool,
    /// The K largest numbers of the last axis and their indices: an .npz of values and indices.
    #[arg(long, value_name = "K", group = "function", value_parser = size, allow_negative_numbers = true)]
    top: Option<usize>,
    /// Names of the classes for --argmax and --top where text is written: a file with a line for each.
    #[arg(long, value_name = "FILE")]
    pub(crate) labels: Option<OsString>,
}

/// The layers of `--head`; none for `none`.
#[derive(Clone, Debug)]
pub(crate) struct Chain(pub(crate) Vec<LinkConfig>);

fn chain(text: &str) -> Result<Chain, String> {
    let links = if text == "none" { Ok(Vec::new()) } else { LinkConfig::parse_chain(text) };
    links.map(Chain).map_err(|error| error.to_string())
}

fn pool(text: &str) -> Result<Pool, String> {
    from_value(text.into())
        .map_err(|_| format!("expected steps, last, state, mean or max, got '{text}'"))
}

fn tokens() -> impl TypedValueParser<Value = Tokens> {
    PossibleValuesParser::new(["char", "word"]).try_map(|unit| from_value(unit.into()))
}

impl PartArgs {
    /// The flags that were typed and take something from the weights.
    pub(crate) fn of_weights(&self) -> Vec<&'static str> {
        let typed = [
            ("--embedding", self.embedding.is_some()),
            ("--one-hot", self.one_hot),
            ("--vocab", self.vocab.is_some()),
            ("--tokens", self.tokens.is_some()),
            ("--unknown", self.unknown.is_some()),
            ("--head", self.head.is_some()),
        ];
        typed_flags(&typed)
    }
}

impl ModelArgs {
    /// The files that its flags name.
    pub(crate) fn files(&self) -> [Option<&OsString>; 2] {
        [self.parts.vocab.as_ref(), self.labels.as_ref()]
    }

    /// The function that was typed.
    pub(crate) fn function(&self) -> Option<Function> {
        let typed = [
            (self.softmax, Function::Softmax),
            (self.log_softmax, Function::LogSoftmax),
            (self.sigmoid, Function::Sigmoid),
            (self.argmax, Function::Argmax),
        ];
        let typed = typed.into_iter().find(|(typed, _)| *typed).map(|(_, function)| function);
        typed.or(self.top.map(Function::Top))
    }
}
