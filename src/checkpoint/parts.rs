//! The encoder and the head of a model, made of the tensors of a checkpoint.

use std::collections::HashMap;

use crate::element::Element;
use crate::error::Error;
use crate::files::Tensor;
use crate::{Config, Decoder, Encoder, EncoderConfig, Head, Linear, Link, LinkConfig, ModelConfig};

/// The tensors around a layer, by their full names.
pub(super) struct Parts<'a>(pub(super) HashMap<&'a str, &'a Tensor>);

impl Parts<'_> {
    /// The parts around a layer with this configuration.
    pub(super) fn around<T: Element>(
        &self,
        config: &ModelConfig,
        layer: &Config,
    ) -> Result<(Option<Encoder<T>>, Decoder<T>), Error> {
        let encoder = self.encoder(config, layer.input_size)?;
        let width = layer.num_directions() * layer.hidden_size;
        let head = self.head(config, width)?;
        let decoder = Decoder { pool: config.pool, head, function: config.function };
        decoder.check(width)?;
        Ok((encoder, decoder))
    }

    fn encoder<T: Element>(
        &self,
        config: &ModelConfig,
        input_size: usize,
    ) -> Result<Option<Encoder<T>>, Error> {
        let (encoder, rows) = match &config.encoder {
            None if config.vocabulary.is_some() => {
                let what = "expected an encoder of its ids, an embedding or one-hot rows, got none";
                return Err(Error::invalid("vocabulary", what));
            }
            None => return Ok(None),
            Some(EncoderConfig::OneHot) => {
                (Encoder::one_hot(input_size), "feature of the layer".to_owned())
            }
            Some(EncoderConfig::Embedding(module)) => {
                let name = format!("{module}.weight");
                let weight = self.matrix(&name, input_size)?;
                (Encoder::embedding(&weight.clone().into_array())?, format!("row of {name}"))
            }
        };
        let count = encoder.num_embeddings();
        match config.vocabulary.as_ref().map(|own| own.names().len()) {
            Some(found) if found != count => {
                let what = format!("expected {count} tokens, one for each {rows}, got {found}");
                Err(Error::invalid("vocabulary", what))
            }
            _ => Ok(Some(encoder)),
        }
    }

    fn head<T: Element>(&self, config: &ModelConfig, width: usize) -> Result<Head<T>, Error> {
        let (mut links, mut width) = (Vec::with_capacity(config.head.len()), width);
        for link in &config.head {
            links.push(match link {
                LinkConfig::Relu => Link::Relu,
                LinkConfig::Tanh => Link::Tanh,
                LinkConfig::Sigmoid => Link::Sigmoid,
                LinkConfig::Linear(module) => {
                    let weight = self.matrix(&format!("{module}.weight"), width)?;
                    let name = format!("{module}.bias");
                    let (expected, bias) = (vec![weight.shape()[0]], self.0.get(&*name).copied());
                    if let Some(bias) = bias.filter(|bias| bias.shape() != expected) {
                        let found = bias.shape().to_vec();
                        return Err(Error::TensorShape { name, expected, found });
                    }
                    let bias = bias.map(|bias| bias.clone().into_array());
                    let linear = Linear::new(&weight.clone().into_array(), bias.as_ref())?;
                    width = linear.out_features();
                    Link::Linear(linear)
                }
            });
        }
        Head::new(links)
    }

    /// The matrix of this name, whose rows have `columns` numbers.
    fn matrix(&self, name: &str, columns: usize) -> Result<&Tensor, Error> {
        let found = self.0.get(name).copied();
        match found.map(Tensor::shape) {
            Some(&[_, own]) if own == columns => {}
            Some(&[rows, own]) => {
                let (expected, found) = (vec![rows, columns], vec![rows, own]);
                return Err(Error::TensorShape { name: name.to_owned(), expected, found });
            }
            Some(shape) => return Err(Error::rank(name, "2 dimensions", shape)),
            None => {}
        }
        let missing = || Error::MissingTensor { name: name.to_owned(), expected: vec![0, columns] };
        found.ok_or_else(missing)
    }
}

/// Checks that there are no labels, or one for each class of a decoder behind a layer.
pub(super) fn check_labels<T: Element>(
    config: &ModelConfig,
    decoder: &Decoder<T>,
    layer: &Config,
) -> Result<(), Error> {
    let classes = decoder.check(layer.num_directions() * layer.hidden_size)?;
    match config.labels.as_ref().map(Vec::len) {
        Some(found) if found != classes => {
            let what = format!("expected {classes}, one for each class, got {found}");
            Err(Error::invalid("labels", what))
        }
        _ => Ok(()),
    }
}
