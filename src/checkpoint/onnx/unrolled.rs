//! Layers that PyTorch's default exporter has unrolled: a product with `weight_ih` for all steps, and for each step
//! one with `weight_hh`, an addition and a Tanh or Relu.
//!
//! The products are found by their constants. The name of a parameter is that of an initializer, which is kept
//! except for transposed weights, or stands in the text that the exporter leaves beside the node.

mod first_state;
mod names;
mod parameters;

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::{Checkpoint, NamedTensor, Suggestion, common_dtype};
use crate::element::Dtype;
use crate::files::proto::{Attribute, NodeProto};
use crate::files::{Entry, Graph, MAX_LISTED, StoredType, Tensor, listed};
use crate::{Config, ModelConfig, Nonlinearity};

use super::Reader;
use super::constant::Constants;
use super::trace::Trace;
use names::{beside, parameter};
use parameters::Parameters;

/// What to do about a layer that cannot be recovered.
pub(super) const REMEDY: &str = " (PyTorch's default exporter unrolls the layer: torch.onnx.export(..., \
                                 dynamo=False) keeps it, and torch.save(model.state_dict(), 'model.pt') its weights)";

/// Most nodes between a tensor and a product: exporters write two.
const MAX_MOVES: usize = 8;

/// A product with a constant, and its bias.
struct Linear<'a> {
    /// The names of its modules, with a dot at their end.
    module: String,
    /// `ih_l0` or the like.
    parameter: String,
    x: &'a str,
    /// The name of the factor and whether it is the transposed weight.
    weight: (&'a str, bool),
    bias: Option<&'a str>,
    output: &'a str,
}

/// The nodes of a graph by the values that they read and write.
struct Links<'a> {
    reader: Reader<'a>,
    readers: HashMap<&'a str, Vec<&'a NodeProto>>,
    makers: HashMap<&'a str, &'a NodeProto>,
}

/// Whether a graph without an RNN node has what an unrolled layer has.
pub(super) fn is_likely(graph: &Graph) -> bool {
    let has =
        |types: [&str; 2]| graph.proto.node.iter().any(|node| types.contains(&&*node.op_type));
    has(["MatMul", "Gemm"]) && has(["Tanh", "Relu"])
}

/// The requested layer, or the only one; `None` if the graph has no products with weights of a layer.
pub(super) fn read<'a>(
    graph: &'a Graph,
    trace: Trace<'a>,
    dtype: Option<Dtype>,
    prefix: Option<&str>,
) -> Result<Option<Checkpoint>, CheckpointError> {
    if !is_likely(graph) {
        return Ok(None);
    }
    let links = Links::new(graph, trace)?;
    let products =
        graph.proto.node.iter().filter(|node| matches!(&*node.op_type, "MatMul" | "Gemm"));
    let linears: Vec<_> = products.filter_map(|node| links.linear(node)).collect();
    let Some(parameters) = links.parameters(&linears, dtype)? else { return Ok(None) };
    links.layer(&linears, &parameters, prefix).map(Some)
}

fn note(config: &Config) -> String {
    let all = listed(config.parameters().map(|own| own.name), MAX_LISTED);
    format!(
        "PyTorch's exporter has unrolled the layer; {all} are recovered from the nodes that read them, \
        and only the layer is run"
    )
}

/// An error of a layer that cannot be recovered, with a remedy.
fn unlikely(error: &CheckpointError) -> CheckpointError {
    CheckpointError::NoRnn(format!("{error}{REMEDY}"))
}

impl<'a> Links<'a> {
    fn new(graph: &'a Graph, trace: Trace<'a>) -> Result<Self, CheckpointError> {
        let (mut readers, mut makers) = (HashMap::<_, Vec<_>>::new(), HashMap::new());
        for node in graph.proto.node.iter().filter(|node| node.is_standard()) {
            makers.extend(node.output.iter().map(|name| (name.as_str(), node)));
            for name in &node.input {
                readers.entry(name.as_str()).or_default().push(node);
            }
        }
        // Factors, summands and first states.
        let arithmetic = |node: &&NodeProto| matches!(&*node.op_type, "MatMul" | "Gemm" | "Add");
        let wanted = graph.proto.node.iter().filter(arithmetic).flat_map(|node| &node.input);
        let constants = Constants::new(graph, wanted.map(String::as_str))?;
        Ok(Links { reader: Reader { graph, trace, constants }, readers, makers })
    }

    /// The requested layer, or the only one.
    fn layer(
        &self,
        linears: &[Linear<'a>],
        parameters: &Parameters,
        prefix: Option<&str>,
    ) -> Result<Checkpoint, CheckpointError> {
        let entries: Vec<_> = parameters.iter().map(entry).collect();
        let found = crate::checkpoint::names::find(&entries, prefix)?;
        let tensor = |(index, name): &(usize, String)| {
            let (stored, tensor) = parameters[*index].1.clone();
            NamedTensor { name: name.clone(), stored, tensor }
        };
        let tensors: Vec<_> = found.members.iter().map(tensor).collect();
        let own: Vec<_> = linears.iter().filter(|linear| linear.module == found.prefix).collect();
        let (config, explicit) =
            self.configuration(&own, &tensors, &found.prefix).map_err(|error| unlikely(&error))?;
        self.refuse_folded_state(&own, &tensors).map_err(|error| unlikely(&error))?;
        Ok(Checkpoint {
            place: self.reader.graph.place.clone(),
            recognised: format!("an unrolled RNN of {} products", own.len()),
            dtype: common_dtype(&config, &tensors)?,
            explicit,
            model: ModelConfig::default(),
            around: Vec::new(),
            suggested: Suggestion::default(),
            reversed: false,
            h_0: None,
            lengths: None,
            ignored: entries.len() - found.members.len(),
            ignored_optimizer: 0,
            prefix: found.prefix,
            modules: self.others(),
            notes: vec![note(&config)],
            warnings: Vec::new(),
            config,
            tensors,
        })
    }

    /// The configuration of a layer, and the names of its arguments that the nodes show.
    fn configuration(
        &self,
        own: &[&Linear<'a>],
        tensors: &[NamedTensor],
        prefix: &str,
    ) -> Result<(Config, Vec<String>), CheckpointError> {
        let shapes = tensors.iter().map(|tensor| (tensor.name.as_str(), tensor.tensor.shape()));
        let inferred = Config::infer(shapes)?;
        let nonlinearity = self.nonlinearity(own)?;
        let batch_first = own.iter().find(|linear| linear.parameter == "ih_l0");
        let batch_first = batch_first.and_then(|linear| self.reader.trace.is_swapped(linear.x));
        let config = Config {
            nonlinearity: nonlinearity.unwrap_or(Nonlinearity::Tanh),
            batch_first: batch_first.unwrap_or(false),
            ..inferred
        };
        let names: HashSet<_> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
        if let Some(missing) = config.parameters().find(|own| !names.contains(&*own.name)) {
            let what = format!("expected {prefix}{}, got no node that reads it", missing.name);
            return Err(CheckpointError::NoRnn(what));
        }
        let explicit =
            [("nonlinearity", nonlinearity.is_some()), ("batch_first", batch_first.is_some())];
        let explicit = explicit.iter().filter(|(_, is)| *is).map(|(name, _)| (*name).to_owned());
        Ok((config, explicit.collect()))
    }

    /// The products that are not those of a layer, as those of a linear layer are.
    fn others(&self) -> Vec<String> {
        let nodes = self.reader.graph.proto.node.iter();
        let products = nodes.filter(|node| matches!(&*node.op_type, "MatMul" | "Gemm"));
        let others = products.filter(|node| self.linear(node).is_none());
        others.map(|node| format!("{} '{}'", node.op_type, node.label())).collect()
    }

    fn readers(&self, name: &str) -> &[&'a NodeProto] {
        self.readers.get(name).map_or(&[], Vec::as_slice)
    }

    /// A product as `x W^T`, or as `x W^T + b`; `None` if it is another, or if its parameters have no names.
    fn linear(&self, node: &'a NodeProto) -> Option<Linear<'a>> {
        let (x, factor, product) = (node.input(0)?, node.input(1)?, node.output(0)?);
        self.reader.constant(factor)?;
        let is = |name: &str, value| node.attribute(name) == Some(Attribute::Int(value));
        let is_gemm = node.op_type == "Gemm";
        if is("transA", 1) || (node.factor("alpha") - 1.0).abs() > 0.0 {
            return None;
        }
        let (mut output, mut bias, mut last) = (product, None, node);
        if is_gemm {
            bias = node.input(2);
            if bias.is_some() && (node.factor("beta") - 1.0).abs() > 0.0 {
                return None;
            }
        } else if let [add] = self.readers(product)
            && add.op_type == "Add"
            && let Some(other) = add.input.iter().find(|name| *name != product)
            && self.is_bias(other)
        {
            (output, bias, last) = (add.output(0)?, Some(other.as_str()), add);
        }
        let transposed = !(is_gemm && is("transB", 1));
        let values = [Some(factor), bias];
        let (module, parameter) = self.parameter(values, beside(last).or_else(|| beside(node)))?;
        let weight = (factor, transposed);
        Some(Linear { module, parameter, x, weight, bias, output })
    }

    /// The modules and the parameter that the factor and the bias of a product belong to; `None` if they differ.
    fn parameter(
        &self,
        values: [Option<&'a str>; 2],
        beside: Option<(String, String)>,
    ) -> Option<(String, String)> {
        let names = values.into_iter().flatten().map(|value| self.tensor_of(value));
        let mut named: Vec<_> = names.filter_map(parameter).collect();
        if let Some((module, own)) = beside {
            // The optimizer of the exporter replaces equal initializers by one of them.
            named.retain(|(_, name)| *name == own);
            named.push((module, own));
        }
        let first = named.first()?.clone();
        named.iter().all(|(_, name)| *name == first.1).then_some(first)
    }

    /// Whether a value is a constant with one axis.
    fn is_bias(&self, name: &str) -> bool {
        let header = self.reader.constant(name).map(|constant| constant.header());
        header.is_some_and(|header| header.is_ok_and(|(_, shape)| shape.len() == 1))
    }

    /// The tensor before nodes that only move it.
    fn tensor_of(&self, name: &'a str) -> &'a str {
        // The nodes of a hostile graph may form a cycle.
        (0..MAX_MOVES).fold(name, |name, _| match self.makers.get(name) {
            Some(node) if matches!(&*node.op_type, "Identity" | "Transpose" | "Cast") => {
                node.input(0).unwrap_or(name)
            }
            _ => name,
        })
    }

    /// The function that follows the additions of a layer's steps; `None` if it cannot be told.
    fn nonlinearity(&self, own: &[&Linear<'a>]) -> Result<Option<Nonlinearity>, CheckpointError> {
        // In order, because the message lists them.
        let mut found = BTreeSet::new();
        for linear in own.iter().filter(|linear| linear.parameter.starts_with("hh")) {
            let sums = self.readers(linear.output).iter().filter(|node| node.op_type == "Add");
            let after = sums.filter_map(|sum| sum.output(0)).flat_map(|sum| self.readers(sum));
            found.extend(after.map(|node| node.op_type.as_str()));
        }
        match found.into_iter().collect::<Vec<_>>()[..] {
            [] => Ok(None),
            ["Tanh"] => Ok(Some(Nonlinearity::Tanh)),
            ["Relu"] => Ok(Some(Nonlinearity::Relu)),
            ref others => {
                let others = listed(others, MAX_LISTED);
                let what = format!("expected Tanh or Relu after each step, got {others}");
                Err(CheckpointError::NoRnn(what))
            }
        }
    }
}

fn entry((name, (stored, tensor)): &(String, (StoredType, Tensor))) -> Entry {
    Entry { name: name.clone(), stored: *stored, shape: tensor.shape().to_vec() }
}
